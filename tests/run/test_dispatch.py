"""What sees the operators of a pass."""

from __future__ import annotations

import pytest

from faultsim.run.carried.costs import Costs
from faultsim.run.carried.operators import Operators
from faultsim.run.carried.pass_ import CarriedPass


@pytest.mark.parametrize("mode", [Costs, Operators, CarriedPass])
def test_no_operator_waits_for_the_compiler(mode):
    """Else torch wraps the method, and imports its compiler when it is first called."""
    assert not hasattr(mode.__torch_dispatch__, "__wrapped__")
