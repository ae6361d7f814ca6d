"""What no fault can strike, on the screen."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from rich.markup import escape

SHOWN = 3


def skipped_lines(skipped: Mapping[str, str]) -> Iterator[str]:
    """One line a reason, with the first of the tensors it is of.

    Args:
        skipped: By name of a tensor, the reason.
    """
    names: defaultdict[str, list[str]] = defaultdict(list)
    for name, reason in skipped.items():
        names[reason].append(name)
    for reason, those in names.items():
        more = f" and {len(those) - SHOWN} more" if len(those) > SHOWN else ""
        yield escape(f"Skipped: {', '.join(those[:SHOWN])}{more}: {reason}.")
