"""Outputs compared sample by sample and bit for bit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch

from faultsim import trees
from faultsim.errors import ConfigError

_CONSTANTS = (int, float, str, bool, type(None))
_WORDS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


class Rows(Sequence[Any]):
    """Samples that are the rows of several tensors."""

    def __init__(self, leaves: Sequence[torch.Tensor], size: int) -> None:
        self.leaves, self._size = tuple(leaves), size

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, at: Any) -> Any:
        return tuple(leaf[at] for leaf in self.leaves)


class Comparison(NamedTuple):
    """What became of a batch's samples.

    Attributes:
        same: (size,) bool, bit for bit as in the golden run.
        finite: (size,) bool.
        deviation: Largest finite deviation of a number.
    """

    same: torch.Tensor
    finite: torch.Tensor
    deviation: float


def rows_of(output: Any, size: int) -> Sequence[Any]:
    """The samples of an output: the items of a list, or the rows of all its tensors.

    Raises:
        ConfigError: It holds no tensor, or one that does not have a row a sample.
    """
    if isinstance(output, list) and len(output) == size and not _tensors_of_rows(output, size):
        return output
    leaves = list(trees.tensors(output))
    wrong = [leaf for leaf in leaves if not leaf.ndim or len(leaf) != size]
    if wrong or not leaves:
        what = f"a tensor of shape {tuple(wrong[0].shape)}" if wrong else "no tensor"
        raise ConfigError(
            f"the output ({type(output).__name__}) holds {what}, not a row for each of {size} "
            "samples: give a forward that returns what counts, or a task with samples()"
        )
    return Rows(leaves, size)


def _tensors_of_rows(output: list[Any], size: int) -> bool:
    return all(isinstance(o, torch.Tensor) and o.ndim and len(o) == size for o in output)


def compare(golden: Sequence[Any], faulty: Sequence[Any]) -> Comparison:
    """Compares samples with those of the golden run; their number is the same.

    Args:
        golden: Samples of the golden run: a tensor of rows, :class:`Rows`, or a tree each.
        faulty: Under faults; trees may have other leaves, and leaves other shapes.
    """
    ones, others = _leaves(golden), _leaves(faulty)
    if ones is not None and others is not None and len(ones) == len(others):
        return _of_rows(ones, others, len(golden))
    pairs = [
        _of_rows(_single(one), _single(other), 1) for one, other in zip(golden, faulty, strict=True)
    ]
    return Comparison(
        torch.cat([pair.same for pair in pairs]),
        torch.cat([pair.finite for pair in pairs]),
        max(pair.deviation for pair in pairs),
    )


def _leaves(samples: Sequence[Any]) -> list[torch.Tensor] | None:
    if isinstance(samples, torch.Tensor):
        return [samples]
    return list(samples.leaves) if isinstance(samples, Rows) else None


def _single(tree: Any) -> list[torch.Tensor]:
    return [leaf[None] for leaf in trees.tensors(tree)]


def _of_rows(
    golden: Sequence[torch.Tensor], faulty: Sequence[torch.Tensor], size: int
) -> Comparison:
    same = torch.full((size,), len(golden) == len(faulty))
    finite = torch.ones(size, dtype=torch.bool)
    deviation = 0.0
    for leaf in faulty:
        finite &= _all(_finite(leaf), size)
    for one, other in zip(golden, faulty, strict=False):
        if one.shape != other.shape or one.dtype != other.dtype:
            same[:] = False
            continue
        same &= _all(_words(one) == _words(other), size)
        deviation = max(deviation, _deviation(one, other))
    return Comparison(same, finite, deviation)


def _all(flags: torch.Tensor, size: int) -> torch.Tensor:
    return flags.reshape(size, -1).all(dim=1)


def _finite(tensor: torch.Tensor) -> torch.Tensor:
    return (tensor.dequantize() if tensor.is_quantized else tensor).isfinite()


def _words(tensor: torch.Tensor) -> torch.Tensor:
    """The bit patterns."""
    if tensor.is_quantized:
        return tensor.int_repr()
    if tensor.is_complex():
        tensor = torch.view_as_real(tensor.resolve_conj())
    return tensor.resolve_neg().contiguous().view(_WORDS[tensor.element_size()])


def _deviation(one: torch.Tensor, other: torch.Tensor) -> float:
    if one.is_quantized:
        one, other = one.dequantize(), other.dequantize()
    wide = torch.complex128 if one.is_complex() else torch.float64
    gap = (other.to(wide) - one.to(wide)).abs()
    return float(gap.nan_to_num_(0.0, 0.0).max()) if gap.numel() else 0.0


def same_bits(one: Any, other: Any) -> bool:
    """Whether two outputs hold tensors of the same dtypes and shapes, equal bit by bit."""
    ones, others = list(trees.tensors(one)), list(trees.tensors(other))
    return len(ones) == len(others) and all(map(_equal, ones, others))


def _equal(one: torch.Tensor, other: torch.Tensor) -> bool:
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    return torch.equal(_words(one), _words(other))


def identical(one: Any, other: Any) -> bool:
    """Whether all of two outputs is equal, tensors bit by bit; not where that cannot be seen."""
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return _equal(one, other)
    if type(one) is not type(other):
        return False
    ones, others = trees.items(one), trees.items(other)
    if not ones:
        return isinstance(one, (*_CONSTANTS, tuple, list, dict)) and bool(one == other)
    return ones.keys() == others.keys() and all(identical(ones[key], others[key]) for key in ones)


def nothing_like(output: Any) -> Any:
    """An output of the same shapes without a number in it, for a pass that raised."""

    def emptied(_: str, tensor: torch.Tensor) -> torch.Tensor:
        if tensor.is_floating_point() or tensor.is_complex():
            return torch.full_like(tensor, torch.nan)
        return torch.zeros_like(tensor)

    return trees.map_tensors(output, emptied)


def shapes(tree: Any) -> tuple[Any, ...]:
    """What tells two batches apart for a model that was specialised to one of them."""
    return tuple(_signature(tree))


def _signature(tree: Any) -> Iterator[Any]:
    if isinstance(tree, torch.Tensor):
        yield tuple(tree.shape), tree.dtype
        return
    for key, item in trees.items(tree).items():
        yield key
        yield from _signature(item)
    if not isinstance(tree, (Mapping, tuple, list)):
        yield tree if isinstance(tree, _CONSTANTS) else type(tree)


def copied(tree: Any) -> Any:
    """The same with copies of its tensors, of the same strides and alignment."""
    return trees.map_tensors(tree, lambda _, tensor: trees.copy_of(tensor))
