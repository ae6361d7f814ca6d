"""Batches of samples in one form, whatever they were given as."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data import Dataset as Samples

from faultsim import trees
from faultsim.errors import ConfigError
from faultsim.workload.failures import cause

LABELS = "labels"
"""What a mapping calls the targets."""


class Batch(NamedTuple):
    """Some samples that go through a model together.

    Attributes:
        inputs: What the workload's ``forward`` takes: by default a tensor, a tuple of arguments or
            a mapping of keywords.
        targets: What only the task reads; None if there is nothing.
        size: Number of samples.
    """

    inputs: Any
    targets: Any
    size: int

    def to(self, device: torch.device | str) -> Batch:
        """The same with its tensors on a device."""

        def move(tree: Any) -> Any:
            return trees.map_tensors(tree, lambda _, tensor: tensor.detach().to(device))

        return self._replace(inputs=move(self.inputs), targets=move(self.targets))

    def first(self, n: int) -> Batch:
        """The first ``n`` samples; all of them where it is not known which part is a sample's."""
        return self


class Rows(Batch):
    """A batch whose samples are the rows of one tensor, and of another of targets."""

    def first(self, n: int) -> Batch:
        if n >= self.size:
            return self
        targets = None if self.targets is None else self.targets[:n]
        return Rows(self.inputs[:n], targets, n)


def read_batches(source: Any, size: int, limit: int | None, *, whole: bool) -> list[Batch]:
    """The batches of a source, in memory.

    Args:
        source: A tensor of samples, a pair of tensors (a tuple), or a torch ``Dataset``, which are
            cut into batches; else anything that yields batches (a ``DataLoader``, a list): a
            :class:`Batch`, a tensor, a pair of inputs and targets, or a mapping.
        size: Samples in a batch, where batches are cut.
        limit: How many samples, from the first; None for all. A batch that cannot be cut counts
            whole.
        whole: Whether a batch goes into ``forward`` as it was given, its targets included.

    Raises:
        ConfigError: It yields something else, or it is not known how many samples a batch has.
    """
    found: list[Batch] = []
    left = limit
    for batch in _batches(source, size, whole):
        if left is not None and left <= 0:
            break
        found.append(batch if left is None else batch.first(left))
        left = None if left is None else left - found[-1].size
    return [batch for batch in found if batch.size]


def _batches(source: Any, size: int, whole: bool) -> Iterator[Batch]:
    if source is None:
        return
    if isinstance(source, TensorDataset):
        source = source.tensors
    if isinstance(source, torch.Tensor):
        source = (source,)
    if isinstance(source, tuple) and all(isinstance(part, torch.Tensor) for part in source):
        yield from _cut(source, size, whole)
        return
    if isinstance(source, Samples):
        source = DataLoader(source, batch_size=size)
    for number, item in enumerate(_items(source)):
        try:
            yield batch_of(item, whole)
        except ConfigError as error:
            raise ConfigError(f"batch {number}: {error}") from None


def _items(source: Any) -> Iterator[Any]:
    if not isinstance(source, Iterable):
        raise ConfigError(
            f"batches cannot be a {type(source).__name__}: give a DataLoader, a list, a pair of "
            "tensors or anything that yields the same batches each time"
        )
    try:
        yield from source
    except ConfigError:
        raise
    except Exception as error:  # of a data set's own
        raise ConfigError(f"the batches cannot be read: {cause(error)}") from error


def _cut(tensors: tuple[torch.Tensor, ...], size: int, whole: bool) -> Iterator[Batch]:
    if len(tensors) > 2 or len({len(tensor) for tensor in tensors}) > 1:
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in tensors)
        raise ConfigError(f"a pair of inputs and targets is wanted, row by row, not {shapes}")
    for parts in zip(*(torch.split(tensor, size) for tensor in tensors), strict=True):
        yield batch_of(parts if len(parts) > 1 else parts[0], whole)


def batch_of(item: Any, whole: bool = False) -> Batch:
    """One batch, from what a loader yields.

    Args:
        item: See :func:`read_batches`.
        whole: Whether it is what ``forward`` takes, as it is.

    Raises:
        ConfigError: It is not known what are inputs, or how many samples there are.
    """
    if isinstance(item, Batch):
        return item
    inputs, targets = _parts(item)
    size = _size(inputs)
    rows = _size(targets)
    if size is None:
        size = rows
    if size is None or rows not in (size, None):
        raise ConfigError(
            f"{_shown(inputs)} with targets {_shown(targets)}: it is not known how many samples "
            "that is; give a faultsim.workload.Batch(inputs, targets, size)"
        )
    if not whole and _is_rows(inputs) and (targets is None or _is_rows(targets)):
        return Rows(inputs.detach(), targets, size)
    return Batch(item if whole else inputs, targets, size)


def _parts(item: Any) -> tuple[Any, Any]:
    """Inputs and targets."""
    if isinstance(item, Mapping) and LABELS in item:
        return {key: value for key, value in item.items() if key != LABELS}, item[LABELS]
    if isinstance(item, (tuple, list)) and len(item) == 2:
        return item[0], item[1]
    if isinstance(item, (tuple, list)) and len(item) == 1:
        return item[0], None
    if isinstance(item, (tuple, list)):
        raise ConfigError(
            f"{len(item)} parts, not a pair of inputs and targets; put several inputs into a tuple"
        )
    return item, None


def _size(tree: Any) -> int | None:
    """Samples: as many as the first tensor has rows, or a list has items."""
    if isinstance(tree, torch.Tensor):
        return len(tree) if tree.ndim else None
    if isinstance(tree, list):
        return len(tree)
    sizes = (_size(part) for part in trees.items(tree).values())
    return next((size for size in sizes if size is not None), None)


def _is_rows(tree: Any) -> bool:
    return isinstance(tree, torch.Tensor) and tree.ndim > 0


def _shown(tree: Any) -> str:
    if isinstance(tree, torch.Tensor):
        return str(tuple(tree.shape))
    return type(tree).__name__ if tree is not None else "none"
