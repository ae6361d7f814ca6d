"""Layers chosen from a recorded campaign: against every subset, and on fresh faults."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import combinations

import pytest
import torch
from torch import nn

import faultsim
from faultsim.campaign import chooser
from faultsim.campaign.protecting import protected
from faultsim.campaign.protections_record import Cost
from faultsim.campaign.subject import make_experiment
from faultsim.cli import main
from faultsim.cli.harden import told
from faultsim.errors import ConfigError
from faultsim.protections.alarms import BESIDE
from faultsim.protections.known import PROTECTIONS

FREE = Cost(1.0, 1.0, 1.0, 1.0, 0.0)


class Net(nn.Module):
    """Three layers, the middle one of little weight."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.act = nn.Linear(6, 8), nn.ReLU()
        self.middle, self.head = nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.act(self.first(x))
        return self.head(h + 0.01 * self.act(self.middle(h)))


class Mixer(nn.Module):
    """A product of its own between two layers."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.pair, self.act, self.scale = nn.Linear(6, 12), nn.ReLU(), scale

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        one, other = self.act(self.pair(x)).chunk(2, -1)
        return x + self.scale * (one[..., None] @ other[..., None, :]).sum(-1)


class Products(nn.Module):
    """Products in the code of two modules, and in its own; int8 weights in the head."""

    def __init__(self) -> None:
        super().__init__()
        self.mixers = nn.Sequential(Mixer(1.0), nn.LayerNorm(6), Mixer(0.01))
        self.register_buffer("head", torch.randint(-64, 64, (6, 4), dtype=torch.int8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.einsum("bi,ij->bj", self.mixers(x), self.head.float() / 64)


@pytest.fixture
def products() -> faultsim.Workload:
    torch.manual_seed(0)
    data = torch.randn(12, 6), torch.arange(12) % 4
    return faultsim.Workload(Products().eval(), data, faultsim.tasks.Classification(4))


@pytest.fixture
def work() -> faultsim.Workload:
    torch.manual_seed(0)
    data = torch.randn(12, 6), torch.arange(12) % 3
    return faultsim.Workload(Net().eval(), data, faultsim.tasks.Classification(3))


def recorded(tmp_path, work, **settings):
    usual = {"mode": "random", "flips": (1,), "bits": "exponent", "trials": 60}
    config = faultsim.CampaignConfig(**{**usual, **settings}, out=str(tmp_path / "run"))
    return faultsim.run_campaign(config, work).directory


def lines(directory):
    return [json.loads(line) for line in (directory / "trials-0.jsonl").read_text().splitlines()]


def harm(line):
    return (line["sdc"] + line["due"]) / line["n"]


@pytest.mark.parametrize("budget", [0.3, 0.6, 0.9, 2.0])
def test_layers_are_those_that_brute_force_would_choose(tmp_path, work, budget):
    """TMR corrects every flip of a layer it is in, and takes twice its memory."""
    directory = recorded(tmp_path, work)
    found = faultsim.harden(directory, "tmr", budget, of="memory", work=work, trials=20)
    sizes = {n: 4 * sum(p.numel() for p in m.parameters()) for n, m in work.model.named_children()}
    total = sum(sizes.values())
    gains = dict.fromkeys(("first", "middle", "head"), 0.0)
    for line in lines(directory):
        gains[line["faults"][0]["tensor"].split(".")[0]] += harm(line) / 60
    every = [each for size in range(4) for each in combinations(gains, size)]
    affordable = [each for each in every if sum(2 * sizes[n] / total for n in each) <= budget]
    best = max(sum(gains[n] for n in each) for each in affordable)
    for layer in found.layers:
        assert layer.gain == pytest.approx(gains[layer.name])
        assert layer.cost == pytest.approx(2 * sizes[layer.name] / total)
    assert found.harm == pytest.approx(sum(gains.values()))
    assert -found.predicted >= 0.99 * best
    assert -found.predicted == pytest.approx(sum(x.gain for x in found.layers if x.chosen))
    assert sum(x.cost for x in found.layers if x.chosen) <= budget


def test_fresh_faults_show_that_the_choice_holds(tmp_path, work):
    directory = recorded(tmp_path, work, mode="layer-wise", bits="30", trials=25)
    found = faultsim.harden(directory, "secded", 1.0, of="memory", work=work, out=tmp_path / "hard")
    assert found.holds
    assert found.predicted == pytest.approx(-found.harm)
    fresh = [each for each in found.fresh.changes if each.rate == "failure"]
    assert all(each.introduced == each.left == 0 for each in fresh)
    assert [p.name for p in (found.fresh, found.everything)] == [found.protect, "secded"]
    record = json.loads((tmp_path / "hard" / "hardening.json").read_text())
    assert (record["protect"], record["holds"]) == (found.protect, True)
    assert (tmp_path / "hard" / "fresh" / "protections.json").is_file()
    assert all(len(paid.changes) == len({c.rate for c in paid.changes}) for paid in (found.fresh,))
    said = told(found)
    assert said[0] == f"--protect {found.protect}"
    assert "holds" in said[-1]
    safe = faultsim.protect(work, found.protect)
    names = {site.name for site in faultsim.FaultSpace(safe.model).sites}
    assert any("parametrizations" in name for name in names)


def test_range_restriction_downstream_is_chosen_where_it_covers_most(tmp_path, work):
    directory = recorded(tmp_path, work, target="activations", trials=80)
    found = faultsim.harden(directory, "ranger", 0.5, of="memory", work=work)
    assert found.method.startswith("greedy")
    assert [layer.name for layer in found.layers if layer.chosen] in ([], ["act"])


PRODUCTS = ("*:matmul@*", "*:einsum@*")


def test_products_are_chosen_by_the_modules_that_compute_them(tmp_path, products):
    settings = {"target": "operations", "bits": "30", "include": PRODUCTS, "trials": 30}
    directory = recorded(tmp_path, products, **settings)
    found = faultsim.harden(
        directory, "abft-products-recompute", 0.1, of="memory", work=products, trials=20
    )
    gains = dict.fromkeys(("", "mixers.0", "mixers.2"), 0.0)
    for line in lines(directory):
        place = line["faults"][0]["tensor"].partition(":")[0]
        gains["" if place == "(root)" else place] += harm(line) / 30
    assert {layer.name: layer.gain for layer in found.layers} == pytest.approx(gains)
    assert all(layer.chosen and not layer.cost for layer in found.layers)
    assert set(found.protect.split(",")) == {
        f"abft-products-recompute:{name or '(root)'}" for name in gains
    }
    assert found.holds
    (failure,) = (change for change in found.fresh.changes if change.rate == "failure")
    assert failure.first.value > failure.second.value == 0 == failure.introduced == failure.left


def test_products_within_a_budget_of_time(tmp_path, products, monkeypatch):
    """Costs are given here, so that which layers are bought is known."""
    prices = {"": 0.5, "mixers.0": 0.04, "mixers.2": 0.03}
    monkeypatch.setattr(chooser, "time_of_layer", lambda bare, safe, layer, *rest: prices[layer])
    spent = iter([0.04, 0.04])
    monkeypatch.setattr(chooser, "cost_of", lambda *_: replace(FREE, time=1 + next(spent)))
    settings = {"target": "operations", "bits": "30", "include": PRODUCTS, "trials": 30}
    directory = recorded(tmp_path, products, **settings)
    found = faultsim.harden(directory, "abft-products-recompute", 0.05, work=products, trials=20)
    (chosen,) = (layer for layer in found.layers if layer.chosen)
    assert chosen.gain == max(layer.gain for layer in found.layers if prices[layer.name] < 0.05)
    assert found.protect == f"abft-products-recompute:{chosen.name}"
    (failure,) = (change for change in found.fresh.changes if change.rate == "failure")
    assert failure.removed > 0 == failure.introduced
    assert failure.left > 0


@pytest.mark.parametrize("name", PROTECTIONS)
def test_every_protection_can_be_restricted_to_layers(products, name):
    """Its layers one by one make of a model what it makes of it at once."""
    if name == "in-place":  # of int8 weights alone
        products.model = Int8(products.model)
    config = faultsim.CampaignConfig(mode="random", trials=1)
    bare = make_experiment(config, products)
    found = chooser.candidates(config, bare, name)
    once = protected(config, bare, name).workload.model
    parts = protected(config, bare, [x for each in found.values() for x in each]).workload.model
    assert len(found) > 1 or name == "in-place"
    assert guarded(parts) == guarded(once)


class Int8(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.register_buffer("weight", model.head)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.weight.float()


def guarded(model):
    """What protections have put into a model, and where."""
    words = {(name, tuple(each.shape)) for name, each in model.state_dict().items()}
    return words, {name for name, module in model.named_modules() if BESIDE in vars(module)}


def test_what_only_detects_is_told_how_it_may_gain(tmp_path, work):
    """It makes one harm of another: failures are as many as before."""
    directory = recorded(tmp_path, work, target="activations", bits="30", trials=6)
    found = faultsim.harden(directory, "duplicate", 9.0, of="memory", work=work, trials=2)
    assert found.fresh is None
    assert "--rate sdc" in told(found)[0]
    silent = faultsim.harden(directory, "duplicate", 9.0, of="memory", rate="sdc", work=work)
    assert silent.predicted < 0


def test_time_is_measured_in_the_layer(tmp_path, work):
    directory = recorded(tmp_path, work)
    found = faultsim.harden(directory, "duplicate", 9.0, rate="sdc", work=work, trials=20)
    assert all(layer.cost > 0 for layer in found.layers)
    assert found.fresh is None or found.fresh.cost.time > 1


def test_nothing_for_a_budget_that_nothing_fits(tmp_path, work):
    found = faultsim.harden(recorded(tmp_path, work), "tmr", 1e-6, of="memory", work=work)
    assert (found.protect, found.fresh, found.holds, found.predicted) == ("", None, False, 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"protection": "tmr:head"}, "without any"),
        ({"protection": "tmrr"}, "did you mean 'tmr'"),
        ({"budget": 0.0}, "share above 0"),
        ({"seed": 0}, "fresh ones need another"),
        ({"work": None}, "ran on a live work"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(tmp_path, work, options, message):
    directory = recorded(tmp_path, work, trials=2)
    with pytest.raises(ConfigError, match=message) as refused:
        faultsim.harden(directory, **{"work": work, **options})
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"protect": "tmr"}, "protected model"), ({"flips": (2,)}, "single event")],
)
def test_campaigns_that_do_not_tell(tmp_path, work, settings, message):
    with pytest.raises(ConfigError, match=message):
        faultsim.harden(recorded(tmp_path, work, trials=3, **settings), work=work)


def test_the_command_refuses_what_it_cannot_run_again(tmp_path, work, capsys):
    directory = recorded(tmp_path, work, trials=2)
    assert main(["harden", str(directory), "--protection", "secded"]) == 2
    assert "ran on a live work" in capsys.readouterr().err
    assert main(["harden", str(directory), "--of", "money"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert main(["harden", str(tmp_path / "nowhere")]) == 2
