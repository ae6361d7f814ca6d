"""Protections compared: the same faults, the same samples, the same order."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import get_args

import pytest
import torch
from rich.console import Console
from torch import nn

import faultsim
from faultsim.campaign import Change, Cost, Paid
from faultsim.campaign.protections_record import read_protections
from faultsim.campaign.recommending import best_within, recommendation
from faultsim.cli import main
from faultsim.cli.caveats import caveat_lines
from faultsim.cli.protect import tables
from faultsim.config.campaign import Mode
from faultsim.errors import ConfigError
from faultsim.stats import Estimate

RANDOM = {"mode": "random", "flips": (1,), "bits": "30", "trials": 12, "batch_size": 4}


def work_of(model: nn.Module, images: torch.Tensor) -> faultsim.Workload:
    labels = torch.arange(len(images)) % 3
    return faultsim.Workload(model, (images, labels), faultsim.tasks.Classification(3))


def compared(model, images, *protections, **settings) -> dict[str, Paid]:
    config = faultsim.CampaignConfig(**{**RANDOM, **settings})
    found = faultsim.compare_protections(config, protections, work_of(model, images))
    return {paid.name: paid for paid in found}


def change(paid: Paid, rate: str):
    return next(each for each in paid.changes if each.rate == rate)


def test_what_corrects_every_flip_leaves_nothing(model, images):
    found = compared(model, images, "secded", "tmr", "parity", trials=40)
    for name in ("secded", "parity"):
        sdc = change(found[name], "sdc")
        assert sdc.first.value > 0
        assert sdc.second.value == sdc.left == sdc.introduced == 0
        assert sdc.removed > 0
    assert change(found["secded"], "due").second.value == 0
    assert change(found["parity"], "due").second.value == 1
    assert found["secded"].own.value == 0
    assert change(found["tmr"], "sdc").second.value < change(found["tmr"], "sdc").first.value


@pytest.mark.parametrize("target", ["weights", "activations"])
def test_pairs_are_those_of_two_campaigns_of_the_same_faults(tmp_path, model, images, target):
    """An oracle: a campaign of the bare model, one of the protected, and ``compare``."""
    name, settings = "ranger,nan-guard", {**RANDOM, "target": target, "trials": 15}
    found = compared(model, images, name, **settings)[name]
    work = work_of(model, images)
    safe = faultsim.protect(work, name, batches=work.read("test", 4))
    space = faultsim.FaultSpace(
        model, target, "30", inputs=work.read("test", 4)[0].inputs, run=work.run
    )
    faults = [space.sample(1, seed=0, trial=trial) for trial in range(15)]
    places = []
    for number, (each, sets) in enumerate(
        ((work, faults), (safe, [safe.around.moved(one) for one in faults]))
    ):
        places.append(tmp_path / str(number))
        config = faultsim.CampaignConfig(batch_size=4, out=str(places[-1]))
        faultsim.run_campaign(config, each, trials=[({"flips": 1}, one) for one in sets])
    lines = [(place / "trials-0.jsonl").read_text().splitlines() for place in places]
    told = [[json.loads(line) for line in side] for side in lines]
    for rate in ("sdc", "due"):
        mine = change(found, rate)
        for side, estimate in zip(told, (mine.first, mine.second), strict=True):
            mean = sum(line[rate] / line["n"] for line in side) / 15
            assert estimate.value == pytest.approx(mean)
        pairs = [(one[rate] > 0, other[rate] > 0) for one, other in zip(*told, strict=True)]
        assert mine.removed == pairs.count((True, False))
        assert mine.introduced == pairs.count((False, True))
        assert mine.left == pairs.count((True, True))
        assert mine.difference.low <= mine.difference.value <= mine.difference.high


def test_conditions_and_trials_of_one_sample(model, images):
    found = compared(
        model, images, "secded", mode="layer-wise", granularity="inference", trials=5, bits="all"
    )["secded"]
    assert len({str(each.cell) for each in found.changes}) > 3
    assert all(each.first.n == 5 for each in found.changes)


def test_costs(model, images):
    found = compared(model, images, "secded", "duplicate", "ranger", trials=2)
    assert found["secded"].cost.memory == pytest.approx(1.125, abs=0.08)  # 8 bits for 64
    assert 1.8 < found["duplicate"].cost.memory <= 2.1
    assert all(paid.cost.golden == 0 for paid in found.values())
    assert all(paid.cost.fastest <= paid.cost.time <= paid.cost.slowest for paid in found.values())
    words = sum(-(-site.numel // 2) for site in faultsim.FaultSpace(model).sites)
    assert found["secded"].bits == 8 * words
    assert found["ranger"].bits == 64


@pytest.mark.parametrize("mode", [m for m in get_args(Mode) if m in ("worst-case", "estimate")])
def test_modes_that_search_are_refused(model, images, mode):
    extra = {"margin": 0.1} if mode == "estimate" else {}
    with pytest.raises(ConfigError, match="none are the same for two models"):
        compared(model, images, "secded", mode=mode, trials=None, **extra)


# What is written


def test_the_record_is_what_was_returned(tmp_path, model, images):
    config = faultsim.CampaignConfig(**RANDOM, out=str(tmp_path / "here"))
    found = faultsim.compare_protections(config, ["secded", "ranger"], work_of(model, images))
    record = read_protections(tmp_path / "here")
    assert record.found == found
    assert (record.trials, record.live) == (12, ["work"])
    with pytest.raises(ConfigError, match="exists: give another --out"):
        faultsim.compare_protections(config, ["secded"], work_of(model, images))


def test_a_damaged_record_is_one_line(tmp_path, model, images):
    config = faultsim.CampaignConfig(**RANDOM, out=str(tmp_path))
    faultsim.compare_protections(config, ["radar"], work_of(model, images))
    path = tmp_path / "protections.json"
    path.write_text(path.read_text().replace('"removed": ', '"removed": -'))
    with pytest.raises(faultsim.FaultSimError, match=r"protections\.json"):
        read_protections(tmp_path)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupt_leaves_nothing(tmp_path, model, images, error):
    def interrupt(done: int, total: int) -> None:
        if done > 3:
            raise error

    config = faultsim.CampaignConfig(**RANDOM, out=str(tmp_path / "here"))
    work, before = work_of(model, images), [p.clone() for p in model.parameters()]
    with pytest.raises(error):
        faultsim.compare_protections(config, ["secded"], work, progress=interrupt)
    assert not (tmp_path / "here").exists()
    assert all(map(torch.equal, before, model.parameters()))


@pytest.mark.parametrize(
    ("settings", "protections", "message"),
    [
        ({"out": "x", "resume": True}, ["secded"], "--resume is of campaigns"),
        ({"workers": 2}, ["secded"], "--workers is of campaigns"),
        ({}, ["secdet"], "'secdet' is no protection: did you mean 'secded'"),
        ({}, ["secded", "secded"], "named twice"),
        ({}, [","], "no protection was named"),
        ({}, [], "no protection was named"),
    ],
)
def test_wrong_settings_are_refused_before_anything_is_loaded(settings, protections, message):
    config = faultsim.CampaignConfig(**RANDOM, **settings, data="/nowhere.npz")
    with pytest.raises(ConfigError, match=message):
        faultsim.compare_protections(config, protections)


def paid(name: str, time: float, *rates: tuple[float, float]) -> Paid:
    changes = [
        Change({"n": n}, "sdc", *(Estimate(x, None, None, 9, "by hand") for x in (*pair, 0)))
        for n, pair in enumerate(rates)
    ]
    return Paid(name, changes, Cost(time, time, time, 1.0, 0.0), None, 0)


def test_the_recommendation_is_what_leaves_least_within_the_budget():
    found = [
        paid("dear", 1.2, (0.5, 0.0)),
        paid("good", 1.04, (0.5, 0.1)),
        paid("cheap", 1.0, (0.5, 0.4)),
        paid("useless", 1.0, (0.5, 0.5)),
    ]
    assert best_within(found, 0.05).name == "good"
    assert best_within(found, 0.01).name == "cheap"
    assert best_within(found, 0.2).name == "dear"
    assert best_within(found[3:], 1) is None
    assert "good leaves least SDC: 10 % of samples instead of 50 %" in recommendation(found, 0.05)


def test_a_recommendation_says_whether_it_is_shown():
    def with_change(*ends: tuple[float, float]) -> Paid:
        told = paid("it", 1.0, *[(0.5, 0.1)] * len(ends))
        changes = [
            replace(change, difference=Estimate(-0.4, *end, 9, "by hand"))
            for change, end in zip(told.changes, ends, strict=True)
        ]
        due = [
            replace(change, rate="due", difference=Estimate(0.2, 0, 1, 9, "")) for change in changes
        ]
        return replace(told, changes=[*changes, *due])

    said = recommendation([with_change((-0.6, -0.2))], 0.05)
    assert "The change of -40 points [-60 to -20] is shown. DUE change by +20 points." in said
    doubtful = recommendation([with_change((-0.9, 0.1))], 0.05)
    assert "[-90 to +10] is not shown, as it may be none: try more faults." in doubtful
    several = recommendation([with_change((-0.6, -0.2), (-0.9, 0.1))], 0.05)
    assert "The change is shown in 1 of 2 conditions." in several


@pytest.mark.parametrize("width", [80, 120])
def test_no_number_of_the_tables_is_cut_off(model, images, width, capsys):
    found = compared(
        model, images, "ranger,nan-guard:*,tmr,secded,weight-range", "secded", trials=3
    )
    shown = tables(list(found.values()), width)
    for table in shown:
        Console(width=width).print(table)
    assert len(shown) == 1 + (width < 120)
    told = capsys.readouterr().out
    assert "…" not in told
    assert "time" in told
    assert f"×{found['secded'].cost.memory:.3f}" in told


def test_conditions_have_room(model, images, capsys):
    found = compared(model, images, "secded", trials=2, flips=(1, 2))
    for table in tables(list(found.values()), 80):
        Console(width=80).print(table)
    told = capsys.readouterr().out
    assert "flips 1" in told
    assert "flips 2" in told
    lines = [line for line in told.splitlines() if line.startswith(("┃", "│"))]
    assert all(line.endswith(("┃", "│")) for line in lines)


def test_an_interrupted_command_says_that_nothing_is_kept(capsys, monkeypatch):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("faultsim.campaign.protecting.compare_protections", stopped)
    assert main(["protect", "--trials", "2"]) == 130
    assert "Nothing is kept of a comparison" in " ".join(capsys.readouterr().out.split())


def test_names_that_find_nothing_are_told(model, images):
    work = work_of(model, images)
    for spec in ("secded:*nothing*", "radar:*nothing*", "weight-range:*nothing*"):
        with pytest.raises(ConfigError, match=r"finds no weight called \*nothing\* that"):
            faultsim.protect(work, spec)
    name = next(name for name, each in model.named_modules() if isinstance(each, nn.Linear))
    with pytest.raises(ConfigError, match=rf"called {name}x: did you mean '{name}'"):
        faultsim.protect(work, f"tmr:{name}x")


def test_a_false_alarm_of_the_golden_run_is_told_as_one(tmp_path, model, images):
    name = next(name for name, each in model.named_modules() if isinstance(each, nn.Linear))
    path = tmp_path / "bounds.json"
    path.write_text(json.dumps({name: [-1e-3, 1e-3]}))
    with pytest.raises(ConfigError, match=r"false alarms of range-alarm"):
        compared(model, images, f"range-alarm={path}")


def test_a_campaign_says_what_its_protections_do_not_see(tmp_path, capsys):
    flags = ["--mode", "random", "--trials", "1", "--flips", "1", "--limit", "4"]
    told = []
    for number, protection in enumerate(("abft-products,ranger", "secded")):
        out = ["--protect", protection, "--out", str(tmp_path / str(number))]
        assert main(["campaign", *flags, *out]) == 0
        told.append(" ".join(capsys.readouterr().out.split()))
    assert "which flatters them" in told[0]
    assert "nothing in what they are given" in told[0]
    assert "flatters" not in told[1]
    assert "nothing in what" not in told[1]
    assert list(caveat_lines(["abft-products"], "operations")) == []


def test_the_command_prints_one_table_and_writes_record_and_page(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "150")
    out = tmp_path / "cost & harm"
    flags = ["--mode", "random", "--trials", "2", "--flips", "1", "--limit", "8", "--bits", "30"]
    flags += ["--protections", "weight-range:*norm*", "nan-guard,ranger", "--out", str(out)]
    assert main(["protect", *flags, "--no-replay"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "The same faults with and without each protection" in told
    assert "weight-range" in told
    assert "memory ×1." in told
    assert "Within 5 % more time" in told or "No protection within" in told
    assert {path.name for path in out.iterdir()} == {"protections.json", "report.html"}
    page = (out / "report.html").read_text()
    assert "Which protection pays" in page
    assert "nan-guard,ranger" in page
    assert "faultsim protect --" in page
    assert "--mode random" in page
    assert main(["report", str(out), "--figures", str(tmp_path / "figures")]) == 0
    assert "1 comparison of protections" in " ".join(capsys.readouterr().out.split())
    assert (tmp_path / "figures" / "protections.csv").read_text().count("weight-range") == 3


def test_bounds_of_other_samples(tmp_path, model, images, capsys):
    work = work_of(model, images)
    path = tmp_path / "bounds.json"
    names = {name for name, _ in model.named_modules() if name}
    path.write_text(json.dumps({name: [-1e-3, 1e-3] for name in sorted(names)[:1]}))
    safe = faultsim.protect(work, f"ranger={path}")
    assert not torch.equal(safe.run(images), work.run(images))
    with pytest.raises(ConfigError, match="takes no file of bounds"):
        faultsim.protect(work, f"tmr={path}")
    out = tmp_path / "digits.json"
    assert main(["bounds", "--limit", "8", "--out", str(out)]) == 0
    told = json.loads(out.read_text())
    assert told
    assert all(low <= high for low, high in told.values())
    wide = ["--margin", "0.25", "--limit", "8", "--out", str(tmp_path / "wide.json")]
    assert main(["bounds", *wide]) == 0
    for name, (low, high) in json.loads((tmp_path / "wide.json").read_text()).items():
        least, most = told[name]
        assert [low, high] == pytest.approx([1.25 * least - most / 4, 1.25 * most - least / 4])
    assert f"Bounds of {len(told)} layers" in " ".join(capsys.readouterr().out.split())
