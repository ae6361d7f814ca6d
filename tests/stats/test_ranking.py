"""Which of several estimates may be the greatest."""

from __future__ import annotations

import numpy as np

from faultsim.stats import Estimate, clopper_pearson
from faultsim.stats.ranking import confidence_of_each, may_be_first


def test_only_those_whose_intervals_reach_the_highest_lower_end():
    found = [Estimate(v, v - 0.1, v + 0.1, 10, "m") for v in (0.9, 0.75, 0.5)]
    assert may_be_first(found) == [True, True, False]
    assert may_be_first([]) == []


def test_exact_values_rank_exactly_and_a_single_trial_tells_nothing():
    exact = [Estimate(v, None, None, 5, "exhaustive") for v in (0.3, 0.2)]
    assert may_be_first(exact) == [True, False]
    assert may_be_first([*exact, Estimate(0.0, None, None, 1, "one trial")]) == [True, False, True]


def test_the_worst_of_many_is_kept_as_often_as_promised():
    rng = np.random.default_rng(0)
    rates = np.array([0.30, *[0.25] * 19])
    each = confidence_of_each(len(rates))
    kept = 0
    for hits in rng.binomial(100, rates, size=(200, len(rates))):
        found = [clopper_pearson(int(k), 100, each) for k in hits]
        kept += may_be_first(found)[0]
    assert kept >= 0.95 * 200
