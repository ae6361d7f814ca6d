"""Every setting is checked where it is made, and nothing but a ConfigError says so."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faultsim.config import (
    CampaignConfig,
    PerturbConfig,
    StudyConfig,
    TrainConfig,
    checked_settings,
)
from faultsim.errors import ConfigError

KINDS = (CampaignConfig, PerturbConfig, StudyConfig, TrainConfig)
FIELDS = [(kind, field.name) for kind in KINDS for field in dataclasses.fields(kind)]

plain = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.complex_numbers(),
    st.text(max_size=6),
    st.binary(max_size=3),
    st.dates(),
    st.decimals(),
    st.sampled_from([10**400, np.bool_(True), np.zeros(2), object, Ellipsis]),
)
anything = st.recursive(
    plain,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=2), inner, max_size=2)
        | st.tuples(inner)
        | st.sets(st.integers(), max_size=2)
    ),
    max_leaves=4,
)


@given(st.sampled_from(FIELDS), anything)
def test_whatever_a_setting_is_given_it_is_made_or_refused_in_one_line(field, value):
    kind, name = field
    try:
        made = getattr(kind(**{name: value}), name)
    except ConfigError as error:
        said = str(error)
    else:
        said = "taken"
        assert made == value or made in ((value,), tuple(value))
        assert not isinstance(value, bool) or made is value
    assert "\n" not in said
    assert len(said) < 400


@given(st.sampled_from(dataclasses.fields(CampaignConfig)), anything)
def test_a_table_takes_what_python_takes(field, value):
    def outcome(make):
        try:
            return make()
        except ConfigError as error:
            return str(error)

    taken = outcome(lambda: checked_settings({field.name: value}))
    if isinstance(taken, str):
        assert outcome(lambda: CampaignConfig(**{field.name: value})) == taken


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"direction": "0-to-1"}, "--direction must be 0to1 or 1to0.*did you mean '0to1'"),
        ({"mode": "Random"}, "did you mean 'random'"),
        ({"op": "stuck1"}, "did you mean 'stuck-at-1'"),
        ({"device": "gpu"}, "--device must be auto, cpu or cuda, not 'gpu'$"),
        ({"target": None}, "--target must be"),
        ({"bits": "exponnet"}, "not understood.*did you mean 'exponent'"),
        ({"bits": "31-23"}, "'31-23' not understood"),
        ({"bits": 30}, "did you mean '30'"),
        ({"flips": (1, 2.0)}, "--flips must be a whole number, not 2.0"),
        ({"flips": True}, "--flips must be a whole number, not True"),
        ({"flips": ()}, "--flips needs one or more"),
        ({"trials": "5"}, "--trials must be a whole number, not '5'"),
        ({"ber": float("nan")}, "--ber must be a finite number"),
        ({"ber": 1.5}, "--ber must be at most 1"),
        ({"replay": 1}, "--replay must be true or false"),
        ({"include": [1]}, "--include must be text"),
        ({"out": "a\0b"}, "--out must not hold a NUL"),
        ({"batch_size": 99999999999999999999}, "--batch-size must be at most 2147483647"),
        ({"batch_size": 10**5000}, "--batch-size must be at most 2147483647, not this int"),
        ({"threads": 10000}, "--threads must be at most 1024"),
        ({"seed": 1 << 64}, "--seed must be at most 18446744073709551615"),
        ({"limit": 0}, "--limit must be at least 1"),
        ({"workers": 0}, "--workers must be at least 1"),
        ({"workers": None}, "--workers must be a whole number"),
        ({"workers": "aut"}, "--workers must be a number or auto, .*did you mean 'auto'"),
        ({"by": "layer,bitt"}, "--by 'bitt' not understood; use bit,layer .*did you mean 'bit'"),
        ({"by": "none,bit"}, "--by 'none' not understood"),
        ({"by": ""}, "--by '' not understood"),
        ({"trails": 3}, "unknown setting 'trails': did you mean 'trials'"),
        ({"velocity": 3}, "unknown setting 'velocity'; known are model, "),
    ],
)
def test_messages_name_the_setting_and_the_nearest_value(settings, message):
    with pytest.raises(ConfigError, match=message):
        CampaignConfig(**settings)


@pytest.mark.parametrize(
    "setting", [{"lr": 0}, {"lr": float("inf")}, {"weight_decay": -1}, {"epochs": 0}]
)
def test_a_training_that_could_not_be(setting):
    with pytest.raises(ConfigError, match=f"--{next(iter(setting)).replace('_', '-')} must be"):
        TrainConfig(**setting)


@pytest.mark.parametrize(
    ("by", "kept"),
    [("layer,bit", "bit,layer"), ("bit, layer", "bit,layer"), ("layer", "layer"), ("none", "none")],
)
def test_strata_are_named_in_any_order_and_kept_in_one(by, kept):
    assert CampaignConfig(by=by).by == kept
    assert checked_settings({"by": by}) == {"by": kept}


def test_what_is_taken_is_put_in_the_type_of_its_setting():
    config = CampaignConfig(
        mode="random", flips=1, include="fc.*", exclude=["a"], ber=1, out=Path("x")
    )
    assert config.flips == (1,)
    assert (config.include, config.exclude) == (("fc.*",), ("a",))
    assert (type(config.ber), config.out) == (float, "x")
    assert type(CampaignConfig(trials=np.int32(3)).trials) is int
    assert PerturbConfig(attack="fgsm").attack == ("fgsm",)
    assert dataclasses.replace(config, flips=[2, 3]).flips == (2, 3)
