"""A beam follows the greedy sequence and others beside it, over landscapes of harm made by hand."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from faultsim import CampaignConfig
from faultsim.campaign import run_campaign
from faultsim.campaign.directory import TRIALS
from faultsim.data.workload import ImageWorkload
from faultsim.errors import ConfigError
from faultsim.faults import FaultSet, Site
from faultsim.run.outcome import Outcome
from faultsim.run.trial import Trial
from faultsim.schedule.beam import beam_search

BITS = 7
SITE = Site("w", "weights", "float32", (1,))
Landscape = Callable[[frozenset[int]], float]


def candidates(committed: FaultSet) -> list[FaultSet]:
    free = [bit for bit in range(BITS) if bit not in chosen(committed)]
    return [FaultSet.join([committed, FaultSet([SITE], 0, [0], 1 << bit)]) for bit in free]


def chosen(faults: FaultSet) -> frozenset[int]:
    return frozenset(bit for fault in faults for bit in fault.bits)


def outcome(accuracy: float, loss: float = 0.0) -> Outcome:
    return Outcome(10, 0, 0, 0, 10, 0.0, metrics={"acc": accuracy, "loss": loss})


def run(
    landscape: Landscape, beam: int, chance: float = 0.0, loss: Landscape | None = None
) -> tuple[list[Trial], list[float]]:
    """All trials, and the objective of the set that was reported at each number of flips."""
    by: Any = "loss" if loss else "objective"
    loss = loss or (lambda bits: 0.0)
    config = CampaignConfig(beam=beam, flips=(1, 2, 3, 4), choose_by=by)
    search = SimpleNamespace(baseline=outcome(1.0), objective="acc", chance=chance)
    steps = beam_search(config, search, "worst-case", candidates)
    trials, answer = [], None
    while True:
        try:
            together = steps.send(answer)
        except StopIteration:
            break
        trials += together
        sets = [chosen(trial.faults) for trial in together]
        answer = [outcome(landscape(bits), loss(bits)) for bits in sets]
    return trials, [landscape(chosen(t.faults)) for t in trials if t.reports]


def rough(seed: int) -> Landscape:
    def landscape(bits: frozenset[int]) -> float:
        rough = random.Random(f"{seed} {sorted(bits)}").random()
        return max(0.0, rough - 0.1 * len(bits))

    return landscape


@pytest.mark.parametrize("chance", [0.0, 0.3])
@pytest.mark.parametrize("beam", [2, 3, 9])
def test_a_beam_is_never_worse_than_the_greedy_search(beam, chance):
    better = 0
    for seed in range(60):
        greedy, wide = run(rough(seed), 1, chance)[1], run(rough(seed), beam, chance)[1]
        assert all(a <= b for a, b in zip(wide, greedy, strict=True))
        better += wide < greedy
    assert better or chance


def test_a_beam_finds_two_flips_that_hurt_only_together():
    def landscape(bits: frozenset[int]) -> float:
        if {0, 1} <= bits:
            return 0.0
        return 0.8 if 2 in bits else 1.0 - 0.1 * bool(bits)

    assert run(landscape, 1)[1][1] == 0.8
    assert run(landscape, 3)[1][1] == 0.0


@pytest.mark.parametrize("beam", [1, 3])
def test_steps_may_follow_the_loss(beam):
    """One bit turns an answer at once and leads nowhere; the loss tells of three that turn all."""

    def landscape(bits: frozenset[int]) -> float:
        return 0.0 if {4, 5, 6} <= bits else 0.9 if 0 in bits else 1.0

    def loss(bits: frozenset[int]) -> float:
        return float(len(bits & {4, 5, 6}))

    assert run(landscape, 1)[1] == [0.9] * 4
    trials, objectives = run(landscape, beam, loss=loss)
    assert objectives == [1.0, 1.0, 0.0, 0.0]  # and it ends there: the objective is at chance
    assert max(trial.cell["flips"] for trial in trials if not trial.reports) == 3


def test_no_set_is_tried_twice_in_a_step():
    trials, _ = run(rough(3), 4)
    for step in range(1, 5):
        tried = [
            chosen(t.faults)
            for t in trials
            if t.cell["flips"] == step and t.cell.get("search") == "probe"
        ]
        assert len(tried) == len(set(tried))


def test_sequences_are_named_only_where_there_are_several():
    assert not any("sequence" in trial.cell for trial in run(rough(0), 1)[0])
    assert {t.cell["sequence"] for t in run(rough(0), 3)[0] if not t.reports} == {0, 1, 2}


@pytest.mark.parametrize("setting", [{"beam": 2}, {"choose_by": "loss"}])
def test_other_modes_have_no_steps(setting):
    (flag,) = (name.replace("_", "-") for name in setting)
    with pytest.raises(ConfigError, match=f"--{flag} does not go with --mode random"):
        CampaignConfig(mode="random", **setting)


def test_an_interrupted_beam_goes_on_as_if_nothing_had_happened(model, dataset, tmp_path: Path):
    with torch.no_grad():
        other = (int(model(dataset.val.images)[0].argmax()) + 1) % 3  # not reached in one step

    def go(name: str, resume: bool = False, stop: int | None = None) -> bytes:
        def progress(now) -> None:
            if now.done == stop:
                raise KeyboardInterrupt

        config = CampaignConfig(
            beam=2, flips=(1, 2), trials=2, include=("head", "gain"), out=str(tmp_path / name),
            resume=resume, target_class=other, bits="0-20",
        )  # fmt: skip
        work = ImageWorkload(model, dataset)
        try:
            run_campaign(config, work, progress=progress)
        except KeyboardInterrupt:
            assert stop is not None
        return (tmp_path / name / TRIALS).read_bytes()

    whole = go("whole")
    assert 0 < len(go("cut", stop=70)) < len(whole)
    assert go("cut", resume=True) == whole
    assert {json.loads(line)["cell"].get("sequence") for line in whole.splitlines()} == {None, 0, 1}
