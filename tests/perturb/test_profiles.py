"""Severities: complete tables, and refusals that say what there is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faultsim.data.medmnist import NAMES
from faultsim.errors import ConfigError
from faultsim.perturb import profile_for
from faultsim.perturb.profiles import PROFILES, chosen


@pytest.mark.parametrize("name", PROFILES)
def test_tables_have_five_severities_or_none(name):
    profile = PROFILES[name]
    assert {len(profile.noise), len(profile.blur)} <= {0, 5}
    assert list(profile.noise) == sorted(set(profile.noise))
    assert list(profile.blur) == sorted(set(profile.blur))
    assert profile.source


@pytest.mark.parametrize(
    ("name", "sums"),
    [
        ("cifar-10-c", (0.37, 3.7, 1.8)),
        ("tiny-imagenet-c", (0.57, 8.5, 0.91)),
        ("imagenet-c", (1.02, 31, 2.1)),
        ("medmnist-c/bloodmnist", (0, 20, 0.41)),
        ("medmnist-c/chestmnist", (0.68, 0, 0)),
        ("medmnist-c/dermamnist", (0.68, 30, 1.5)),
        ("medmnist-c/octmnist", (0, 7.5, 1.8)),
        ("medmnist-c/organamnist", (0.6, 0, 0)),
        ("medmnist-c/pathmnist", (0, 25, 0.9)),
        ("medmnist-c/pneumoniamnist", (0.3, 0, 0)),
        ("medmnist-c/retinamnist", (0.6, 30, 1.5)),
    ],
)
def test_the_figures_add_up_to_the_sources(name, sums):
    profile = PROFILES[name]
    noise = sum(sigma for (sigma,) in profile.noise)
    radius, alias_sigma = (sum(pair[i] for pair in profile.blur) for i in (0, 1))
    assert (noise, radius, alias_sigma) == pytest.approx(sums)


def test_every_set_of_medmnist_has_a_profile():
    assert {f"medmnist-c/{name}" for name in NAMES} <= set(PROFILES)


@given(st.integers(1, 1000))
def test_the_profile_of_a_side_was_made_for_images_nearest_it(side):
    def distance(name: str) -> int:
        return abs(PROFILES[name].side - side)

    assert distance(profile_for(side)) == min(map(distance, PROFILES))
    assert "medmnist" not in profile_for(side)


def test_between_two_profiles_the_smaller_holds():
    sides = (1, 48, 49, 144, 145, 512)
    expected = ["cifar-10-c"] * 2 + ["tiny-imagenet-c"] * 2 + ["imagenet-c"] * 2
    assert [profile_for(side) for side in sides] == expected


def test_explicit_numbers_pass_through():
    assert chosen("blur", {"radius": 3, "alias_sigma": 0.5}, None, None) == (3, 0.5)
    assert chosen("noise", {"sigma": 0}, None, None) == (0,)


@pytest.mark.parametrize(
    ("sigma", "severity", "profile", "match"),
    [
        (None, None, None, "needs sigma, or a severity"),
        (0.1, 1, None, "not both"),
        (0.1, None, "imagenet-c", "not both"),
        (0.1, 1, "imagenet-c", "not both"),
        (None, 1, None, "go together"),
        (None, None, "imagenet-c", "go together"),
        (None, 0, "imagenet-c", "from 1 to 5, not 0"),
        (None, 6, "imagenet-c", "from 1 to 5, not 6"),
        (None, 1, "imagenet", "use one of cifar-10-c"),
    ],
)
def test_what_is_not_one_choice_is_refused(sigma, severity, profile, match):
    with pytest.raises(ConfigError, match=match):
        chosen("noise", {"sigma": sigma}, severity, profile)


def test_a_profile_without_the_corruption_names_those_that_have_it():
    with pytest.raises(ConfigError, match="bloodmnist has no noise; these have: cifar") as noise:
        chosen("noise", {"sigma": None}, 1, "medmnist-c/bloodmnist")
    assert "pneumoniamnist" in str(noise.value)
    assert "octmnist" not in str(noise.value)
    with pytest.raises(ConfigError, match="pneumoniamnist has no blur") as blur:
        chosen("blur", {"radius": None, "alias_sigma": None}, 1, "medmnist-c/pneumoniamnist")
    assert "octmnist" in str(blur.value)
    assert "organamnist" not in str(blur.value)
