"""Failures in time of recorded campaigns, against what their lines say."""

from __future__ import annotations

import json

import pytest

from faultsim import CampaignConfig, FaultSpace, run_campaign
from faultsim.campaign.directory import read_campaign
from faultsim.campaign.fit import fit_of
from faultsim.errors import ConfigError
from faultsim.stats import clopper_pearson


@pytest.fixture
def recorded(model, dataset, tmp_path):
    def run(name="out", **settings):
        known = {"mode": "random", "flips": (1,), "trials": 40, "threads": 1, "bits": "exponent"}
        config = CampaignConfig(**{**known, **settings, "out": str(tmp_path / name)})
        return read_campaign(run_campaign(config, model=model, data=dataset).directory)

    return run


def test_the_whole_is_rate_times_bits_times_share(recorded, model):
    found = recorded()
    told = fit_of(found.manifest, found.lines, fit_per_mbit=1000.0)
    bits = len(FaultSpace(model, bits="exponent"))
    raw = 1000.0 * bits / 2**20
    wrong = [line.sdc + line.due for line in found.lines]
    assert told.whole.bits == bits
    assert sum(wrong)
    failure = told.whole.rates["failure"]
    assert failure.value == pytest.approx(raw * sum(wrong) / (40 * found.lines[0].n))
    trials = clopper_pearson(sum(n > 0 for n in wrong), 40)
    any_failure = told.whole.rates["trial_failure"]
    assert any_failure.value == pytest.approx(raw * trials.value)
    assert any_failure.high == pytest.approx(raw * trials.high)


def test_layers_of_a_random_campaign_share_its_trials(recorded, model):
    found = recorded()
    told = fit_of(found.manifest, found.lines, fit_per_mbit=1.0)
    layers = FaultSpace(model, bits="exponent").layers()
    assert {name: part.bits for name, part in told.layers.items()} == {
        name: len(space) for name, space in layers.items()
    }
    assert sum(part.rates["sdc"].n for part in told.layers.values()) == 40
    head = [line for line in found.lines if line.faults[0].tensor.startswith("head.")]
    share = sum(line.sdc for line in head) / sum(line.n for line in head)
    raw = len(layers["head"]) / 2**20
    assert told.layers["head"].rates["sdc"].value == pytest.approx(raw * share)


def test_a_layer_wise_campaign_adds_up(recorded):
    found = recorded(mode="layer-wise", trials=10)
    told = fit_of(found.manifest, found.lines, fit_per_mbit=7.0)
    for name, whole in told.whole.rates.items():
        parts = [part.rates[name] for part in told.layers.values()]
        assert whole.value == pytest.approx(sum(part.value for part in parts))
        assert whole.high >= sum(part.high for part in parts)
        assert whole.low <= sum(part.low for part in parts)
    assert all(part.rates["sdc"].n == 10 for part in told.layers.values())


def test_an_exhaustive_campaign_has_no_interval(recorded):
    found = recorded(mode="exhaustive", trials=None, include=("head.bias",), bits="all")
    told = fit_of(found.manifest, found.lines, fit_per_mbit=7.0)
    assert told.whole.rates["failure"].low is None
    assert told.whole.bits == 96


def test_an_estimate_has_its_own_rate(recorded):
    found = recorded(mode="estimate", trials=None, flips=(1, 2, 4), margin=0.2, rate="sdc")
    told = fit_of(found.manifest, found.lines, found.summary.estimate, 10.0)
    raw = 10.0 * told.whole.bits / 2**20
    assert set(told.whole.rates) == {"sdc"}
    assert told.whole.rates["sdc"].value == pytest.approx(raw * found.summary.estimate.value)
    assert set(told.layers) == {"conv", "norm", "(root)", "head"}


def test_a_rate_that_is_known_is_in_the_summary(recorded):
    plain = recorded()
    assert plain.summary.fit is None
    known = recorded("known", fit_per_mbit=500.0)
    told = fit_of(known.manifest, known.lines)
    assert json.loads(json.dumps(told.to_json())) == told.to_json()
    assert known.summary.fit.fit_per_mbit == 500.0
    assert known.summary.fit.whole.rates["sdc"].value == told.whole.rates["sdc"].value
    events = recorded("events", flips=(1, 2, 4), fault_model="seu", bits="all")
    assert events.summary.fit.fit_per_mbit == 950.0
    several = recorded("several", flips=(1, 2, 4), fault_model="seu", bits="all", events=(2,))
    assert several.summary.fit is None


def test_what_does_not_tell_is_refused(recorded):
    many = recorded(flips=(4,))
    with pytest.raises(ConfigError, match="give --fit-per-mbit"):
        fit_of(many.manifest, many.lines)
    with pytest.raises(ConfigError, match="no trial is of a single event"):
        fit_of(many.manifest, many.lines, fit_per_mbit=1.0)
    bits = recorded("bits", mode="bit-wise", trials=1)
    with pytest.raises(ConfigError, match="a bit-wise campaign does not tell FIT"):
        fit_of(bits.manifest, bits.lines, fit_per_mbit=1.0)
