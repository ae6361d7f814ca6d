"""Words of one byte followed as real numbers, so that a loss has a gradient by them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from faultsim import trees
from faultsim.ops.rank_bytes import BYTES


class Reals(TorchFunctionMode):
    """Does with some tensors what is done with others, of real numbers, that stand for them.

    Autograd ends at a cast from integers, and comes back from one of float8 rounded to float8.
    Here what is made of such a tensor in reals has its value, and the gradient of the same done
    with real numbers: exact for looking up, cutting, casting and scaling.

    Attributes:
        leaves: The real numbers, which require grad, in the order given.
    """

    def __init__(self, tensors: Iterable[torch.Tensor]) -> None:
        super().__init__()
        self._real: Any = WeakTensorKeyDictionary()
        self.leaves: list[torch.Tensor] = []
        for tensor in tensors:
            leaf = tensor.detach().float().requires_grad_()
            self._real[tensor] = leaf
            self.leaves.append(leaf)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        given = list(trees.tensors((args, kwargs)))
        followed = any(tensor in self._real for tensor in given)
        if not followed or not isinstance(result, torch.Tensor) or any(result is g for g in given):
            return result
        real = self._done(func, args, kwargs)
        if real is None or real.shape != result.shape:
            return result
        if result.dtype in BYTES:
            self._real[result] = real
            return result
        if not result.is_floating_point():
            return result
        return result + (real - real.detach()).nan_to_num().to(result.dtype)

    def _done(self, func: Callable[..., Any], args: Any, kwargs: Any) -> torch.Tensor | None:
        """The same with reals; None where it cannot be done with them."""

        def swap(_: str, tensor: torch.Tensor) -> torch.Tensor:
            found: torch.Tensor = self._real.get(tensor, tensor)
            return found

        args, kwargs = trees.map_tensors((args, kwargs), swap)
        try:
            found = func(*args, **kwargs)
        except Exception:  # of torch, for what it does with integers alone
            return None
        whole = not isinstance(found, torch.Tensor) or not found.is_floating_point()
        return None if whole else found
