"""What is left of a pass that begins at a cut."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from faultsim.run.carried.operators import Operators


class Tail(NamedTuple):
    """The operators of a pass from a cut on.

    Some of a pass come first that lie between modules, and copies of golden values; those behind
    the cut are the last, and the same as those of the whole pass.

    Attributes:
        funcs: In the order they run.
        before: How much smaller an operator's number is than in the whole pass.
        first: The number in the whole pass from which on they are the same.
        mixes: Whether a sample gives the same bits in any row, and in several.
    """

    funcs: Sequence[Any]
    before: int
    first: int
    mixes: bool = False


def watched(run: Callable[[], Any], funcs: Sequence[Any]) -> tuple[Tail, Any]:
    """Runs a golden pass from a cut on; returns its output besides.

    Args:
        run: Does it.
        funcs: The operators of the whole pass.
    """
    hooks = Operators(())
    hooks.register()
    try:
        output = run()
    finally:
        hooks.remove()
    found = [operator.func for operator in hooks.found]
    same = _common(reversed(funcs), reversed(found))
    return Tail(found, len(funcs) - len(found), len(funcs) - same), output


def _common(one: Iterable[Any], other: Iterable[Any]) -> int:
    """How many items two sequences begin with alike."""
    count = 0
    for mine, its in zip(one, other, strict=False):
        if mine is not its:
            break
        count += 1
    return count
