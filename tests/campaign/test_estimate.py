"""Campaigns that go on until a rate is known: against truth, resumed, with any target."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import nn

from faultsim import CampaignConfig, FaultSpace, Workload, inject, load_result, run_campaign, tasks
from faultsim.campaign import reproduce
from faultsim.campaign.directory import read_campaign
from faultsim.errors import ConfigError, JournalError
from faultsim.run import engine, single
from faultsim.run.carried import gains, trials
from faultsim.run.replay import Prefix
from faultsim.schedule.strata import strata_of

MARGIN = {"mode": "estimate", "margin": 0.05, "confidence": 0.9}


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)).eval()


def workload(batches: int = 2) -> Workload:
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(10, 4, generator=generator)
    labels = torch.arange(10) % 3
    return Workload(network(), list(zip(images.split(10 // batches), labels.split(5), strict=True)),
                    tasks.Classification())  # fmt: skip


def lines_of(directory: Path) -> list[dict]:
    return [json.loads(line) for line in (directory / "trials-0.jsonl").read_text().splitlines()]


@cache
def failures() -> torch.Tensor:
    """(bits, samples) by hand: which samples fail under each single flip."""
    work = workload()
    space, samples = FaultSpace(work.model), work.read("test")
    singles = [row[None] for batch in samples for row in batch.inputs]
    with torch.no_grad():
        golden = [work.model(one) for one in singles]
        rows = []
        for position in range(len(space)):
            with inject(work.model, space.locate([position])):
                now = [work.model(one) for one in singles]
            rows.append([
                not torch.isfinite(n).all() or int(n.argmax()) != int(g.argmax())
                for n, g in zip(now, golden, strict=True)
            ])  # fmt: skip
    return torch.tensor(rows)


@pytest.mark.parametrize("granularity", ["dataset", "inference"])
def test_the_interval_holds_the_rate_over_all_bits_and_samples(tmp_path, granularity):
    work, truth = workload(), failures()
    config = CampaignConfig(**MARGIN, granularity=granularity, out=str(tmp_path / "c"))
    result = run_campaign(config, work)
    found = result.estimate
    assert found.low <= float(truth.double().mean()) <= found.high
    assert max(found.high - found.value, found.value - found.low) <= 0.05
    assert result.reached
    bit30 = next(own for cell, own in result.parts if cell == {"bit": 30})
    assert bit30.low <= float(truth[30::32].double().mean()) <= bit30.high


@pytest.mark.parametrize("granularity", ["dataset", "inference"])
def test_every_trial_is_what_the_flip_really_does_to_its_sample(tmp_path, granularity):
    work, truth = workload(), failures()
    space = FaultSpace(work.model)
    config = {**MARGIN, "max_trials": 200, "granularity": granularity}
    run_campaign(CampaignConfig(**config, out=str(tmp_path / "c")), work)
    struck = [space.locate([position]).records()[0] for position in range(len(space))]
    numbers = {(f["tensor"], f["index"], f["mask"]): n for n, f in enumerate(struck)}
    for line in lines_of(tmp_path / "c"):
        (fault,) = line["faults"]
        bit = numbers[fault["tensor"], fault["index"], fault["mask"]]
        assert line["due"] + line["sdc"] == truth[bit, line["sample"]]
        assert fault["mask"] == 1 << line["cell"]["bit"] & 0xFFFFFFFF
        assert fault["tensor"].startswith(line["cell"]["layer"])


@pytest.mark.parametrize("granularity", ["dataset", "inference"])
@pytest.mark.parametrize("kept", [1, 33, 70])
def test_it_goes_on_to_the_same_bytes(tmp_path, kept, granularity):
    config = {**MARGIN, "max_trials": 90, "granularity": granularity}
    run_campaign(CampaignConfig(**config, out=str(tmp_path / "a")), workload())
    whole = (tmp_path / "a" / "trials-0.jsonl").read_bytes()

    class Stop(Exception): ...

    def stop(progress) -> None:
        if progress.done == kept:
            raise Stop

    again = CampaignConfig(**config, out=str(tmp_path / "b"))
    with pytest.raises(Stop):
        run_campaign(again, workload(), progress=stop)
    assert len(lines_of(tmp_path / "b")) == kept
    result = run_campaign(CampaignConfig(**config, out=again.out, resume=True), workload())
    assert (tmp_path / "b" / "trials-0.jsonl").read_bytes() == whole
    assert result.estimate.n == 90
    summaries = [(tmp_path / name / "summary.json").read_bytes() for name in "ab"]
    assert summaries[0] == summaries[1]


def test_how_samples_lie_in_batches_changes_nothing(tmp_path):
    for name, batches in (("a", 2), ("b", 1)):
        work = (
            workload() if batches == 2 else Workload(network(), whole_set(), tasks.Classification())
        )
        run_campaign(CampaignConfig(**MARGIN, max_trials=80, out=str(tmp_path / name)), work)
    assert lines_of(tmp_path / "a") == lines_of(tmp_path / "b")


@pytest.mark.parametrize("target", ["weights", "activations"])
def test_in_its_batch_a_pair_is_what_it_is_there_alone(tmp_path, monkeypatch, target):
    """Carried, flipped for real or as measured, from any cut or the start: the same bytes."""
    monkeypatch.setattr(engine, "MEASURED", False)
    journals = set()
    for way in ("carried", "flipped", "measured"):
        monkeypatch.setattr(trials, "MEASURED", way != "carried")
        monkeypatch.setattr(gains, "ENOUGH", 0.0 if way == "flipped" else 0.98)
        for replay in (True, False):
            out = tmp_path / f"{way}{replay}"
            config = {**MARGIN, "max_trials": 60, "target": target, "replay": replay}
            config = CampaignConfig(**config, granularity="inference", out=str(out))
            run_campaign(config, workload())
            journals.add((out / "trials-0.jsonl").read_bytes())
    assert len(journals) == 1


@pytest.mark.parametrize("target", ["weights", "activations"])
def test_replayed_samples_change_nothing(tmp_path, monkeypatch, target):
    """From all cuts, and from the second trial of a sample on."""
    monkeypatch.setattr(engine, "MEASURED", False)
    monkeypatch.setattr(single, "OFTEN", 2)
    runs, run = [], Prefix.run

    def watched(self, number, inputs, faults):
        runs.append(self.cut(faults))
        return run(self, number, inputs, faults)

    monkeypatch.setattr(Prefix, "run", watched)
    journals = []
    for replay in (True, False):
        torch.manual_seed(0)
        layers = [nn.Linear(4, 40), nn.ReLU(), nn.Linear(40, 40), nn.ReLU(), nn.Linear(40, 3)]
        work = Workload(nn.Sequential(*layers).eval(), whole_set(), tasks.Classification())
        config = {**MARGIN, "max_trials": 90, "target": target, "replay": replay}
        run_campaign(CampaignConfig(**config, out=str(tmp_path / str(replay))), work)
        journals.append((tmp_path / str(replay) / "trials-0.jsonl").read_bytes())
        assert (len(runs) > 60) == any(runs) == replay
        runs.clear()
    assert journals[0] == journals[1]


def whole_set():
    found = workload().read("test")
    return (torch.cat([b.inputs for b in found]), torch.cat([b.targets for b in found]))


@pytest.mark.parametrize("granularity", ["dataset", "inference"])
@pytest.mark.parametrize("target", ["activations", "inputs", "module-inputs"])
def test_what_strikes_during_a_pass_strikes_the_one_sample(tmp_path, target, granularity):
    config = {**MARGIN, "target": target, "max_trials": 60, "granularity": granularity}
    result = run_campaign(CampaignConfig(**config, out=str(tmp_path / "c")), workload())
    assert result.estimate.n <= 60
    assert all(line["n"] == 1 for line in lines_of(tmp_path / "c"))
    again = reproduce(tmp_path / "c", 40, work=workload())
    assert not again.differences


def test_the_summary_tells_of_every_stratum_also_where_nothing_happened(tmp_path):
    work = workload()
    run_campaign(CampaignConfig(**MARGIN, out=str(tmp_path / "c")), work)
    found = read_campaign(tmp_path / "c").summary.estimate
    assert len(found.strata) == len(strata_of(FaultSpace(work.model), "bit,layer")) == 64
    assert sum(stratum.share for stratum in found.strata) == pytest.approx(1)
    assert {tuple(part.cell) for part in found.parts} == {("bit",), ("layer",)}
    assert all(part.high < 1 for part in found.parts if part.n > 30)
    assert found.rate == "failure"


@pytest.mark.parametrize(("by", "strata"), [("bit", 32), ("layer", 2), ("none", 1)])
def test_strata_are_as_asked(tmp_path, by, strata):
    config = CampaignConfig(**MARGIN, by=by, max_trials=50, out=str(tmp_path / "c"))
    run_campaign(config, workload())
    assert len(read_campaign(tmp_path / "c").summary.estimate.strata) == strata


def test_each_layer_is_known_to_a_margin_of_its_own(tmp_path):
    truth, work = failures().double(), workload()
    config = {"mode": "estimate", "confidence": 0.99, "by": "layer"}
    config = CampaignConfig(**config, part_margin=0.1, out=str(tmp_path / "c"))
    result = run_campaign(config, work)
    assert result.reached
    space = FaultSpace(work.model)
    places = [space.locate([position]).records()[0] for position in range(len(space))]
    for cell, own in result.parts:
        within = [place["tensor"].startswith(cell["layer"]) for place in places]
        assert own.low <= float(truth[torch.tensor(within)].mean()) <= own.high
        assert max(own.high - own.value, own.value - own.low) <= 0.1
    assert read_campaign(tmp_path / "c").summary.estimate.part_margin == 0.1


def test_a_relative_margin_is_reached(tmp_path):
    config = {"mode": "estimate", "relative": 0.4, "confidence": 0.95}
    found = run_campaign(CampaignConfig(**config, out=str(tmp_path / "c")), workload()).estimate
    assert found.low <= float(failures().double().mean()) <= found.high
    assert max(found.high - found.value, found.value - found.low) <= 0.4 * found.value


def test_an_event_of_the_task_has_a_rate_too(tmp_path):
    config = CampaignConfig(**MARGIN, rate="top-6", max_trials=50, out=str(tmp_path / "a"))
    with pytest.raises(ConfigError, match="top-5"):
        run_campaign(config, workload())
    assert not (tmp_path / "a").exists()
    due = CampaignConfig(**MARGIN, rate="due", out=str(tmp_path / "b"))
    assert run_campaign(due, workload()).estimate.value < 0.05


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"mode": "estimate"}, "--margin"),
        ({**MARGIN, "relative": 0.1}, "one of them"),
        ({"mode": "random", "part_margin": 0.1}, "--part-margin goes with"),
        ({**MARGIN, "part_margin": 0.1, "by": "none"}, "--part-margin needs parts"),
        ({**MARGIN, "trials": 5}, "--max-trials"),
        ({**MARGIN, "flips": (4,)}, "--flips does not go with --mode estimate"),
        ({**MARGIN, "direction": "0to1"}, "--direction"),
        ({**MARGIN, "observe": True}, "--observe"),
        ({"mode": "random", "margin": 0.1}, "--margin goes with"),
        ({"mode": "estimate", "margin": 1.0}, "between 0 and 1"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(settings, words):
    with pytest.raises(ConfigError, match=words):
        CampaignConfig(**settings)


def test_the_model_is_as_it_was(tmp_path):
    work = workload()
    before = [p.clone() for p in work.model.parameters()]
    run_campaign(CampaignConfig(**MARGIN, max_trials=40, out=str(tmp_path / "c")), work)
    assert all(torch.equal(a, b) for a, b in zip(before, work.model.parameters(), strict=True))


def test_a_batch_that_was_cut_wrongly_is_told(tmp_path):
    class Placed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(4, 3)

        def forward(self, rows: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
            return self.head(rows + places)  # of the four places there is one for each column

    torch.manual_seed(0)
    batch = ((torch.randn(4, 4), 5 * torch.arange(4.0)), torch.arange(4) % 3)
    config = CampaignConfig(**MARGIN, max_trials=20, out=str(tmp_path / "c"))
    with pytest.raises(ConfigError, match="batches of one sample"):
        run_campaign(config, Workload(Placed().eval(), [batch], tasks.Classification()))


def test_tokens_by_keyword_and_perturbed_images_are_cut_too(tmp_path, model, dataset):
    class Reader(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.head = nn.Embedding(9, 4), nn.Linear(4, 3)

        def forward(self, *, ids: torch.Tensor) -> torch.Tensor:
            return self.head(self.embed(ids).mean(1))

    batch = {"ids": torch.arange(20).reshape(4, 5) % 9, "labels": torch.arange(4) % 3}
    config = {**MARGIN, "max_trials": 40}
    work = Workload(Reader().eval(), [batch], tasks.Classification())
    assert run_campaign(CampaignConfig(**config, out=str(tmp_path / "a")), work).estimate.n == 40
    noisy = CampaignConfig(**config, perturb="fgsm:eps=1/255", out=str(tmp_path / "b"))
    assert run_campaign(noisy, model=model, data=dataset).estimate.n == 40


def everything(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}


@pytest.mark.parametrize("before", [{"max_trials": 50}, {"max_trials": 50, "margin": 0.2}])
@pytest.mark.parametrize("after", [{"max_trials": 300}, {"margin": 0.04}, {"max_trials": 50}])
def test_an_estimate_can_be_asked_for_more(before, after, tmp_path):
    """What there is is used again, and all is as if it had been asked for at once."""
    runs = {"more": tmp_path / "more", "once": tmp_path / "once"}
    first = CampaignConfig(**MARGIN | before, out=str(runs["more"]))
    asked = MARGIN | after
    run_campaign(first, workload())
    run_campaign(CampaignConfig(**asked, out=str(runs["more"]), resume=True), workload())
    run_campaign(CampaignConfig(**asked, out=str(runs["once"])), workload())
    assert everything(runs["more"]) == everything(runs["once"])


def test_one_that_was_stopped_tells_its_rate_when_it_ends_there(tmp_path, monkeypatch):
    asked = {**MARGIN, "margin": 0.001, "out": str(tmp_path / "a")}
    with pytest.raises(KeyboardInterrupt):
        run_campaign(CampaignConfig(**asked), workload(), progress=_stopping(after=60))
    stopped = load_result(tmp_path / "a")
    assert (stopped.finished, stopped.reached, stopped.estimate) == (False, False, None)
    there = len(lines_of(tmp_path / "a"))
    known = everything(tmp_path / "a")["trials-0.jsonl"]
    with pytest.raises(JournalError, match=f"has {there} trials, more than --max-trials 40"):
        run_campaign(CampaignConfig(**asked, max_trials=40, resume=True), workload())
    assert everything(tmp_path / "a")["trials-0.jsonl"] == known
    ended = run_campaign(CampaignConfig(**asked, max_trials=there, resume=True), workload())
    assert (ended.estimate.n, ended.reached) == (there, False)
    assert everything(tmp_path / "a")["trials-0.jsonl"] == known


def _stopping(after: int):
    """Interrupts a campaign."""

    def told(event) -> None:
        if getattr(event, "done", 0) >= after:
            raise KeyboardInterrupt

    return told


@pytest.mark.parametrize(
    "now", [{"margin": 0.06}, {"confidence": 0.95}, {"relative": 0.5, "margin": None}]
)
def test_an_estimate_is_not_asked_for_something_else(now, tmp_path):
    asked = {**MARGIN, "max_trials": 40, "out": str(tmp_path / "a")}
    run_campaign(CampaignConfig(**asked), workload())
    before = everything(tmp_path / "a")
    with pytest.raises(JournalError, match="was begun with config"):
        run_campaign(CampaignConfig(**asked | now, resume=True), workload())
    assert everything(tmp_path / "a") == before
