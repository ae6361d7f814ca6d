"""Trials for a margin."""

from __future__ import annotations

import pytest

from faultsim.errors import ConfigError
from faultsim.stats import sample_size


def test_sample_sizes():
    """1 % at 99 % confidence, the usual figure of fault-injection papers."""
    assert sample_size(0.01, 0.99) == 16588
    assert sample_size(0.01, 0.99, population=10_000) == 6240
    assert sample_size(0.05, 0.95, population=1) == 1
    with pytest.raises(ConfigError):
        sample_size(0)
