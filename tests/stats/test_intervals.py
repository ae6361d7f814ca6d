"""Intervals: known values, and the coverage they promise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faultsim.errors import ConfigError
from faultsim.stats import (
    Estimate,
    bootstrap_mean,
    clopper_pearson,
    image_rate,
    paired_change,
    sample_size,
    stratified,
    wilson,
)


def test_known_intervals():
    """Newcombe, Statistics in Medicine 1998, table I, 81 of 263."""
    assert (wilson(81, 263).low, wilson(81, 263).high) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    exact = clopper_pearson(81, 263)
    assert (exact.low, exact.high) == pytest.approx((0.2527, 0.3676), abs=5e-5)


@given(st.integers(1, 300), st.data())
def test_intervals_hold_their_estimate(n, data):
    events = data.draw(st.integers(0, n))
    for make in (wilson, clopper_pearson):
        estimate = make(events, n)
        assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1


def test_images_of_a_trial_are_no_independent_samples():
    """Faults corrupt all images or none: the interval is that of 40 trials, not 4,000 images."""
    rng = np.random.default_rng(0)
    covered, widths = 0, []
    for _ in range(400):
        events = 100 * (rng.random(40) < 0.3)
        estimate = image_rate(events, np.full(40, 100))
        covered += estimate.low <= 0.3 <= estimate.high
        widths.append(estimate.high - estimate.low)
    assert covered / 400 > 0.9
    assert np.mean(widths) > 0.2


def test_no_event_seen_is_not_certainty():
    estimate = image_rate(np.zeros(30), np.full(30, 500))
    assert estimate.value == 0
    assert estimate.high == pytest.approx(wilson(0, 30).high)


def test_one_trial_has_no_interval():
    assert image_rate([3], [10]) == Estimate(0.3, None, None, 1, "one trial")
    assert bootstrap_mean([0.5]).low is None


def test_bootstrap_covers_the_mean():
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(100):
        estimate = bootstrap_mean(rng.random(50))
        covered += estimate.low <= 0.5 <= estimate.high
    assert covered >= 88


def test_sample_sizes():
    """1 % at 99 % confidence, the usual figure of fault-injection papers."""
    assert sample_size(0.01, 0.99) == 16588
    assert sample_size(0.01, 0.99, population=10_000) == 6240
    assert sample_size(0.05, 0.95, population=1) == 1
    with pytest.raises(ConfigError):
        sample_size(0)


def test_strata_weigh_by_their_share():
    parts = [Estimate(0.2, 0.1, 0.3, 10, ""), Estimate(0.6, 0.4, 0.8, 10, "")]
    whole = stratified(parts, [3, 1])
    assert whole.value == pytest.approx(0.3)
    assert whole.value - whole.low == pytest.approx(np.hypot(0.75 * 0.1, 0.25 * 0.2))


def test_impossible_proportions_are_refused():
    with pytest.raises(ConfigError):
        wilson(3, 2)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_a_paired_change_holds_its_value_and_mirrors(pairs):
    before, after = zip(*pairs, strict=True)
    change, back = paired_change(before, after), paired_change(after, before)
    assert change.value == pytest.approx((sum(after) - sum(before)) / len(pairs))
    assert -1 <= change.low <= change.value <= change.high <= 1
    assert (change.low, change.high) == pytest.approx((-back.high, -back.low))


def test_a_paired_change_covers_and_is_narrower_than_an_unpaired_one():
    """Nine in ten units keep their property; the truth lies in 95 % of the intervals."""
    rng = np.random.default_rng(0)
    before = rng.random((600, 150)) < 0.85
    after = np.where(rng.random((600, 150)) < 0.1, rng.random((600, 150)) < 0.5, before)
    truth = 0.1 * (0.5 - 0.85)
    changes = [paired_change(*pair) for pair in zip(before, after, strict=True)]
    assert 0.93 < np.mean([c.low <= truth <= c.high for c in changes]) < 0.98
    shuffled = [paired_change(b, rng.permutation(a)) for b, a in zip(before, after, strict=True)]
    widths = [np.mean([c.high - c.low for c in group]) for group in (changes, shuffled)]
    assert widths[0] < 0.75 * widths[1]


def test_units_that_all_stay_alike_still_leave_doubt():
    change = paired_change([True] * 45 + [False] * 5, [True] * 45 + [False] * 5)
    assert change.low < change.value == 0 < change.high


def test_trials_that_all_agree_promise_no_certainty():
    mean = bootstrap_mean([0.99] * 10)
    assert (mean.value, mean.low, mean.high, mean.n) == (pytest.approx(0.99), None, None, 10)
    assert mean.method == "all trials alike"


@pytest.mark.parametrize("n", [2, 7, 100, 3001])
def test_resampling_in_parts_gives_the_numbers_of_one_matrix(n, monkeypatch):
    values = np.random.default_rng(n).random(n)
    whole = bootstrap_mean(values)
    monkeypatch.setattr("faultsim.stats.intervals.PART", 997)
    assert bootstrap_mean(values) == whole


def test_many_trials_of_few_values_take_little_memory_and_agree_with_resampling(monkeypatch):
    values = np.random.default_rng(1).integers(30, 61, 12_000) / 60
    counted = bootstrap_mean(values)
    monkeypatch.setattr("faultsim.stats.intervals.MANY", len(values))
    resampled = bootstrap_mean(values)
    width = resampled.high - resampled.low
    assert counted.value == resampled.value
    assert counted.low == pytest.approx(resampled.low, abs=width / 20)
    assert counted.high == pytest.approx(resampled.high, abs=width / 20)

    def never(*_):
        raise AssertionError("a matrix of trials")

    monkeypatch.undo()
    monkeypatch.setattr("faultsim.stats.intervals._resampled", never)
    assert bootstrap_mean(np.tile(values, 10)).n == 120_000
