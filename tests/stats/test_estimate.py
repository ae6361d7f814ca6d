"""How an estimate is told."""

from __future__ import annotations

import pytest

from faultsim.stats import Estimate


@pytest.mark.parametrize(
    ("ends", "text"),
    [
        ((0.5, None, None), "50.00%"),
        ((0.125, 0.0625, 0.25), "12.50% [6.2–25.0%]"),
        ((0.0008, 0.0002, 0.0033), "0.08% [0.02–0.33%]"),  # not from 0.0
        ((0.00003, 0.000006, 0.000088), "0.0030% [0.0006–0.0088%]"),
        ((0.0, 0.0, 0.168), "0.00% [≤16.8%]"),
        ((0.0, 0.0, 0.000037), "0.00% [≤0.0037%]"),
        ((1.0, 0.832, 1.0), "100.00% [≥83.2%]"),
        ((0.25, 0.25, 0.25), "25.00% [25.0–25.0%]"),
    ],
)
def test_the_text_has_the_digits_that_tell_the_ends_apart(ends, text):
    assert str(Estimate(*ends, 9, "")) == text
