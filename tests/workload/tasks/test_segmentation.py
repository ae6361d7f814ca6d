"""Segmentation against loops over pixels, and campaigns of networks that label every pixel."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from faultsim import Batch, Workload, tasks
from faultsim.errors import ConfigError

pytest.importorskip("torchmetrics")

IGNORED = 255


def random(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def masks(seed: int, classes: int, *shape: int) -> torch.Tensor:
    return (random(seed, *shape).abs() * classes).long() % classes


def figures(classes: int, pairs: list[tuple[int, int | None]], first: int = 0) -> dict:
    """From (target, prediction) of every pixel, None for one that is not finite."""
    ious, dices = [], []
    for c in range(first, classes):
        both = sum(t == c and p == c for t, p in pairs)
        target, found = sum(t == c for t, _ in pairs), sum(p == c for _, p in pairs)
        if target + found:
            ious.append(both / (target + found - both))
            dices.append(2 * both / (target + found))
    right = sum(t == p for t, p in pairs)
    means = (sum(shares) / len(shares) if shares else None for shares in (ious, dices))
    return dict(zip(("miou", "dice"), means, strict=True)) | {"pixel_acc": right / len(pairs)}


@settings(max_examples=30)
@given(st.integers(1, 4), st.booleans(), st.booleans(), st.integers(0, 1000))
def test_figures_are_those_of_a_loop_over_pixels(channels, ignoring, broken, seed):
    classes, task = max(channels, 2), tasks.Segmentation(ignore_index=IGNORED)
    outputs, batches, pairs, entropy = [], [], [], 0.0
    for k, shape in enumerate([(2, 3, 4), (1, 5, 2)]):
        logits, target = random(seed + k, shape[0], channels, *shape[1:]), masks(k, classes, *shape)
        if ignoring:
            target[0, :2] = IGNORED
        if broken:
            logits[0, 0, 2, 1] = torch.nan
        outputs.append({"out": logits, "aux": logits + 1})
        batches.append(Batch(None, target, shape[0]))
        task.check(outputs[-1], batches[-1])
        for n in range(shape[0]):
            for i in range(shape[1]):
                for j in range(shape[2]):
                    row = logits[n, :, i, j].double().tolist()
                    row = [0.0, *row] if channels == 1 else row
                    if target[n, i, j] != IGNORED:
                        best = row.index(max(row)) if all(map(math.isfinite, row)) else None
                        pairs.append((int(target[n, i, j]), best))
                        total = sum(math.exp(value) for value in row)
                        entropy += math.log(total) - row[int(target[n, i, j])]
    found = dict(task.scores(outputs, batches))
    loss = found.pop("loss")
    assert found == pytest.approx(figures(classes, pairs, first=channels == 1))
    assert loss is None if broken else loss == pytest.approx(entropy / len(pairs))


@given(st.integers(1, 3), st.sampled_from([0.0, 0.1, 0.25, 0.5]), st.integers(0, 1000))
def test_an_image_is_corrupted_when_enough_of_its_pixels_are(channels, threshold, seed):
    was = random(seed, 6, channels, 3, 4)
    now = was + random(seed + 1, 6, channels, 3, 4) * torch.linspace(0, 2, 6)[:, None, None, None]
    target = torch.zeros(6, 3, 4).long()
    target[:, 0, 0] = IGNORED
    task = tasks.Segmentation(threshold=threshold, ignore_index=IGNORED)
    for targets, pixels in ((target, 11), (None, 12)):
        events = task.changed(was, now, Batch(None, targets, 6))
        for n in range(6):
            change = 0
            for i in range(3):
                for j in range(4):
                    a, b = was[n, :, i, j].tolist(), now[n, :, i, j].tolist()
                    a, b = ([0.0, *row] if channels == 1 else row for row in (a, b))
                    skipped = targets is not None and i == j == 0
                    change += not skipped and a.index(max(a)) != b.index(max(b))
            assert bool(events["sdc"][n]) == (change / pixels > threshold)
            assert bool(events["any-pixel"][n]) == (change > 0)


def test_logits_are_resized_to_the_targets():
    logits, target = random(0, 2, 3, 4, 4), masks(1, 3, 2, 8, 8)
    batch, task = Batch(None, target, 2), tasks.Segmentation(3)
    resized = nn.functional.interpolate(logits, (8, 8), mode="bilinear", align_corners=False)
    task.check({"logits": logits}, batch)
    found, wanted = (task.scores([each], [batch]) for each in ({"logits": logits}, resized))
    assert found["pixel_acc"] == wanted["pixel_acc"]
    assert task.loss(logits, batch) == nn.functional.cross_entropy(resized, target)


def test_without_targets_there_are_no_figures():
    task, batch = tasks.Segmentation(), Batch(None, None, 2)
    task.check(random(0, 2, 3, 4, 4), batch)
    assert (task.scores([random(0, 2, 3, 4, 4)], [batch]), task.objective) == ({}, "")
    with pytest.raises(ConfigError, match="no loss without targets"):
        task.loss(random(0, 2, 3, 4, 4), batch)


def test_what_is_undefined_is_none():
    task, batch = tasks.Segmentation(ignore_index=0), Batch(None, torch.zeros(1, 2, 2).long(), 1)
    assert set(task.scores([torch.rand(1, 3, 2, 2)], [batch]).values()) == {None}


@pytest.mark.parametrize(
    ("settings", "logits", "targets", "message"),
    [
        ({}, torch.rand(2, 3), None, r"logits are \(2, 3\)"),
        ({}, torch.rand(2, 3, 4, 4), torch.full((2, 4, 4), 255), "ignore_index=255 leaves"),
        ({}, torch.rand(2, 3, 4, 4), torch.zeros(2).long(), "height, width"),
        ({"num_classes": 5}, torch.rand(2, 3, 4, 4), None, "of 3 classes, not 5"),
        ({"logits": "mask"}, {"out": torch.rand(2, 3, 4, 4)}, None, "no 'mask'"),
    ],
)
def test_what_does_not_fit_is_one_line(settings, logits, targets, message):
    with pytest.raises(ConfigError, match=message):
        tasks.Segmentation(**settings).check(logits, Batch(None, targets, 2))


def test_a_threshold_is_a_share():
    with pytest.raises(ConfigError, match="a share of pixels below 1, not 7"):
        tasks.Segmentation(threshold=7)


class Painter(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body, self.head = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, channels, 1)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"out": self.head(torch.relu(self.body(x)))}


@pytest.mark.parametrize("channels", [1, 3])
def test_campaigns(campaigns, channels):
    torch.manual_seed(0)
    sizes = ((3, 6, 5), (2, 6, 5))
    pairs = [(random(n, n, 3, h, w), masks(n, max(channels, 2), n, h, w)) for n, h, w in sizes]
    work = Workload(Painter(channels), pairs, tasks.Segmentation(), search=pairs[:1])
    lines = campaigns(work, search=True)
    assert {"any-pixel"} == set(lines[0]["events"])
    assert {"miou", "dice", "pixel_acc", "loss"} == set(lines[0]["metrics"])


@pytest.mark.parametrize(
    ("name", "last"),
    [
        ("lraspp_mobilenet_v3_large", "classifier.high_classifier.bias"),
        ("deeplabv3_mobilenet_v3_large", "classifier.4.bias"),
    ],
)
def test_segmenters_of_torchvision(campaigns, name, last):
    segmentation = pytest.importorskip("torchvision.models.segmentation")
    torch.manual_seed(0)
    model = getattr(segmentation, name)(weights=None, weights_backbone=None, num_classes=3)
    pairs = [(random(0, 2, 3, 32, 32), masks(1, 3, 2, 32, 32))]
    work = Workload(model, pairs, tasks.Segmentation(), search=pairs)
    few = {"include": (last,), "bits": "28-30", "trials": 1}
    lines = campaigns(work, search=True, activations=False, **few)
    assert lines[0]["metrics"]["miou"] is not None


def test_segmenters_of_transformers(campaigns):
    transformers = pytest.importorskip("transformers")
    config = transformers.SegformerConfig(
        depths=[1, 1], hidden_sizes=[8, 16], num_encoder_blocks=2, sr_ratios=[2, 1],
        num_attention_heads=[1, 2], patch_sizes=[3, 3], strides=[2, 2], mlp_ratios=[2, 2],
        decoder_hidden_size=8, num_labels=3,
    )  # fmt: skip
    torch.manual_seed(0)
    model = transformers.SegformerForSemanticSegmentation(config)
    batches = [{"pixel_values": random(0, 2, 3, 16, 16), "labels": masks(1, 3, 2, 16, 16)}]
    work = Workload(model, batches, tasks.Segmentation(), search=batches)
    assert {line["n"] for line in campaigns(work, trials=1)} == {2}
