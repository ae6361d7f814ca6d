"""Nested module outputs: tuples, lists, mappings and dataclasses of tensors."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

_PLAIN = (str, int, float, type(None))
"""Most of what is asked; to see that they are no mapping would take much longer."""
_LINE = 64  # bytes; torch aligns memory so, and the results of some kernels depend on alignment


def map_tensors(
    tree: Any, visit: Callable[[str, torch.Tensor], torch.Tensor], path: str = ""
) -> Any:
    """``tree`` with every tensor replaced by ``visit(path, tensor)``.

    Containers are rebuilt, in their own type, only where a tensor really changed.

    Args:
        tree: A tensor, a container of them, or anything else (returned as it is).
        visit: Called in order; the path joins keys and positions by dots.
        path: Path of ``tree`` itself.
    """
    if isinstance(tree, torch.Tensor):
        return visit(path, tree)
    parts = items(tree)
    prefix = f"{path}." if path else ""
    new = {key: map_tensors(item, visit, f"{prefix}{key}") for key, item in parts.items()}
    if all(new[key] is item for key, item in parts.items()):
        return tree
    return rebuilt(tree, new)


def items(tree: Any) -> dict[Any, Any]:
    """What a container holds, by key or position; nothing for anything else."""
    if isinstance(tree, _PLAIN):
        return {}
    if isinstance(tree, Mapping):
        return dict(tree)
    if isinstance(tree, (tuple, list)):
        names = getattr(tree, "_fields", range(len(tree)))
        return dict(zip(names, tree, strict=True))
    if dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        return {field.name: getattr(tree, field.name) for field in dataclasses.fields(tree)}
    return {}


def rebuilt(tree: Any, parts: dict[Any, Any]) -> Any:
    """A container of the same type with other parts, by key or position."""
    kind: Any = type(tree)
    if dataclasses.is_dataclass(tree):  # before mappings: some model outputs are both
        return dataclasses.replace(tree, **{str(key): item for key, item in parts.items()})  # type: ignore[type-var]
    if isinstance(tree, Mapping):
        return kind(parts)
    if hasattr(tree, "_fields"):
        return kind(**parts)
    return kind(parts.values())


def tensors(tree: Any) -> Iterator[torch.Tensor]:
    """The tensors of ``tree``, in order."""
    if isinstance(tree, torch.Tensor):
        yield tree
    else:
        for item in items(tree).values():
            yield from tensors(item)


def copy_of(tensor: torch.Tensor) -> torch.Tensor:
    """A copy of the same strides and alignment."""
    if not tensor.numel() or tensor.layout != torch.strided or tensor.is_nested:
        return tensor.clone()
    before = tensor.storage_offset() % max(1, _LINE // tensor.element_size())
    if not before and tensor.is_contiguous():
        return tensor.clone()
    start = tensor.storage_offset() - before
    memory = tensor.as_strided((before + span(tensor),), (1,), start).clone()
    return memory.as_strided(tensor.shape, tensor.stride(), before)


def span(tensor: torch.Tensor) -> int:
    """Words from the first to the last, those between that are not the tensor's included."""
    steps = zip(tensor.shape, tensor.stride(), strict=True)
    return 1 + sum((size - 1) * stride for size, stride in steps) if tensor.numel() else 0
