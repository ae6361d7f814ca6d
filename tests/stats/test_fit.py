"""Failures in time against calculations by hand."""

from __future__ import annotations

import math

import pytest

from faultsim.errors import ConfigError
from faultsim.stats import Estimate, clopper_pearson
from faultsim.stats.fit import fit, hours_between, total


def test_fit_by_hand():
    """A memory of 8 Mbit at 500 FIT/Mbit has 4000 FIT; 3 of 100 events became failures."""
    share = clopper_pearson(3, 100)
    found = fit(share, 8 * 2**20, 500.0)
    assert found.value == pytest.approx(4000 * 3 / 100)
    assert found.low == pytest.approx(4000 * 0.0062295, rel=1e-4)  # the exact interval's ends
    assert found.high == pytest.approx(4000 * 0.0851760, rel=1e-4)
    assert found.n == 100


def test_hours_by_hand():
    """120 FIT are one failure in 8.33 million hours; of 1000 machines, in 8333."""
    rate = Estimate(120.0, 100.0, 200.0, 50, "")
    one, fleet = hours_between(rate), hours_between(rate, 1000)
    assert one.value == pytest.approx(1e9 / 120)
    assert (fleet.low, fleet.value, fleet.high) == pytest.approx((5000.0, 1e6 / 120, 10000.0))
    never = hours_between(Estimate(0.0, 0.0, 10.0, 5, ""))
    assert (never.value, never.low, never.high) == (math.inf, pytest.approx(1e8), math.inf)
    assert hours_between(Estimate(1.0, None, None, 5, "")).low is None


def test_a_sum_is_as_sure_as_all_of_its_parts():
    found = total([Estimate(1.0, 0.5, 2.0, 10, ""), Estimate(3.0, 1.0, 7.0, 20, "")])
    assert (found.value, found.low, found.high, found.n) == (4.0, 1.5, 9.0, 30)
    assert total([Estimate(1.0, None, None, 1, ""), found]).low is None


def test_what_is_no_rate_is_refused():
    share = clopper_pearson(1, 2)
    for rate, bits in ((-1.0, 8), (math.nan, 8), (math.inf, 8), (1.0, 0)):
        with pytest.raises(ConfigError, match="is no rate"):
            fit(share, bits, rate)
    with pytest.raises(ConfigError, match="a fleet of 0"):
        hours_between(share, 0)
