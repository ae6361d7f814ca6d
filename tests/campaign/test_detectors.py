"""Detectors of one's own, scored on the faults of a campaign."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import faultsim
from faultsim.errors import ConfigError

CONFIG = faultsim.CampaignConfig(mode="random", flips=(1,), bits="30", trials=40, batch_size=4)


def work_of(model: nn.Module, images: torch.Tensor) -> faultsim.Workload:
    labels = torch.arange(len(images)) % 3
    return faultsim.Workload(model, (images, labels), faultsim.tasks.Classification(3))


def confidence(output: torch.Tensor, batch: faultsim.Batch) -> torch.Tensor:
    """The sample is taken for corrupted where the model is suspiciously sure."""
    return output.softmax(1).amax(1) > 0.99


def test_a_detector_is_scored_on_the_same_faults(model, images):
    work = work_of(model, images)
    found = faultsim.score_detector(CONFIG, confidence, work)
    golden = model(images)
    space = faultsim.FaultSpace(model, bits="30")
    shares = {"sdc": [], "due": [], "harmless": []}
    for trial in range(40):
        with torch.no_grad(), faultsim.inject(model, space.sample(1, seed=0, trial=trial)):
            output = torch.cat([model(images[:4]), model(images[4:])])
        due = ~output.isfinite().all(1)
        sdc = (output.argmax(1) != golden.argmax(1)) & ~due
        said = confidence(output, None)
        for name, kind in (("sdc", sdc), ("due", due), ("harmless", ~sdc & ~due)):
            if kind.any():
                shares[name].append(said[kind].double().mean().item())
    for name, values in shares.items():
        estimate = getattr(found, name)
        if not values:
            assert estimate is None
        else:
            assert estimate.n == len(values)
            assert estimate.value == pytest.approx(sum(values) / len(values))
            assert estimate.low <= estimate.value <= estimate.high
    assert found.golden.value == confidence(golden, None).double().mean()
    assert found.trials == 40


def test_detectors_that_always_and_never_object(model, images):
    work = work_of(model, images)
    always = faultsim.score_detector(
        CONFIG, lambda o, b: torch.ones(b.size, dtype=torch.bool), work
    )
    never = faultsim.score_detector(CONFIG, lambda o, b: torch.zeros(b.size) > 0, work)
    assert always.sdc.value == always.harmless.value == always.golden.value == 1
    assert never.sdc.value == never.harmless.value == never.golden.value == 0
    with pytest.raises(
        ConfigError, match="true or false of each of 4 samples, or steps of them, not"
    ):
        faultsim.score_detector(CONFIG, lambda o, b: o, work)
    with pytest.raises(ConfigError, match="the detector fails: boom"):
        faultsim.score_detector(CONFIG, _failing, work)


@pytest.mark.parametrize("said", ["yes", None, torch.ones(4, 0) > 0, torch.ones(4, 2, 2) > 0])
def test_what_a_detector_may_not_say(model, images, said):
    with pytest.raises(ConfigError, match="must say true or false of each of 4 samples") as refused:
        faultsim.score_detector(CONFIG, lambda o, b: said, work_of(model, images))
    assert "\n" not in str(refused.value)


def _failing(output, batch):
    raise ValueError("boom")


def test_a_detector_that_answers_step_by_step_has_a_latency(model, images):
    work = work_of(model, images)

    def third_step(output, batch):
        said = torch.zeros(batch.size, 5, dtype=torch.bool)
        said[:, 2:] = True
        return said

    found = faultsim.score_detector(CONFIG, third_step, work)
    assert found.latency.value == 2
    assert found.latency.low <= 2 <= found.latency.high <= 4
    assert found.sdc.value == found.golden.value == 1
    assert found.time > 0
    plain = faultsim.score_detector(CONFIG, lambda o, b: o[:, 0] > 1e30, work)
    assert plain.latency is None
