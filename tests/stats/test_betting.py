"""Bets are fair at the true mean, and what they exclude is one piece."""

import math

import numpy as np
import pytest

from faultsim.stats.betting import Bets, Betting, anytime_share, bets_for
from faultsim.stats.design import best_design


def population(seed: int, strata: int = 12):
    rng = np.random.default_rng(seed)
    weights = rng.random(strata) + 0.01
    rates = np.where(rng.random(strata) < 0.5, rng.random(strata) * 0.01, rng.random(strata))
    return weights / weights.sum(), rates, rng


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("aim", [0.5, 0.01, 0.0001])
def test_a_bet_is_fair_at_the_true_mean_and_leaves_something_whatever_comes(seed, aim):
    weights, rates, rng = population(seed)
    design = best_design(weights, rng.random(12) * 0.99 + 0.001, aim, enough=3.7)
    bets, truth = design.bets(aim), float(weights @ rates)
    scores = np.concatenate([design.hits, design.misses])
    chances = np.concatenate([design.chances * rates, design.chances * (1 - rates)])
    assert chances @ scores == pytest.approx(truth, rel=1e-9)  # unbiased, whatever was expected
    for side in ("capital_up", "capital_down"):
        won = []
        for score in scores:
            game = Betting(0.95)
            game.add(bets, [score], [1])
            won.append(math.exp(getattr(game, side)(truth)))
        assert min(won) > 0
        assert chances @ won == pytest.approx(1, rel=1e-9)


def test_what_is_excluded_is_one_piece_on_either_side():
    rng = np.random.default_rng(0)
    game = Betting(0.95)
    for _ in range(20):
        bets = Bets(*rng.random(2) * 5, least=-0.5, most=3.0)
        game.add(bets, rng.choice([-0.4, 0.0, 0.3, 2.9], 8), rng.integers(1, 5, 8))
    means = np.linspace(0, 1, 200)
    assert np.all(np.diff([game.capital_up(m) for m in means]) <= 1e-9)
    assert np.all(np.diff([game.capital_down(m) for m in means]) >= -1e-9)


def test_what_was_excluded_stays_so():
    game, bets = Betting(0.95), bets_for(0.1, np.array([0.0, 1.0]), np.array([0.5, 0.5]), 0.0, 1.0)
    game.add(bets, [1.0], [100])
    low = game.low
    assert low > 0.5
    game.add(bets, [1.0, 0.0], [1, 60])
    assert game.low == low


def test_nothing_staked_excludes_nothing():
    game = Betting(0.95)
    game.add(Bets(0.0, 0.0, 0.0, 1.0), [1.0], [1000])
    assert (game.low, game.high) == (0, 1)


def test_the_share_of_trials_holds_at_every_moment_at_once():
    rng, truth, missed = np.random.default_rng(1), 0.03, 0
    for _ in range(150):
        hits = np.cumsum(rng.random(400) < truth)
        ends = [anytime_share(int(hits[n - 1]), n, 0.9) for n in range(1, 401, 7)]
        missed += any(not low <= truth <= high for low, high in ends)
    assert missed <= 15 + 3 * math.sqrt(150 * 0.1 * 0.9)


def test_a_share_of_nothing_is_bounded():
    assert anytime_share(0, 0, 0.95) == (0, 1)
    low, high = anytime_share(0, 1000, 0.95)
    assert low == 0
    assert 1 - 0.05 ** (1 / 1000) < high < 0.01
    assert anytime_share(1000, 1000, 0.95) == (pytest.approx(1 - high), 1)


@pytest.mark.parametrize("rare", [0.5, 1e-3, 1e-9])
def test_capital_grows_faster_by_a_bet_than_by_bolder_or_more_careful_ones(rare):
    aim, chances, outcomes = 0.01, np.array([rare, 1 - rare]), np.array([1.0, 0.0])
    bets, gains = bets_for(aim, outcomes, chances, 0.0, 1.0), chances @ outcomes + aim - outcomes

    def growth(stake):
        return chances @ np.log1p(stake * gains)

    assert growth(bets.down) > 0
    assert bets.down <= 0.9 / (1 - rare - aim)  # something is left whatever comes
    assert growth(bets.down) >= 0.98 * max(map(growth, np.linspace(0, 0.9 / -gains.min(), 400)))
