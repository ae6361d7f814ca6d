"""What a call is given: its tensors by name, and the same call with others."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import torch

from faultsim import trees
from faultsim.targets.inputs import Arguments

EACH = "(each)"
"""Stands for the position in a list whose items are samples."""

Visit = Callable[[str, torch.Tensor, int | None], torch.Tensor]


def map_arguments(
    arguments: Arguments, visit: Visit, lists: Collection[str] = frozenset()
) -> Arguments:
    """The arguments with every tensor replaced by ``visit(path, tensor, sample)``.

    A path joins keys and positions by dots. It begins with the position or the keyword of an
    argument, or inside the argument where there is but one, and that positional.

    Args:
        arguments: Of a call.
        visit: Called in order; ``sample`` is None but for the items of ``lists``, which have the
            number of theirs, and :data:`EACH` in the path instead.
        lists: Paths of arguments that are lists of samples.
    """
    args, kwargs = arguments
    single = len(args) == 1 and not kwargs

    def argument(key: int | str, item: Any) -> Any:
        path = "" if single else str(key)
        if isinstance(item, list) and path in lists:
            return _samples(item, visit, joined(path, EACH))
        return trees.map_tensors(item, lambda at, tensor: visit(at, tensor, None), path)

    return Arguments(
        tuple(argument(at, item) for at, item in enumerate(args)),
        {key: argument(key, item) for key, item in kwargs.items()},
    )


def _samples(items: list[Any], visit: Visit, path: str) -> list[Any]:
    def sample(number: int, item: Any) -> Any:
        return trees.map_tensors(item, lambda at, tensor: visit(at, tensor, number), path)

    return [sample(number, item) for number, item in enumerate(items)]


def joined(path: str, rest: str, by: str = ".") -> str:
    """Two parts of a name, either of which may be empty."""
    return by.join(filter(None, (path, rest)))
