"""Intervals of bounded means: exact where that is known, and never below their promise."""

from __future__ import annotations

import tracemalloc
from itertools import combinations_with_replacement
from math import factorial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faultsim.errors import ConfigError
from faultsim.stats import Estimate, bounded_mean, clopper_pearson, image_rate

SHARES = st.lists(st.integers(0, 20).map(lambda k: k / 20), min_size=2, max_size=40)


def ends(estimate: Estimate) -> tuple[float, float]:
    return estimate.low, estimate.high


@given(st.integers(2, 3000), st.data())
def test_of_zeros_and_ones_it_is_clopper_and_pearsons(n, data):
    events = data.draw(st.integers(0, n))
    values = np.arange(n) < events
    for confidence in (0.9, 0.99):
        exact = clopper_pearson(events, n, confidence)
        assert ends(bounded_mean(values, confidence=confidence)) == pytest.approx(ends(exact))
        rate = image_rate(200 * values, np.full(n, 200), confidence)
        assert ends(rate) == pytest.approx(ends(exact))


def coverage(support, chances, n, confidence=0.9):
    """Exactly: over every sample of n that there is."""
    mean, covered = float(np.dot(support, chances)), 0.0
    for sample in combinations_with_replacement(range(len(support)), n):
        counts = np.bincount(sample, minlength=len(support))
        ways = factorial(n) / np.prod([float(factorial(count)) for count in counts])
        estimate = bounded_mean(np.repeat(support, counts), confidence=confidence)
        if estimate.low - 1e-9 <= mean <= estimate.high + 1e-9:
            covered += ways * np.prod(np.power(chances, counts))
    return covered


@settings(max_examples=20)
@given(st.floats(0, 1), st.floats(0.001, 0.998), st.floats(0, 1), st.integers(2, 7))
def test_no_law_of_three_values_is_covered_less_than_promised(middle, low, split, n):
    chances = np.array([low, (1 - low) * split, (1 - low) * (1 - split)])
    assert coverage(np.array([0, middle, 1]), chances, n) >= 0.9 - 1e-6


@given(SHARES)
def test_an_interval_holds_its_value_mirrors_and_widens(values):
    usual, wide = bounded_mean(values), bounded_mean(values, confidence=0.99)
    assert 0 <= wide.low <= usual.low <= usual.value <= usual.high <= wide.high <= 1
    mirrored = bounded_mean([1 - value for value in values])
    assert (1 - mirrored.high, 1 - mirrored.low) == pytest.approx(ends(usual), abs=1e-8)
    moved = bounded_mean([5 * value - 2 for value in values], -2, 3)
    assert ((moved.low + 2) / 5, (moved.high + 2) / 5) == pytest.approx(ends(usual), abs=1e-8)


@given(SHARES, st.randoms())
def test_the_order_of_trials_does_not_matter(values, random):
    shuffled = random.sample(values, len(values))
    assert ends(bounded_mean(shuffled)) == pytest.approx(ends(bounded_mean(values)), abs=1e-9)


def test_skewed_trials_are_covered():
    """A rate of 1.5 %, most trials 0, a few nearly 1: Student's t covers 81 % of these."""
    rng = np.random.default_rng(0)
    hit = rng.random((400, 100)) < 0.033
    events = np.where(hit, rng.binomial(200, rng.beta(0.5, 0.63, (400, 100))), 0)
    truth = 0.033 * 0.5 / 1.13
    rates = [image_rate(trial, np.full(100, 200)) for trial in events]
    assert np.mean([rate.low <= truth <= rate.high for rate in rates]) > 0.93


def test_what_was_seen_is_not_called_impossible_and_what_was_not_is_bounded():
    once = image_rate([0] * 99 + [1], [360] * 100)
    assert 0 < once.low < once.value < once.high
    never = image_rate(np.zeros(30), np.full(30, 500))
    assert (never.low, never.value) == (0, 0)
    assert never.high == pytest.approx(1 - 0.025 ** (1 / 30))
    assert never.method == "bound, all trials alike"


@pytest.mark.parametrize("few", [[24, -32], [-30, 1, 28], [-26, -21], [-20, -14, -19]])
def test_few_changes_among_many_trials_bound_the_mean(few):
    """Differences in pairs: most are none, and some are great."""
    changes = np.zeros(200)
    changes[: len(few)] = np.array(few) / 32
    found = bounded_mean(changes, -1, 1)
    assert -0.05 < found.low < changes.mean() < found.high < 0.05


def test_trials_that_all_agree_promise_no_certainty():
    mean = bounded_mean([0.99] * 20)
    assert mean.low == pytest.approx(0.99 * 0.025 ** (1 / 20))
    assert mean.high == pytest.approx(1 - 0.01 * 0.025 ** (1 / 20))
    assert mean.method == "bound, all trials alike"


def test_one_trial_has_no_interval():
    assert image_rate([3], [10]) == Estimate(0.3, None, None, 1, "one trial")
    assert bounded_mean([0.5], unit="images") == Estimate(0.5, None, None, 1, "one image")


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9)), min_size=2, max_size=30))
def test_trials_of_different_sizes_give_the_rate_over_all_images(pairs):
    hits, sizes = [min(pair) for pair in pairs], [size for _, size in pairs]
    rate = image_rate(hits, sizes)
    assert rate.value == pytest.approx(sum(hits) / sum(sizes))
    assert 0 <= rate.low <= rate.value <= rate.high <= 1


def test_trials_of_different_sizes_are_covered():
    rng = np.random.default_rng(2)
    covered = 0
    for _ in range(300):
        sizes = rng.integers(1, 40, 60)
        rate = image_rate(np.where(rng.random(60) < 0.1, sizes, 0), sizes)
        covered += rate.low <= 0.1 <= rate.high
    assert covered / 300 > 0.93


def test_many_distinct_values_are_joined_without_harm(monkeypatch):
    values = np.random.default_rng(1).beta(0.3, 4, 5000)
    joined = bounded_mean(values)
    monkeypatch.setattr("faultsim.stats.bounded.MOST", 10_000)
    assert ends(joined) == pytest.approx(ends(bounded_mean(values)), abs=1e-3 / 5000)


def test_memory_grows_with_the_trials_alone():
    values = np.random.default_rng(1).random(100_000)
    tracemalloc.start()
    bounded_mean(values)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50e6


@pytest.mark.parametrize("values", [[0.5, 1.1], [-0.1, 0.2], [float("nan"), 0.5]])
def test_values_outside_their_range_are_refused(values):
    with pytest.raises(ConfigError, match="must lie in"):
        bounded_mean(values)
