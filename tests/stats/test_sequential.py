"""A rate is estimated until it is known: the interval holds, and few trials do."""

import math

import numpy as np
import pytest

from faultsim.errors import ConfigError
from faultsim.stats.goal import Goal
from faultsim.stats.plan import sample_size
from faultsim.stats.sequential import SequentialRate, looks

BITS = np.tile(np.arange(32), 3)
WEIGHTS = np.repeat([768.0, 120.0, 12.0], 32)
USUAL = np.where(BITS == 30, 0.45, np.where(BITS >= 23, 0.005, 0.0002))


def estimated(rates, goal, seed, weights=WEIGHTS, kin=BITS, most=10**6, **options):
    rng, rate, before = np.random.default_rng(seed), None, 0
    rate = SequentialRate(weights, goal, kin, **options)
    for n in looks():
        strata = rng.choice(len(weights), n - before, p=rate.design.chances)
        rate.add(strata, rng.random(n - before) < np.asarray(rates)[strata])
        before = n
        if rate.reached or n >= most:
            return rate


def truth_of(rates):
    return float(WEIGHTS @ rates / WEIGHTS.sum())


@pytest.mark.parametrize(
    "rates", [USUAL, np.full(96, 0.004), np.full(96, 0.3), np.where(BITS == 3, 0.01, 0.0)]
)
def test_the_interval_holds_when_it_stops(rates):
    truth, runs = truth_of(rates), 30
    found = [estimated(rates, Goal(margin=0.03, confidence=0.9), seed) for seed in range(runs)]
    held = sum(rate.estimate.low <= truth <= rate.estimate.high for rate in found)
    assert held >= 0.9 * runs - 3 * math.sqrt(runs * 0.09)
    for rate in found:
        estimate = rate.estimate
        assert max(estimate.value - estimate.low, estimate.high - estimate.value) <= 0.03
        assert estimate.n == rate.trials.sum() == rate.n


def test_it_takes_far_fewer_trials_than_the_classical_plan():
    goal = Goal(margin=0.003, confidence=0.99)
    spent = [estimated(USUAL, goal, seed).n for seed in range(2)]
    assert np.median(spent) < sample_size(0.003, 0.99) / 20


def test_a_wrong_prior_costs_trials_and_no_truth():
    goal, truth = Goal(margin=0.01), truth_of(USUAL)
    wrong = [estimated(USUAL, goal, seed, prior=USUAL[::-1]) for seed in range(10)]
    assert sum(r.estimate.low <= truth <= r.estimate.high for r in wrong) >= 8


def test_one_stratum_is_a_coin():
    rate = estimated([0.5], Goal(margin=0.05), 0, weights=[1.0], kin=[0])
    assert 0.4 < rate.estimate.value < 0.6
    assert rate.n < 4 * sample_size(0.05)


def test_where_nothing_happens_the_bound_ends_it():
    rate = estimated(np.zeros(96), Goal(margin=0.01), 0)
    assert rate.estimate.value == rate.estimate.low == 0
    assert 0 < rate.estimate.high <= 0.01
    assert rate.n < 1000


def test_a_relative_margin_is_of_the_value():
    estimate = estimated(USUAL, Goal(relative=0.3), 0).estimate
    assert estimate.low >= 0.7 * estimate.value
    assert estimate.high <= 1.3 * estimate.value


def test_every_stratum_has_a_bound_of_its_own():
    rate = estimated(USUAL, Goal(margin=0.01), 0, most=200)
    own = rate.own()
    assert [estimate.n for estimate in own] == rate.trials.tolist()
    for estimate in own:
        assert estimate.n or (math.isnan(estimate.value) and estimate.high == 1)
        assert not estimate.n or estimate.low <= estimate.value <= estimate.high


def test_looks_are_fixed():
    numbers = looks()
    found = [next(numbers) for _ in range(100)]
    assert found[:3] == [32, 48, 64]
    assert found == sorted(set(found))


@pytest.mark.parametrize("options", [{}, {"margin": 0.1, "relative": 0.1}, {"margin": 2.0}])
def test_a_goal_is_one_margin(options):
    with pytest.raises(ConfigError):
        Goal(**options)


def test_a_stratum_alone_is_not_believed_twice():
    rate = SequentialRate([1.0], Goal(margin=0.003), [0])
    rate.add(np.zeros(32, int), np.zeros(32, bool))
    assert rate.expected == pytest.approx([0.02 * 2 / 34])  # two trials' worth of the prior


def test_without_strata_it_takes_few_times_a_sample_whose_rate_is_known():
    goal, rate = Goal(margin=0.003), 0.0142
    spent = [estimated([rate], goal, s, weights=[1.0], kin=[0], most=30_000).n for s in range(5)]
    assert np.median(spent) < 3 * sample_size(goal.margin, rate=rate)


def parts_of(labels):
    return [labels == label for label in np.unique(labels)]


@pytest.mark.parametrize("labels", [BITS % 5, np.repeat(np.arange(3), 32)])
def test_parts_are_known_to_a_margin_of_their_own(labels):
    parts, goal = parts_of(labels), Goal(margin=0.03, confidence=0.99)
    rate = estimated(USUAL, goal, 1, parts=parts, part_margin=0.05)
    assert rate.reached
    for rows in parts:
        found = rate.within(rows)
        truth = float(WEIGHTS[rows] @ USUAL[rows] / WEIGHTS[rows].sum())
        assert found.low <= truth <= found.high
        assert max(found.value - found.low, found.high - found.value) <= 0.05
    alone = estimated(USUAL, goal, 1)
    assert rate.n > alone.n
    assert not all(parts_met(alone, parts, 0.05))


def parts_met(rate, parts, margin):
    goal = Goal(margin=margin)
    return [goal.met(rate.within(rows)) for rows in parts]


def test_parts_that_are_strata_of_their_own_get_what_each_lacks():
    rates = np.array([0.5, 0.001, 0.001])
    options = {"weights": [1.0, 1.0, 98.0], "kin": [0, 1, 2]}
    parts = list(np.eye(3, dtype=bool))
    rate = estimated(rates, Goal(margin=0.05), 0, parts=parts, part_margin=0.05, **options)
    least = sample_size(0.05, rate=0.5)
    assert least < rate.trials[0] < 5 * least  # though it is a hundredth of the population
    assert rate.trials[2] < rate.trials[0]
    assert rate.needed == rate.n


@pytest.mark.parametrize("happens", [0, 1])
def test_where_all_trials_are_alike_the_value_is_theirs_whatever_was_expected(happens):
    rate = SequentialRate([1.0, 2.0], Goal(margin=0.01), prior=[0.3, 0.4])
    for _ in range(3):
        rate.add([0, 1] * 20, [happens] * 40)
    assert rate.estimate.value == happens
