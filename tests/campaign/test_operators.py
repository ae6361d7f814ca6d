"""Campaigns with operators of words, one's own among them."""

from __future__ import annotations

import importlib
import json
import sys
from dataclasses import replace

import pytest
import torch
from torch import nn

from faultsim.campaign import CampaignConfig, reproduce, run_campaign
from faultsim.config.operators import struck
from faultsim.errors import ConfigError, FaultSimError, JournalError
from faultsim.report import write_report
from faultsim.space import FaultSpace

MODULE = """
import faultsim

@faultsim.operator
def scramble(word, operand, random):
    return word ^ (random & 0xFFFFFF)
"""


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    pytest.importorskip("numba")
    folder = tmp_path_factory.mktemp("own")
    (folder / "operators_of_a_campaign.py").write_text(MODULE)
    sys.path.insert(0, str(folder))
    importlib.import_module("operators_of_a_campaign")
    yield "operators_of_a_campaign:scramble"
    sys.path.remove(str(folder))


def config(out, **settings):
    usual = {"mode": "random", "trials": 3, "flips": (2,), "limit": 16, "threads": 1}
    return CampaignConfig(out=str(out), **(usual | settings))


def lines(out):
    return [json.loads(line) for line in (out / "trials-0.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("target", ["weights", "activations", "states"])
def test_ones_own_operator_is_a_campaign_like_any_other(tmp_path, path, target):
    settings = {"op": path, "target": target}
    run_campaign(config(tmp_path / "a", **settings))
    recorded = lines(tmp_path / "a")
    assert all(fault["op"] == path for line in recorded for fault in line["faults"])
    again = reproduce(tmp_path / "a", 1, trust_code=True)
    assert not again.differences
    with pytest.raises(ConfigError, match=f"names the code {path}; --trust-code"):
        reproduce(tmp_path / "a", 1)
    journal = tmp_path / "a" / "trials-0.jsonl"
    whole = journal.read_bytes()
    journal.write_bytes(whole[: whole.index(b"\n") + 5])
    run_campaign(config(tmp_path / "a", resume=True, **settings))
    assert journal.read_bytes() == whole


CHANGING = """
import faultsim
import numba

SHIFT = {shift}

@numba.njit
def moved(word):
    return word >> SHIFT

@faultsim.operator
def shifty(word, operand, random):
    return moved(word)  # {comment}
"""


@pytest.mark.parametrize("mode", ["random", "from-file"])
def test_an_operator_whose_code_has_changed_is_refused(tmp_path, monkeypatch, mode):
    pytest.importorskip("numba")
    monkeypatch.syspath_prepend(str(tmp_path))
    source = tmp_path / f"changing_{mode.replace('-', '_')}.py"
    source.write_text(CHANGING.format(shift=1, comment="one"))
    module = importlib.import_module(source.stem)
    settings = {"op": f"{source.stem}:shifty"}
    if mode == "from-file":
        faults = tmp_path / "faults.json"
        fault = {"tensor": "head.bias", "index": 1, "op": settings["op"]}
        faults.write_text(json.dumps({"faults": [fault]}))
        settings = {"mode": mode, "faults": str(faults), "trials": None, "flips": (1,)}
    settings = config(tmp_path / "a", **settings)
    run_campaign(settings)
    assert json.loads((tmp_path / "a" / "manifest.json").read_text())["operators"]

    source.write_text(CHANGING.format(shift=1, comment="another comment"))
    importlib.reload(module)
    assert not reproduce(tmp_path / "a", 0, trust_code=True).differences
    run_campaign(replace(settings, resume=True))

    source.write_text(CHANGING.format(shift=20, comment="one"))
    importlib.reload(module)
    for call in (
        lambda: reproduce(tmp_path / "a", 0, trust_code=True),
        lambda: run_campaign(replace(settings, resume=True)),
    ):
        with pytest.raises(JournalError, match="shifty") as caught:
            call()
        assert "\n" not in str(caught.value)


def test_built_in_operators_leave_no_digest(tmp_path):
    run_campaign(config(tmp_path / "a", op="zero", trials=1))
    assert "operators" not in json.loads((tmp_path / "a" / "manifest.json").read_text())


def test_words_are_called_words(tmp_path, path):
    run_campaign(config(tmp_path / "a", op=path))
    assert [line["flips"] for line in lines(tmp_path / "a")] == [2, 2, 2]
    assert struck("flip", 1) == "1 flip"
    assert struck("stuck-at-1", 2) == "2 stuck bits"
    page = write_report([tmp_path / "a"], tmp_path / "page.html").page.read_text()
    assert f"2 words struck by {path}" in page
    assert "2 flips" not in page


@pytest.mark.parametrize(
    "settings",
    [
        {"op": "gaussian", "operand": 0.5},
        {"op": "random", "flips": (1, 3)},
        {"op": "scale", "operand": 2, "ber": 1e-3},
        {"op": "zero", "mode": "layer-wise", "trials": 1},
        {"op": "byte-shift", "operand": -1, "mode": "exhaustive", "include": ("head.bias",)},
        {
            "op": "set",
            "operand": 1e9,
            "mode": "estimate",
            "margin": 0.4,
            "trials": None,
            "flips": (1,),
        },
    ],
    ids=lambda settings: settings["op"],
)
def test_every_mode_strikes_words(tmp_path, settings):
    run_campaign(config(tmp_path / "a", **settings))
    for line in lines(tmp_path / "a"):
        assert all(fault["op"] == settings["op"] for fault in line["faults"])
        assert all(fault["mask"] == 0xFFFFFFFF for fault in line["faults"])
    assert not reproduce(tmp_path / "a", 0).differences


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"op": "scale"}, "--op scale needs --operand"),
        ({"op": "zero", "operand": 1}, "--op zero takes no --operand"),
        ({"op": "flipp"}, "did you mean 'flip'"),
        ({"op": "zero", "mode": "worst-case"}, "cannot rank --op zero: it ranks single bits"),
        ({"op": "a:b", "mode": "worst-case"}, "cannot rank --op a:b"),
        ({"op": "zero", "mode": "bit-wise"}, "bit-wise strikes single bits"),
    ],
)
def test_settings_that_do_not_fit(tmp_path, settings, told):
    with pytest.raises(ConfigError, match=told):
        config(tmp_path, **settings)


def test_an_operator_that_is_not_there_stops_before_the_first_trial(tmp_path):
    with pytest.raises(FaultSimError, match="cannot import no_such_module"):
        run_campaign(config(tmp_path / "a", op="no_such_module:f"))
    assert not (tmp_path / "a").exists()


def test_words_are_numbered_and_drawn_without_bias():
    space = FaultSpace(nn.Linear(3, 2), bits="exponent")
    assert (len(space), len(space.words), space.words.unit) == (64, 8, "word")
    faults = space.sample(8, seed=1, op="random")
    assert len({(fault.tensor, fault.index) for fault in faults}) == 8
    assert set(faults.mask.tolist()) == {0x7F800000}
    assert space.sample(3, seed=1, op="random") == faults[:3]
    assert len(set(faults.random.tolist())) == 8
    assert len(space.sample_bit_errors(1.0, seed=0, op="add", operand=1)) == 8
    assert torch.tensor(faults.operand).eq(0).all()
