"""The tail of a weighted sum of exponential variables, against what is known of it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import beta

from faultsim.stats.tail import positive


@pytest.mark.parametrize("ratio", [1e-9, 1e-4, 0.02, 0.3, 0.5, 0.9, 0.9999])
@pytest.mark.parametrize("up", [1, 3, 400])
@pytest.mark.parametrize("down", [1, 20, 100_000])
def test_of_two_weights_it_is_a_beta(ratio, up, down):
    weights, counts = np.array([ratio, ratio - 1]), np.array([up, down], float)
    expected = beta.sf(1 - ratio, up, down)
    assert positive(weights, counts) == pytest.approx(expected, rel=1e-5, abs=1e-9)


def test_of_different_weights_each_once_it_is_hypoexponential():
    """Of distinct a_k, P = sum over positive a_k of the product of a_k / (a_k - a_j)."""
    weights = np.array([0.7, 0.3, -0.2, -0.5, -0.8, -1.0])
    expected = sum(np.prod([a / (a - b) for b in weights if b != a]) for a in weights if a > 0)
    assert positive(weights, np.ones(6)) == pytest.approx(expected, rel=1e-7)


def test_complements_and_certainties():
    weights, counts = np.array([0.2, -0.1, 0.05, -0.4]), np.array([3.0, 2, 5, 1])
    assert positive(weights, counts) + positive(-weights, counts) == pytest.approx(1)
    assert positive(np.abs(weights), counts) == 1
    assert positive(-np.abs(weights), counts) == 0
