"""Campaigns whose runs have several forward passes: language models that go on."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from faultsim import Batch, CampaignConfig, FaultSet, FaultSpace, Task, Workload, inject
from faultsim.campaign import reproduce
from faultsim.campaign.runner import run_campaign
from faultsim.errors import FaultSimError
from faultsim.faults import Fault


class Continuation(Task):
    """Corrupted where another token comes."""

    objective = "agreement"

    def changed(self, golden, output, batch: Batch) -> torch.Tensor:
        return (golden.argmax(-1) != output.argmax(-1)).any(1)

    def loss(self, output, batch: Batch) -> torch.Tensor:
        return -output.log_softmax(-1).amax(-1).mean()

    def scores(self, outputs, batches):
        return {"agreement": -float(sum(self.loss(o, None) for o in outputs)), "loss": 0.0}


def differentiably(model: nn.Module, ids: torch.Tensor, steps: int = 3) -> torch.Tensor:
    found, cache = [], None
    for _ in range(steps):
        logits, cache = model(ids, cache)
        found.append(logits)
        ids = logits.argmax(-1, keepdim=True)
    return torch.stack(found, 1)


@pytest.fixture
def work(decoder, prompt) -> Workload:
    batches = [prompt(3), prompt(2)]
    return Workload(decoder, batches, Continuation(), differentiably, search=batches[:1])


@pytest.fixture
def run(tmp_path):
    def go(work: Workload, name: str, sets=None, **settings) -> list[dict]:
        usual = {"mode": "random", "trials": 3, "flips": (1,), "out": str(tmp_path / name)}
        if sets is not None:
            usual["trials"] = None
        result = run_campaign(CampaignConfig(**usual | settings), work, trials=sets)
        text = (result.directory / "trials-0.jsonl").read_text()
        return [json.loads(line) for line in text.splitlines()]

    return go


MODES = [
    {"mode": "random", "trials": 8, "flips": (1, 4)}, {"mode": "layer-wise", "trials": 1},
    {"mode": "bit-wise", "trials": 1}, {"mode": "exhaustive", "bits": "30"},
    {"mode": "worst-case", "trials": 1, "flips": (2,)},
]  # fmt: skip
STRUCK = ("head", "blocks.1.mlp")
TARGETS = {"activations": STRUCK, "module-inputs": STRUCK, "kv-cache": ("(cache).1",)}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("settings", MODES, ids=lambda settings: settings["mode"])
def test_every_mode_with_replay_and_without(run, work, target, settings, tmp_path):
    settings = {"target": target, "include": TARGETS[target], **settings}
    lines = run(work, "a", **settings)
    assert lines == run(work, "b", **settings, replay=False)
    steps = {fault["step"] for line in lines for fault in line["faults"]}
    assert steps <= {0, 1, 2}
    assert len(steps) > 1 or settings["mode"] not in ("random", "exhaustive")
    assert reproduce(tmp_path / "a", len(lines) - 1, work=work).differences == []


@pytest.mark.parametrize("target", TARGETS)
def test_a_trial_is_the_loop_under_its_fault(run, work, target, decoder):
    space = FaultSpace(decoder, target, inputs=work.read("test")[0].inputs, run=work.run)
    lines = run(work, "a", target=target, trials=12, bits="exponent")
    space = space.filter(lambda site, bit: bit in site.format.fields.get("exponent", ()))
    for trial, line in enumerate(lines):
        fault = space.sample(1, seed=0, trial=trial)
        sdc = due = 0
        with torch.no_grad():
            for batch in work.read("test"):
                golden = differentiably(decoder, batch.inputs)
                with inject(decoder, fault):
                    faulty = differentiably(decoder, batch.inputs)
                broken = ~faulty.flatten(1).isfinite().all(1)
                due += int(broken.sum())
                changed = Continuation().changed(golden, faulty, batch)
                sdc += int((changed & ~broken).sum())
        assert (line["due"], line["sdc"]) == (due, sdc)


@pytest.mark.parametrize("target", TARGETS)
def test_a_fault_file_names_steps(run, work, target, decoder, tmp_path):
    space = FaultSpace(decoder, target, inputs=work.read("test")[0].inputs, run=work.run)
    path = tmp_path / "faults.json"
    faults = space.sample(3, seed=0)
    path.write_text(json.dumps(faults.records()))
    (bare,) = run(work, "a", mode="from-file", faults=str(path), trials=None)
    path.write_text(faults.to_json())
    (line,) = run(work, "b", mode="from-file", faults=str(path), trials=None)
    assert bare == line
    assert line["faults"] == faults.records()


def test_only_steps_that_every_batch_comes_to_are_struck(run, decoder, prompt, tmp_path):
    def forward(model, ids):  # two passes for the second batch
        return differentiably(model, ids, steps=2 if len(ids) == 2 else 4)

    work, found = Workload(decoder, [prompt(3), prompt(2)], Continuation(), forward), []
    usual = {"mode": "random", "trials": 20, "flips": (1,), "target": "activations"}
    config = CampaignConfig(**usual, out=str(tmp_path / "a"))
    run_campaign(config, work, progress=lambda at: found.append(at.skipped))
    assert "not every batch" in found[0]["step 2 and later"]
    space = FaultSpace(decoder, "activations", inputs=prompt(3), run=work.run)
    head = next(site for site in space.sites if site.name == "head")
    run(work, "b", [FaultSet.of(Fault(head, 0, bit=30, step=1))])
    with pytest.raises(FaultSimError, match="ended after 2 forward passes"):
        run(work, "c", [FaultSet.of(Fault(head, 0, bit=30, step=3))])
