"""Shares of trials, and how they change."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from faultsim.errors import ConfigError
from faultsim.stats import clopper_pearson, paired_change


@given(st.integers(1, 3000), st.sampled_from([0.9, 0.95, 0.99]), st.data())
def test_a_share_has_scipys_exact_interval(n, confidence, data):
    events = data.draw(st.integers(0, n))
    exact = binomtest(events, n).proportion_ci(confidence, "exact")
    found = clopper_pearson(events, n, confidence)
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high), abs=1e-10)
    assert 0 <= found.low <= found.value <= found.high <= 1


@pytest.mark.parametrize("n", [5, 20, 100])
@pytest.mark.parametrize("truth", [0.001, 0.02, 0.05, 0.3, 0.5])
def test_a_share_is_never_covered_less_than_promised(n, truth):
    found = [clopper_pearson(events, n) for events in range(n + 1)]
    chances = binom.pmf(np.arange(n + 1), n, truth)
    assert chances @ [share.low <= truth <= share.high for share in found] >= 0.95


def test_impossible_proportions_are_refused():
    with pytest.raises(ConfigError):
        clopper_pearson(3, 2)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=60))
def test_a_paired_change_holds_its_value_and_mirrors(pairs):
    before, after = zip(*pairs, strict=True)
    change, back = paired_change(before, after), paired_change(after, before)
    assert change.value == pytest.approx((sum(after) - sum(before)) / len(pairs))
    assert -1 <= change.low <= change.value <= change.high <= 1
    assert (change.low, change.high) == pytest.approx((-back.high, -back.low), abs=1e-8)


def test_a_paired_change_covers_and_is_narrower_than_an_unpaired_one():
    """Nine in ten units keep their property; the truth lies in 95 % of the intervals."""
    rng = np.random.default_rng(0)
    before = rng.random((400, 150)) < 0.85
    after = np.where(rng.random((400, 150)) < 0.1, rng.random((400, 150)) < 0.5, before)
    truth = 0.1 * (0.5 - 0.85)
    changes = [paired_change(*pair) for pair in zip(before, after, strict=True)]
    assert np.mean([c.low <= truth <= c.high for c in changes]) > 0.93
    shuffled = [paired_change(b, rng.permutation(a)) for b, a in zip(before, after, strict=True)]
    widths = [np.mean([c.high - c.low for c in group]) for group in (changes, shuffled)]
    assert widths[0] < 0.75 * widths[1]


def test_units_that_all_stay_alike_still_leave_doubt():
    change = paired_change([True] * 45 + [False] * 5, [True] * 45 + [False] * 5)
    assert change.low < change.value == 0 < change.high
