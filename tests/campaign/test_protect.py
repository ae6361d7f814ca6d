"""Campaigns on protected models: replay is exact, and what is detected is a DUE."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import faultsim
from faultsim.campaign import reproduce
from faultsim.faults import FaultSet

CODES = ("secded", "parity-zero", "chipkill")


def work_of(model: nn.Module, images: torch.Tensor) -> faultsim.Workload:
    labels = torch.arange(len(images)) % 3
    return faultsim.Workload(model, (images, labels), faultsim.tasks.Classification(3))


def campaign(tmp_path, work, name, **settings):
    config = faultsim.CampaignConfig(
        **{"mode": "random", "flips": (3,), "trials": 8, "batch_size": 4, **settings},
        out=str(tmp_path / name),
    )
    return faultsim.run_campaign(config, work)


def journal(tmp_path, name: str) -> bytes:
    return (tmp_path / name / "trials-0.jsonl").read_bytes()


@pytest.mark.parametrize("name", CODES)
@pytest.mark.parametrize("granularity", ["dataset", "inference"])
def test_replay_is_exact(tmp_path, model, images, name, granularity):
    for replay in (True, False):
        work = work_of(model, images)
        settings = {"protect": name, "replay": replay, "granularity": granularity}
        campaign(tmp_path, work, f"replay-{replay}", **settings)
    assert journal(tmp_path, "replay-True") == journal(tmp_path, "replay-False")


@pytest.mark.parametrize(
    ("names", "settings"),
    [
        ("range-alarm,tmr", {"target": "activations", "bits": "30"}),
        ("ranger,abft-recompute", {"target": "activations", "granularity": "inference"}),
        ("nan-guard,duplicate:head,radar", {"bits": "exponent", "granularity": "inference"}),
    ],
)
def test_replay_is_exact_with_guards(tmp_path, model, images, names, settings):
    for replay in (True, False):
        work = work_of(model, images)
        campaign(tmp_path, work, f"replay-{replay}", protect=names, replay=replay, **settings)
    assert journal(tmp_path, "replay-True") == journal(tmp_path, "replay-False")


def test_parity_turns_every_single_flip_into_a_due(tmp_path, model, images):
    found = campaign(tmp_path, work_of(model, images), "parity", flips=(1,), protect="parity")
    assert found.cells[0].rates["due"].value == 1
    assert found.golden.due == 0


def test_a_flip_in_each_of_two_words_is_corrected(tmp_path, model, images):
    space = faultsim.FaultSpace(faultsim.protect(work_of(model, images), "secded").model)
    faults = [space.sample(1, seed=1, trial=trial) for trial in range(10)]
    config = faultsim.CampaignConfig(protect="secded", out=str(tmp_path / "given"))
    found = faultsim.run_campaign(config, work_of(model, images), trials=faults)
    rates = found.cells[0].rates
    assert rates["sdc"].value == rates["due"].value == 0


def test_a_trial_is_reproduced(tmp_path, model, images):
    campaign(tmp_path, work_of(model, images), "here", protect="on-die", flips=(40,), trials=3)
    again = reproduce(tmp_path / "here", 1, work=work_of(model, images))
    assert not again.differences


def test_moved_faults_are_the_same_words(model, images):
    bare = work_of(model, images)
    safe = faultsim.protect(bare, "secded")
    faults = faultsim.FaultSpace(model).sample(50, seed=3)
    moved = safe.around.moved(faults)
    assert [str(f).partition(" ")[2] for f in faults] == [str(f).partition(" ")[2] for f in moved]
    assert [(f.before, f.after) for f in faults.describe(model)] == [
        (f.before, f.after) for f in moved.describe(safe.model)
    ]
    assert isinstance(moved, FaultSet)
