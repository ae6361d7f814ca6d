"""Parts of outputs and targets, by name, by path or by a function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from faultsim import trees
from faultsim.errors import ConfigError

Where = str | int | Callable[[Any], Any]
"""A name or a position, several of them joined by dots, or a function of the whole."""


def part(tree: Any, where: Where) -> Any:
    """The part of a tree that a task reads.

    Args:
        tree: Of mappings, tuples, lists, dataclasses or objects with attributes.
        where: For instance ``"head.logits"``, ``0``, or a function of the tree.

    Raises:
        ConfigError: It has no such part; the message tells what it has.
    """
    if callable(where):
        return where(tree)
    for name in str(where).split("."):
        tree = _item(tree, name)
    return tree


def _item(tree: Any, name: str) -> Any:
    known = trees.items(tree)
    if name in known:
        return known[name]
    values = list(known.values())
    if name.isdigit() and int(name) < len(values):
        return values[int(name)]
    if hasattr(tree, name):
        return getattr(tree, name)
    has = f", which has {', '.join(map(str, known))}" if known else ""
    raise ConfigError(f"there is no {name!r} in a {type(tree).__name__}{has}")
