"""Detection: boxes against every possible pairing, both forms of outputs, campaigns, mAP."""

from __future__ import annotations

from itertools import permutations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from faultsim import Batch, Workload, tasks
from faultsim.errors import ConfigError
from faultsim.workload.boxes import Boxes, changes

Images = list[dict[str, torch.Tensor]]


def image(*boxes: tuple[float, float, float, float, int, float]) -> dict[str, torch.Tensor]:
    rows = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 6)
    return {"boxes": rows[:, :4], "labels": rows[:, 4].long(), "scores": rows[:, 5]}


CAR = (0.0, 0.0, 10.0, 10.0, 1, 0.9)
DOG = (20.0, 20.0, 30.0, 40.0, 2, 0.8)


def events(was: Images, now: Images, **settings) -> list[set[str]]:
    found = tasks.Detection(**settings).changed(was, now, Batch(None, None, len(was)))
    return [{name for name, flags in found.items() if flags[n]} for n in range(len(was))]


@pytest.mark.parametrize(
    ("now", "wanted"),
    [
        ([CAR, DOG], set()),
        ([DOG, CAR], set()),
        ([(0, 0, 10, 9, 1, 0.6), DOG], set()),
        ([CAR], {"vanished"}),
        ([CAR, DOG, (50, 50, 60, 60, 1, 0.7)], {"appeared"}),
        ([(0, 0, 10, 10, 3, 0.9), DOG], {"relabelled"}),
        ([(0, 6, 10, 16, 1, 0.9), DOG], {"moved"}),
        ([(70, 70, 80, 80, 1, 0.9), DOG], {"vanished", "appeared"}),
        ([CAR, (20, 20, 30, 40, 2, 0.4)], {"vanished"}),
        ([CAR, CAR, DOG], {"appeared"}),
        ([CAR, (float("nan"), 20, 30, 40, 2, 0.8)], {"vanished", "appeared"}),
        ([CAR, (20, 20, 30, 40, 2, float("nan"))], {"vanished"}),
        ([], {"vanished"}),
    ],
)
def test_each_way_of_changing_is_an_event(now, wanted):
    others = [image(CAR), image()]
    found = events([image(CAR, DOG), *others], [image(*now), *others])
    assert found == [wanted | ({"sdc"} if wanted else set()), set(), set()]


def test_a_box_without_an_area_that_stays_has_not_changed():
    point = image((3, 3, 3, 3, 1, 0.9))
    assert events([point], [point]) == [set()]


def iou(a: list[float], b: list[float]) -> float:
    width, height = (min(a[k + 2], b[k + 2]) - max(a[k], b[k]) for k in (0, 1))
    common = max(0.0, width) * max(0.0, height)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    return common / (areas - common)


def best(was: list, now: list, allowed) -> list[tuple[int, int]]:
    """Of all pairings the one with most pairs, then the largest overlap."""
    size = max(len(was), len(now))
    found = []
    for order in permutations(range(size)):
        pairs = [(i, j) for i, j in enumerate(order) if i < len(was) and j < len(now)]
        pairs = [(i, j) for i, j in pairs if allowed(was[i], now[j])]
        overlap = sum(iou(was[i][:4], now[j][:4]) for i, j in pairs)
        found.append(((len(pairs), overlap), pairs))
    return max(found)[1]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 4), st.integers(0, 4), st.sampled_from([0.3, 0.5, 0.8]), st.integers(0, 999))
def test_pairs_are_the_best_of_all_pairings(k, m, least, seed):
    generator = torch.Generator().manual_seed(seed)

    def boxes(n: int) -> Boxes:
        corner = torch.rand(n, 2, generator=generator) * 3
        sides = 2 + torch.rand(n, 2, generator=generator) * 2
        labels = torch.randint(0, 2, (n,), generator=generator)
        return Boxes(torch.cat([corner, corner + sides], 1), labels, torch.ones(n))

    golden, faulty = boxes(k), boxes(m)
    was, now = (
        [[*row, label] for row, label in zip(b.corners.tolist(), b.labels.tolist(), strict=True)]
        for b in (golden, faulty)
    )
    counts = []
    for allowed in (
        lambda a, b: a[4] == b[4] and iou(a[:4], b[:4]) >= least,
        lambda a, b: a[4] != b[4] and iou(a[:4], b[:4]) >= least,
        lambda a, b: a[4] == b[4] and iou(a[:4], b[:4]) > 0,
    ):
        pairs = best(was, now, allowed)
        counts.append(len(pairs))
        was = [box for i, box in enumerate(was) if i not in {i for i, _ in pairs}]
        now = [box for j, box in enumerate(now) if j not in {j for _, j in pairs}]
    assert changes(golden, faulty, least) == (len(now), len(was), counts[2], counts[1])


@pytest.mark.parametrize("no_object", [True, False])
def test_queries_are_boxes_with_the_score_of_their_class(no_object):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 5, 4, generator=generator) * 3
    centred = torch.rand(2, 5, 4, generator=generator)
    output = {"logits": logits, "pred_boxes": centred, "hidden": torch.rand(3)}
    task, batch = tasks.Detection(0.4, no_object=no_object), Batch(None, None, 2)
    task.check(output, batch)
    images = []
    for n in range(2):
        rows = []
        for q in range(5):
            values = logits[n, q].double()
            shares = (values.exp() / values.exp().sum())[:3] if no_object else values.sigmoid()
            x, y, w, h = centred[n, q].tolist()
            corners = (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
            rows.append((*corners, int(shares.argmax()), float(shares.max())))
        images.append(image(*rows))
    assert events(images, task_images(task, output), threshold=0.4) == [set(), set()]
    assert len(task.samples(output, 2)) == 2
    raised = {name: torch.full_like(value, torch.nan) for name, value in output.items()}
    found = task.changed(output, raised, batch)
    assert found["sdc"].equal(found["vanished"])


def task_images(task: tasks.Detection, output) -> Images:
    names = ("boxes", "labels", "scores")
    return [dict(zip(names, boxes, strict=True)) for boxes in task._found(output)]


def test_without_targets_a_search_lowers_the_share_of_unharmed_images():
    task, batch = tasks.Detection(), Batch(None, None, 1)
    task.check([image(CAR)], batch)
    assert (task.objective, task.scores([[image(CAR)]], [batch])) == ("", {})


def test_the_loss_is_the_models_own_or_grows_as_scores_fall():
    task, batch = tasks.Detection(), Batch(None, None, 1)
    bright, pale = ([image(CAR, (*DOG[:5], score))] for score in (0.9, 0.6))
    assert task.loss(bright, batch) < task.loss(pale, batch)
    assert task.loss([image()], batch) == 0
    queries = {"logits": torch.rand(1, 2, 3), "pred_boxes": torch.rand(1, 2, 4)}
    assert task.loss({**queries, "loss": torch.tensor(7.0)}, batch) == 7


@pytest.mark.parametrize(
    ("output", "size", "message"),
    [
        (torch.rand(2, 3), 2, "boxes, labels and scores of each image"),
        ([{"boxes": torch.rand(1, 4)}], 1, "boxes, labels and scores of each image"),
        ([image(CAR)], 2, "boxes of 1 images, not of 2"),
    ],
)
def test_what_does_not_fit_is_one_line(output, size, message):
    with pytest.raises(ConfigError, match=message):
        tasks.Detection().check(output, Batch(None, None, size))


def test_a_threshold_is_a_share():
    with pytest.raises(ConfigError, match="iou must be from 0 to 1, not 50"):
        tasks.Detection(iou=50)


def mean_precision(found: Images, targets: Images, least: float) -> float:
    """COCO's: precision at 101 recalls, of each class that the targets have."""
    precisions = []
    for label in {int(v) for target in targets for v in target["labels"]}:
        wanted = [t["boxes"][t["labels"] == label].tolist() for t in targets]
        free = [list(range(len(boxes))) for boxes in wanted]
        rows = [
            (float(s), n, box)
            for n, each in enumerate(found)
            for s, kind, box in zip(
                each["scores"], each["labels"], each["boxes"].tolist(), strict=True
            )
            if kind == label
        ]
        hits = []
        for _, n, box in sorted(rows, key=lambda row: -row[0]):
            near = [(iou(box, wanted[n][k]), k) for k in free[n]]
            overlap, k = max(near, default=(0.0, -1))
            hits.append(overlap >= least)
            if overlap >= least:
                free[n].remove(k)
        total = sum(map(len, wanted))
        curve = [
            (sum(hits[: k + 1]) / total, sum(hits[: k + 1]) / (k + 1)) for k in range(len(hits))
        ]
        levels = [
            max((p for r, p in curve if r >= level / 100 - 1e-9), default=0.0)
            for level in range(101)
        ]
        precisions.append(sum(levels) / 101)
    return sum(precisions) / len(precisions)


@pytest.fixture
def precise() -> None:
    for module in ("torchmetrics.detection", "pycocotools", "torchvision"):
        pytest.importorskip(module)


@pytest.mark.parametrize("seed", range(4))
def test_figures_are_cocos_mean_average_precision(precise, seed):
    generator = torch.Generator().manual_seed(seed)

    def some(n: int) -> dict[str, torch.Tensor]:
        corner = torch.rand(n, 2, generator=generator) * 200
        sides = 100 + torch.rand(n, 2, generator=generator) * 100
        labels = torch.randint(0, 2, (n,), generator=generator)
        scores = torch.rand(n, generator=generator)
        return {"boxes": torch.cat([corner, corner + sides], 1), "labels": labels, "scores": scores}

    found, targets = [some(6), some(3), some(0)], [some(4), some(2), some(1)]
    batches = [Batch(None, targets[:2], 2), Batch(None, targets[2:], 1)]
    task = tasks.Detection()
    task.check(found[:2], batches[0])
    scores = task.scores([found[:2], found[2:]], batches)
    assert scores["map_50"] == pytest.approx(mean_precision(found, targets, 0.5))
    assert scores["map_75"] == pytest.approx(mean_precision(found, targets, 0.75))
    broken = [{**found[0], "boxes": found[0]["boxes"] * torch.nan}, found[1]]
    assert task.scores([broken], batches[:1])["map"] is not None


def test_targets_of_queries_are_centred(precise):
    centred = torch.tensor([[0.3, 0.4, 0.2, 0.2]])
    logits = torch.tensor([[[-9.0, 9.0, 0.0]]])
    output = {"logits": logits, "pred_boxes": centred[None]}
    target = {"class_labels": torch.tensor([1]), "boxes": centred}
    assert tasks.Detection().scores([output], [Batch(None, [target], 1)])["map"] == 1
    none = {"class_labels": torch.empty(0).long(), "boxes": torch.empty(0, 4)}
    assert tasks.Detection().scores([output], [Batch(None, [none], 1)])["map"] is None


def test_huge_boxes_have_a_figure(precise):
    target = {"boxes": torch.tensor([CAR[:4]]), "labels": torch.tensor([1])}
    huge = image((-3e38, -3e38, 3e38, 3e38, 1, 0.9))
    assert tasks.Detection().scores([[huge]], [Batch(None, [target], 1)])["map"] == 0


class Finder(nn.Module):
    """Images of any size in a list, as many boxes an image as it likes."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Conv2d(1, 4, 3, padding=1), nn.Linear(4, 6)

    def forward(self, images: list[torch.Tensor]) -> Images:
        return [self.one(torch.relu(self.body(each[None]))) for each in images]

    def one(self, features: torch.Tensor) -> dict[str, torch.Tensor]:
        rows = self.head(features[0].flatten(1).T)
        scores, corner = rows[:, 0].sigmoid(), rows[:, 1:3] * 5
        kept = scores > 0.3
        boxes = torch.cat([corner, corner + 1 + rows[:, 3:5].abs()], 1)
        return {
            "boxes": boxes[kept],
            "labels": (rows[:, 5] > 0).long()[kept],
            "scores": scores[kept],
        }


def test_campaigns(campaigns):
    torch.manual_seed(0)
    images = [[torch.rand(1, 3, 5), torch.rand(1, 2, 4)], [torch.rand(1, 3, 3)]]
    batches = [Batch(each, None, len(each)) for each in images]
    work = Workload(Finder(), batches, tasks.Detection(0.45), search=batches)
    lines = campaigns(work, search=True, activations=False)
    assert set(lines[0]["events"]) == {"appeared", "vanished", "moved", "relabelled"}
    assert sum(line["events"]["vanished"] for line in lines) > 0


def test_detectors_of_torchvision(precise, campaigns):
    from torchvision.models.detection import fasterrcnn_mobilenet_v3_large_320_fpn

    torch.manual_seed(0)
    model = fasterrcnn_mobilenet_v3_large_320_fpn(
        weights=None, weights_backbone=None, num_classes=3, min_size=32, max_size=32,
        box_score_thresh=0.2, box_detections_per_img=5,
    )  # fmt: skip
    target = {"boxes": torch.tensor([[2.0, 2.0, 20.0, 20.0]]), "labels": torch.tensor([1])}
    batches = [([torch.rand(3, 32, 32), torch.rand(3, 24, 32)], [target, target])]
    work = Workload(model, batches, tasks.Detection(0.2), search=batches)
    few = {"include": ("*cls_score.bias",), "bits": "28-30", "trials": 1}
    lines = campaigns(work, search=True, activations=False, **few)
    assert set(lines[0]["metrics"]) == {"map", "map_50", "map_75"}


def test_detectors_of_transformers(campaigns):
    transformers = pytest.importorskip("transformers")
    config = transformers.YolosConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        image_size=[32, 32], patch_size=16, num_detection_tokens=4, num_labels=3,
    )  # fmt: skip
    torch.manual_seed(0)
    model = transformers.YolosForObjectDetection(config)
    batches = [
        {"pixel_values": torch.rand(2, 3, 32, 32)},
        {"pixel_values": torch.rand(1, 3, 32, 32)},
    ]
    work = Workload(model, batches, tasks.Detection(0.2), search=batches)
    lines = campaigns(work, search=True)
    assert lines[0]["n"] == 3
