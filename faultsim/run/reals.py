"""Words that autograd does not know followed as real numbers, so that a loss has a gradient.

A straight-through estimate (Bengio et al., arXiv 1308.3432): values are those that the model
really computes with its integers, gradients those of the same done with real numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from faultsim.ops.rank_bytes import BYTES
from faultsim.run.quantised import DONE, Opened, name_of

Tensor = torch.Tensor

ROUND = (torch.round, Tensor.round)
DEQUANTISE = (torch.dequantize, Tensor.dequantize)
CAST = (Tensor.to, Tensor.type, Tensor.char, Tensor.byte, Tensor.short, Tensor.int, Tensor.long)


class Reals(TorchFunctionMode):
    """Does with some tensors what is done with others, of real numbers, that stand for them.

    Autograd ends at a cast to integers and at a tensor of torch.ao, and comes back from one of
    float8 rounded to float8. Here what is made of such a tensor in reals has its value, and the
    gradient of the same done with real numbers: exact for looking up, cutting, casting and scaling,
    that of the identity for rounding, none for what saturated.
    """

    def __init__(self) -> None:
        super().__init__()
        self._real: Any = WeakTensorKeyDictionary()
        self._opened: dict[int, Opened] = {}

    def follow(self, tensor: Tensor, real: Tensor) -> None:
        """Lets real numbers stand for a tensor."""
        self._real[tensor] = real

    def standing_for(self, tensor: Tensor) -> Tensor | None:
        """The real numbers that stand for a tensor, if any do."""
        found: Tensor | None = self._real.get(tensor)
        return found

    def open(self, packed: Opened) -> None:
        """Lets real weights stand for an object of torch."""
        self._opened[id(packed.object)] = packed

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        given = list(_flat([*args, *kwargs.values()]))
        if any(self._stands_for(each) for each in given):
            real = self._done(func, args, kwargs)  # before it may be done in place
            return self._joined(func(*args, **kwargs), real, given)
        result = func(*args, **kwargs)
        if isinstance(result, Tensor) and given and _ends_gradient(func, given[0], result):
            return self._joined(result, given[0], given)
        return result

    def _stands_for(self, value: Any) -> bool:
        if isinstance(value, Tensor):
            return value in self._real
        return isinstance(value, torch.ScriptObject) and id(value) in self._opened

    def _done(self, func: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """The same with reals; None where it cannot be done with them."""
        if func in (*ROUND, *DEQUANTISE, *CAST):  # the identity, in reals
            return self._real.get(args[0])
        real = DONE.get(name_of(func), func)
        try:
            return real(
                *map(self._swapped, args), **{k: self._swapped(v) for k, v in kwargs.items()}
            )
        except Exception:  # of torch, for what it does with integers alone
            return None

    def _swapped(self, value: Any) -> Any:
        """An argument in reals; a copy, for it may be written to."""
        if isinstance(value, Tensor) and value in self._real:
            return self._real[value].clone()
        if isinstance(value, Tensor):
            return value.dequantize() if value.is_quantized else value
        if isinstance(value, torch.ScriptObject):
            return self._opened[id(value)]
        return type(value)(map(self._swapped, value)) if type(value) in (tuple, list) else value

    def _joined(self, result: Any, real: Any, given: list[Any]) -> Any:
        """The result, with the gradient of what was done with reals."""
        if type(result) in (tuple, list) and isinstance(real, (tuple, list)):
            return type(result)(
                self._joined(*pair, given) for pair in zip(result, real, strict=True)
            )
        if not isinstance(result, Tensor) or not isinstance(real, Tensor):
            return result
        if real.shape != result.shape or not real.is_floating_point() or result.dtype == torch.bool:
            return result
        if not _records(result):
            self._real[result] = _straight(result, real)
            return result
        if any(result is each for each in given):
            return result
        return result.detach() + (real - real.detach()).nan_to_num().to(result.dtype)


def _flat(values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        if type(value) in (tuple, list):
            yield from _flat(value)
        else:
            yield value


def _records(tensor: Tensor) -> bool:
    """Whether it may have a gradient of its own, not rounded to its words."""
    return tensor.is_floating_point() and tensor.dtype not in BYTES


def _ends_gradient(func: Callable[..., Any], given: Any, result: Tensor) -> bool:
    """Whether autograd ends at this step from real numbers."""
    if result.is_quantized:
        return True
    ends = func in ROUND or (func in CAST and not _records(result))
    return ends and isinstance(given, Tensor) and given.requires_grad


def _straight(result: Tensor, real: Tensor) -> Tensor:
    """The value of a result, and the gradient of what stands for it, where it did not saturate."""
    if not result.is_quantized:
        return result.detach().to(real.dtype) + (real - real.detach()).nan_to_num()
    if result.qscheme() == torch.per_tensor_affine:
        ends = torch.iinfo(result.int_repr().dtype)
        low, high = (
            (end - result.q_zero_point()) * result.q_scale() for end in (ends.min, ends.max)
        )
        real = real.clamp(low, high)
    return result.detach().dequantize() + (real - real.detach()).nan_to_num()
