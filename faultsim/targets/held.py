"""Trees that go on inside of objects: the caches of models, which hold tensors as attributes."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any

import torch
from torch import nn

from faultsim import trees

DEEPEST = 8
_OPAQUE = (nn.Module, type, str, bytes, torch.dtype, torch.device, torch.Generator)

Visit = Callable[[str, torch.Tensor], torch.Tensor]


def tensors(tree: Any, path: str = "", depth: int = 0) -> Iterator[tuple[str, torch.Tensor]]:
    """The tensors of a tree, with their paths."""
    if isinstance(tree, torch.Tensor):
        yield path, tree
    elif depth < DEEPEST:
        for key, item in _parts(tree).items():
            yield from tensors(item, _joined(path, key), depth + 1)


def map_copied(tree: Any, visit: Visit, path: str = "") -> Any:
    """As :func:`faultsim.trees.map_tensors`; objects that hold tensors are copied, with others."""
    if isinstance(tree, torch.Tensor):
        return visit(path, tree)
    items = trees.items(tree)
    if not items:
        new = {id(tensor): visit(at, tensor) for at, tensor in tensors(tree, path)}
        return copy.deepcopy(tree, new) if new else tree  # which leaves what it knows as it is
    new = {key: map_copied(item, visit, _joined(path, key)) for key, item in items.items()}
    return (
        tree if all(new[key] is item for key, item in items.items()) else trees.rebuilt(tree, new)
    )


def replace(tree: Any, visit: Visit, path: str = "", depth: int = 0) -> Any:
    """The tree with every tensor replaced by ``visit(path, tensor)``.

    What can be changed (a list, a mapping, an object) is changed itself, for all who hold it; what
    cannot, such as a tuple, is built anew.
    """
    if isinstance(tree, torch.Tensor):
        return visit(path, tree)
    parts = _parts(tree) if depth < DEEPEST else {}
    new = {key: replace(at, visit, _joined(path, key), depth + 1) for key, at in parts.items()}
    changed = {key: item for key, item in new.items() if item is not parts[key]}
    if not changed:
        return tree
    if not _can_change(tree):
        return trees.rebuilt(tree, new)
    for key, item in changed.items():
        _put(tree, key, item)
    return tree


class Before:
    """What lists, mappings and objects of a tree hold, to be given back to them."""

    def __init__(self, tree: Any) -> None:
        self._held = list(_changeable(tree))

    def restore(self) -> None:
        """Makes them hold it again."""
        for place, parts in self._held:
            if isinstance(place, list):
                place[:] = parts.values()
                continue
            for key in set(_parts(place)) - set(parts) if isinstance(place, Mapping) else ():
                del place[key]
            for key, item in parts.items():
                _put(place, key, item)


def _changeable(tree: Any, depth: int = 0) -> Iterator[tuple[Any, dict[Any, Any]]]:
    parts = {} if isinstance(tree, torch.Tensor) or depth >= DEEPEST else _parts(tree)
    if parts and _can_change(tree):
        yield tree, parts
    for item in parts.values():
        yield from _changeable(item, depth + 1)


def _put(place: Any, key: Any, item: Any) -> None:
    if isinstance(place, list | MutableMapping):
        place[key] = item
    else:
        setattr(place, key, item)


def _parts(tree: Any) -> dict[Any, Any]:
    """What a container or an object holds, by key, position or attribute."""
    found = trees.items(tree)
    if found or isinstance(tree, _OPAQUE) or callable(tree):
        return found
    return dict(getattr(tree, "__dict__", {}))


def _can_change(tree: Any) -> bool:
    if dataclasses.is_dataclass(tree):
        return not _frozen(type(tree))
    if isinstance(tree, Mapping):
        return isinstance(tree, MutableMapping)
    return not isinstance(tree, tuple)


def _frozen(kind: Any) -> bool:
    return bool(kind.__dataclass_params__.frozen)


def _joined(path: str, key: Any) -> str:
    return f"{path}.{key}" if path else str(key)
