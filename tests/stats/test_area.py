"""The area under a ROC curve, and how it changes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from faultsim.stats import Areas, area, areas


def of(scores, truth) -> Areas:
    columns = scores.reshape(len(scores), -1), truth.reshape(len(scores), -1)
    return areas(*columns, roc_auc_score(truth, scores))


def test_weighted_areas_are_scikit_learns_with_ties_too():
    rng = np.random.default_rng(0)
    scores, truth = np.sort(rng.integers(0, 5, 40) / 5), rng.random(40) < 0.4
    weights = rng.exponential(size=(3, 40))
    least, most = area._ends(scores, truth, weights, np.zeros((3, 2)))
    expected = [roc_auc_score(truth, scores, sample_weight=weight) for weight in weights]
    assert least == pytest.approx(expected)
    assert most == pytest.approx(expected)


def test_images_more_lower_one_end_and_raise_the_other():
    """They weigh as much as they would if they were there, told wrongly and told rightly."""
    rng = np.random.default_rng(0)
    scores, truth = np.sort(rng.random(20)), np.arange(20) % 3 == 0
    weights, more = rng.exponential(size=(1, 20)), rng.exponential(size=(1, 2))
    heavier = np.concatenate([weights[0], more[0]])
    for end, extremes in zip(
        area._ends(scores, truth, weights, more), ([-9, 9], [9, -9]), strict=True
    ):
        whole = np.concatenate([scores, extremes]), np.concatenate([truth, [True, False]])
        assert end == pytest.approx(roc_auc_score(whole[1], whole[0], sample_weight=heavier))


def test_an_area_of_one_is_no_certainty_and_the_opposite_mirrors_it():
    truth = np.arange(40) % 2 == 0
    perfect = of(truth * 1.0, truth).interval()
    assert (perfect.value, perfect.high) == (1, 1)
    assert 0.6 < perfect.low < 0.9
    inverse = of(-1.0 * truth, truth).interval()
    assert (inverse.low, inverse.high) == pytest.approx((0, 1 - perfect.low))


@pytest.mark.parametrize("distance", [0, 1, 3])
def test_areas_are_covered(distance):
    rng, truth = np.random.default_rng(distance), norm.cdf(distance / 2**0.5)
    covered = 0
    for _ in range(200):
        side = np.arange(30) % 3 == 0
        found = of(rng.normal(size=30) + distance * side, side).interval()
        covered += found.low <= truth <= found.high
    assert covered >= 186


def test_the_change_of_what_moved_together_is_narrower_than_of_what_did_not():
    rng = np.random.default_rng(0)
    truth = np.arange(300) % 2 == 0
    scores = rng.normal(size=300) + truth
    before = of(scores, truth)
    near = of(scores + 0.2 * rng.normal(size=300), truth).change(before)
    far = of(rng.normal(size=300) + truth, truth).change(before)
    assert near.low < near.value < near.high
    assert near.high - near.low < 0.5 * (far.high - far.low)


def test_draws_in_parts_are_as_many(monkeypatch):
    monkeypatch.setattr("faultsim.stats.area.AT_ONCE", 5000)
    truth = np.arange(30) % 2 == 0
    assert of(truth * 1.0, truth).least.shape == (area.DRAWS,)
