"""What a module that is skipped returns: a golden value, or one of its arguments."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import Any

from faultsim import trees
from faultsim.run.replay.calls import Call
from faultsim.run.replay.values import Absent, Kept, Unkept

Handed = Callable[[Kept, Any], Any]
"""By what was kept of the batch, and the arguments of the call."""


def handed(call: Call, position: int, cut: int) -> Handed | None:
    """What a call returns in a run that begins at a cut; settled once, for every trial asks.

    Args:
        call: One that such a run meets.
        position: Of the call.
        cut: Where the run begins.

    Returns:
        None for a call that is run.
    """
    if not call.skipped(cut):
        return None
    if call.argument is None:
        return partial(_recalled, position, call.needed(cut))
    return partial(_passed_on, call, position, call.needed(cut))


def _recalled(position: int, needed: bool, kept: Kept, _: Any) -> Any:
    return kept.copy(position) if needed else kept.stand_in(position)


def _passed_on(call: Call, position: int, needed: bool, kept: Kept, given: Any) -> Any:
    """Of its arguments the one that it returned in the golden run."""
    assert call.argument is not None
    argument = next(islice(trees.tensors(given), call.argument, None), None)
    if argument is None:
        raise Unkept
    if not call.writes:
        return argument
    if not isinstance(argument, Absent):
        return kept.into(argument, position)
    return _recalled(position, needed, kept, given)
