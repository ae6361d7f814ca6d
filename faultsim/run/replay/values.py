"""Golden values between a model's modules: kept as exact copies, or known to be absent."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch

from faultsim import trees
from faultsim.trees import span
from faultsim.workload.outputs import copied

_CONSTANTS = (int, float, str, bool, type(None))


class Unkept(BaseException):
    """A value was read that had not been kept.

    Not an Exception, lest a model take it for an error of its own.
    """


class Absent(torch.Tensor):
    """Has the shape, dtype and device of a tensor whose value nobody is expected to read.

    Any operation on it raises :class:`Unkept`; who reads its memory past torch finds NaN, or 0
    where there is none.
    """

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @staticmethod
    def like(tensor: torch.Tensor) -> torch.Tensor:
        """The stand-in for a tensor."""
        poison = torch.nan if tensor.is_floating_point() else 0
        word = torch.full((), poison, dtype=tensor.dtype, device=tensor.device)
        made: torch.Tensor = torch.Tensor._make_subclass(Absent, word.expand(tensor.shape))
        return made

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        raise Unkept


def can_be_kept(tree: Any) -> bool:
    """Whether a module's output is made of plain tensors and constants alone.

    A list or mapping without a tensor is none, for whoever holds it may fill it.
    """
    if isinstance(tree, torch.Tensor):
        return _is_plain(tree)
    if isinstance(tree, _CONSTANTS):
        return True
    known = isinstance(tree, tuple) or next(trees.tensors(tree), None) is not None
    return known and all(map(can_be_kept, trees.items(tree).values()))


def _is_plain(tensor: torch.Tensor) -> bool:
    usual = type(tensor) in (torch.Tensor, torch.nn.Parameter) and tensor.layout == torch.strided
    odd = tensor.is_nested or tensor.is_complex() or tensor.is_neg() or tensor.is_quantized
    return usual and not odd and tensor.grad_fn is None


def overwrite(tree: Any, values: Any) -> None:
    """Writes the tensors of another tree of the same form into those of this one."""
    for tensor, value in zip(trees.tensors(tree), trees.tensors(values), strict=True):
        tensor.copy_(value)


def absent(tree: Any) -> Any:
    """The same without the values of its tensors."""
    return trees.map_tensors(tree, lambda _, tensor: Absent.like(tensor))


def nbytes(tree: Any) -> int:
    """Memory of a copy, in bytes."""
    return sum(span(tensor) * tensor.element_size() for tensor in trees.tensors(tree))


@dataclass(frozen=True)
class Kept:
    """What calls of modules returned for one batch: copies, or stand-ins where nobody reads it.

    Attributes:
        shapes: Of the inputs.
        inputs: Themselves, on the device; None where all of the split's would take too much room.
        outputs: By position of the call, copies.
        absent: The same for all calls that are skipped: stand-ins, for where nobody reads it.
        output: The golden output.
    """

    shapes: tuple[Any, ...]
    inputs: Any
    outputs: dict[int, Any]
    absent: dict[int, Any]
    output: Any

    def copy(self, position: int) -> Any:
        """A copy, which the model may change in place."""
        if position not in self.outputs:
            raise Unkept
        return copied(self.outputs[position])

    def stand_in(self, position: int) -> Any:
        """What may be passed on, but not read."""
        if position not in self.absent:
            raise Unkept
        return self.absent[position]

    def into(self, argument: torch.Tensor, position: int) -> torch.Tensor:
        """The value written into the tensor that the call returned."""
        if position not in self.outputs:
            raise Unkept
        return argument.copy_(self.outputs[position])

    def shortened(self, size: int, count: int) -> Kept:
        """With stand-ins of fewer rows, where their leading dimension is the batch's ``size``."""

        def short(_: str, leaf: torch.Tensor) -> torch.Tensor:
            if not leaf.ndim or leaf.shape[0] != size:
                return leaf
            word = torch.empty((), dtype=leaf.dtype, device=leaf.device)
            return Absent.like(word.expand(count, *leaf.shape[1:]))

        if count == size:
            return self
        return replace(self, absent=trees.map_tensors(self.absent, short))

    def take(self, other: Kept) -> None:
        """Overwrites every value by that of another batch of the same size, in place."""
        for position, output in self.outputs.items():
            fresh = trees.tensors(other.outputs[position])
            for tensor, value in zip(trees.tensors(output), fresh, strict=True):
                tensor.untyped_storage().copy_(value.untyped_storage(), non_blocking=True)
