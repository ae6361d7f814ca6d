"""What to buy for a budget, against every subset there is."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from faultsim.campaign.choosing import best_cover, best_subset


def subsets(costs, budget):
    numbers = range(len(costs))
    every = (each for size in range(len(costs) + 1) for each in combinations(numbers, size))
    return [list(each) for each in every if sum(costs[n] for n in each) <= budget]


@pytest.mark.parametrize("seed", range(30))
def test_a_subset_is_within_its_loss_of_the_best(seed):
    rng = np.random.default_rng(seed)
    gains, costs = rng.lognormal(0, 2, 10) - 0.3, rng.lognormal(0, 1, 10) * (rng.random(10) > 0.2)
    budget = float(rng.uniform(0, costs.sum()))
    best = max(sum(gains[n] for n in each) for each in subsets(costs, budget))
    for loss in (0.01, 0.3):
        found = best_subset(gains.tolist(), costs.tolist(), budget, loss)
        assert sum(costs[n] for n in found) <= budget
        assert sum(gains[n] for n in found) >= (1 - loss) * best


@pytest.mark.parametrize("seed", range(30))
def test_a_cover_is_within_its_guarantee_of_the_best(seed):
    rng = np.random.default_rng(seed)
    gains = rng.random((8, 12)) * (rng.random((8, 12)) > 0.6)
    costs = rng.lognormal(0, 1, 8) * (rng.random(8) > 0.2)
    budget = float(rng.uniform(0, costs.sum()))

    def gain(each):
        return gains[each].max(0).sum() if each else 0.0

    found = best_cover(gains, costs.tolist(), budget)
    assert sum(costs[n] for n in found) <= budget
    assert gain(found) >= (1 - 1 / np.e) / 2 * max(map(gain, subsets(costs, budget)))


def test_a_dense_thing_does_not_hide_a_great_one():
    assert best_cover(np.array([[2.0, 0.0], [0.0, 9.0]]), [0.1, 1.0], 1.0) == [1]
    assert best_subset([2.0, 9.0], [0.1, 1.0], 1.0) == [1]


def test_what_gains_nothing_is_not_bought():
    assert best_subset([0.0, -1.0], [0.0, 0.0], 1.0) == []
    assert best_cover(np.zeros((2, 3)), [0.0, 0.0], 1.0) == []
    assert best_subset([1.0], [2.0], 1.0) == best_cover(np.ones((1, 1)), [2.0], 1.0) == []
