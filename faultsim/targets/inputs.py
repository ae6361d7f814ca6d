"""What a model is given: a batch as arguments, and its samples, picked, repeated or altered."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import nn

from faultsim import trees
from faultsim.errors import FaultError
from faultsim.targets import held

MOST_READINGS = 8
"""Choices of the tensors that hold samples along one dimension."""


class Arguments(NamedTuple):
    """One batch, as a call takes it."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def copied(self) -> Arguments:
        """The same in memory of its own, which a model may change."""
        return Arguments(*held.map_copied(tuple(self), lambda _, tensor: tensor.detach().clone()))


Run = Callable[[Any], Any]
"""How a batch goes through a model."""


def arguments_of(model: nn.Module, inputs: Any, run: Run | None = None) -> Arguments:
    """One batch as arguments: a tuple is positional, a mapping by keyword if ``model`` takes it so.

    Where there is another way for a batch to go through the model, it is the argument of that.

    Raises:
        FaultError: There is none.
    """
    if inputs is None:
        raise FaultError(
            "what a pass computes or is given is found by a forward pass: give inputs=, a batch"
        )
    if run is not None:
        return Arguments((inputs,), {})
    if type(inputs) in (tuple, Arguments):
        return inputs if isinstance(inputs, Arguments) else Arguments(inputs, {})
    if isinstance(inputs, Mapping) and _takes(model, dict(inputs)):
        return Arguments((), dict(inputs))
    return Arguments((inputs,), {})


def _takes(model: nn.Module, keywords: dict[Any, Any]) -> bool:
    try:
        inspect.signature(model.forward).bind(**keywords)
    except (TypeError, ValueError):
        return False
    return True


class Sizes(NamedTuple):
    """Numbers of samples that a batch may have.

    Attributes:
        leading: The leading dimension of the first tensor; None where there is none.
        others: Of other tensors, second dimensions, and the lengths of lists.
    """

    leading: int | None
    others: frozenset[int]

    def may_be(self, samples: int) -> bool:
        """Whether a batch can have so many samples."""
        known = self.leading is not None or self.others
        return not known or samples == self.leading or samples in self.others

    def within(self, around: Sizes, fed: bool) -> Sizes:
        """Those of a pass, where it has several rows to each sample of a run around it.

        Args:
            around: Of that run.
            fed: Whether it is the one in which sites were found, so that a site that is not folded
                has one row to a sample.
        """
        rows, samples = self.leading or 0, around.leading or 0
        if rows <= samples or not samples or rows % samples:
            return self
        return Sizes(samples, self.others | {rows} if fed else around.others - {rows})


UNKNOWN = Sizes(None, frozenset())
"""Of a pass whose number of samples only its tensors tell."""


def sizes_of(arguments: Any) -> Sizes:
    """The numbers of samples that arguments may hold."""
    tensors = [tensor for tensor in trees.tensors(arguments) if tensor.ndim]
    sizes = {size for tensor in tensors for size in tensor.shape[:2]}
    return Sizes(len(tensors[0]) if tensors else None, frozenset({*sizes, *_lengths(arguments)}))


def _lengths(tree: Any) -> Iterator[int]:
    if isinstance(tree, list):
        yield len(tree)
    for item in trees.items(tree).values():
        yield from _lengths(item)


@dataclass(frozen=True)
class Samples:
    """A batch, read so that its samples can be picked.

    Attributes:
        batch: The arguments.
        size: Number of samples.
        axis: The dimension of its tensors along which they lie; None where lists hold them.
        shared: Paths of the tensors that belong to all samples.
    """

    batch: Arguments
    size: int
    axis: int | None = 0
    shared: frozenset[str] = frozenset()

    def take(self, rows: Sequence[int], altered: int | None = None) -> Arguments:
        """A batch of some samples, of memory of its own.

        Args:
            rows: Numbers of the samples; they may repeat.
            altered: Position in ``rows`` of a sample whose content is to be another.
        """
        spare = next((r for r in range(self.size) if r not in rows and self._differ(r, rows)), None)
        number = 0 if altered is None else rows[altered]
        source = number if spare is None else spare

        def pick(path: str, tensor: torch.Tensor) -> torch.Tensor:
            if not self._has(path, tensor):
                return tensor.detach().clone()
            assert self.axis is not None
            at, plain = torch.tensor(rows, device=tensor.device), _plain(tensor)
            picked = plain.index_select(self.axis, at)
            if altered is not None:
                sample = plain.select(self.axis, source)
                picked.select(self.axis, altered).copy_(
                    other_content(sample) if spare is None else sample
                )
            return picked.view(tensor.dtype)

        tree = self._of_lists(rows, altered) if self.axis is None else self.batch
        args, kwargs = held.map_copied(tuple(tree), pick)
        return Arguments(args, kwargs)

    def holders(self) -> list[torch.Tensor]:
        """The tensors in which samples lie along :attr:`axis`."""
        return [tensor for path, tensor in _leaves(self.batch) if self._has(path, tensor)]

    def _has(self, path: str, tensor: torch.Tensor) -> bool:
        return (
            self.axis is not None
            and path not in self.shared
            and _along(tensor, self.axis) == (self.size)
        )

    def _differ(self, row: int, rows: Sequence[int]) -> bool:
        """Whether a sample differs from all of some others."""
        if self.axis is None:
            return False
        mine = self.holders()
        return all(any(_differs(t, self.axis, row, other) for t in mine) for other in rows)

    def _of_lists(self, rows: Sequence[int], altered: int | None) -> Arguments:
        def change(tree: Any) -> Any:
            return trees.map_tensors(tree, lambda _, tensor: other_content(tensor.detach()))

        def walk(tree: Any) -> Any:
            if isinstance(tree, list) and len(tree) == self.size:
                return [change(tree[r]) if at == altered else tree[r] for at, r in enumerate(rows)]
            return tree

        args, kwargs = self.batch
        return Arguments(tuple(map(walk, args)), {key: walk(item) for key, item in kwargs.items()})


def readings(batch: Arguments) -> Iterator[Samples]:
    """The ways in which samples may lie in a batch, the likeliest first.

    Along the leading dimension; in lists; along the second dimension. Of each, all tensors whose
    size there is that of the first, then fewer of them: a mask may have that size by chance.
    """
    yield from (*_along_axis(batch, 0), *_lists(batch), *_along_axis(batch, 1))


def _along_axis(batch: Arguments, axis: int) -> list[Samples]:
    leaves = [(path, size) for path, t in _leaves(batch) if (size := _along(t, axis))]
    if not leaves:
        return []
    size = leaves[0][1]
    paths = [path for path, other in leaves if other == size]
    choices = [frozenset[str](), *(frozenset({path}) for path in paths[1:]), frozenset(paths[1:])]
    tried = list(dict.fromkeys(choices))[:MOST_READINGS]
    return [Samples(batch, size, axis, shared) for shared in tried]


def _lists(batch: Arguments) -> list[Samples]:
    found = (item for item in (*batch.args, *batch.kwargs.values()) if isinstance(item, list))
    first = next(found, None)
    holds = first and any(True for _ in trees.tensors(first))
    return [Samples(batch, len(first), None)] if first and holds else []


def _leaves(batch: Arguments) -> list[tuple[str, torch.Tensor]]:
    return list(held.tensors(tuple(batch)))


def _along(tensor: torch.Tensor, axis: int) -> int:
    plain = tensor.layout == torch.strided and not tensor.is_nested
    return tensor.shape[axis] if plain and tensor.ndim > axis else 0


def _plain(tensor: torch.Tensor) -> torch.Tensor:
    """A view that can be indexed: of floats of a byte, which torch hardly knows, their bytes."""
    byte = tensor.is_floating_point() and tensor.element_size() == 1
    return tensor.detach().view(torch.uint8) if byte else tensor.detach()


def _differs(tensor: torch.Tensor, axis: int, one: int, other: int) -> bool:
    return not torch.equal(*(_plain(tensor).select(axis, row) for row in (one, other)))


def other_content(sample: torch.Tensor) -> torch.Tensor:
    """A sample like the one given with other values: of numbers others, of tokens another order."""
    turned = sample.flip(tuple(range(sample.ndim))) if sample.ndim else sample
    if sample.is_floating_point() or sample.is_complex():
        return turned * 0.5 + 0.3
    if sample.dtype == torch.bool or not torch.equal(turned, sample):
        return turned
    return torch.where(sample > 1, sample - 1, torch.ones_like(sample))  # masks of ones stay
