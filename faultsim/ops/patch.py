"""The weight faults of a set, armed and undone in one call each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from faultsim.errors import FaultError
from faultsim.fault import OPS
from faultsim.ops._native import native
from faultsim.ops.words import apply_, check_tensor, native_words, restore_, touch

if TYPE_CHECKING:
    from faultsim.faults import FaultSet


class Patch:
    """Faults in some tensors, and the words they replaced.

    Striking and restoring are one native call for all tensors on the CPU, so an exception or
    KeyboardInterrupt finds them struck or restored, never in between.
    """

    def __init__(self, tensors: Sequence[torch.Tensor], faults: FaultSet) -> None:
        """Prepares the faults; nothing is touched yet.

        Args:
            tensors: One for each of ``faults.sites``, of its dtype and shape.
            faults: In one device's tensors or several's.

        Raises:
            FaultError: An index outside its tensor.
            InjectionError: A tensor that cannot be struck in place.
        """
        for tensor in tensors:
            check_tensor(tensor)
        self._tensors = tensors
        self._device: list[_DevicePatch] = []
        if any(tensor.is_cuda for tensor in tensors):
            self._device = [
                _DevicePatch(tensor, faults[faults.site == number])
                for number, tensor in enumerate(tensors)
                if tensor.is_cuda
            ]
            faults = faults[~np.array([tensor.is_cuda for tensor in tensors])[faults.site]]
        self._host = _host_patch(tensors, faults)

    def strike(self) -> None:
        """Saves the words and corrupts them."""
        self._host.strike()
        for part in self._device:
            part.strike()
        self._touch()

    def restore(self) -> None:
        """Writes the saved words back; does nothing where nothing was struck."""
        self._host.restore()
        for part in self._device:
            part.restore()
        self._touch()

    def _touch(self) -> None:
        for tensor in self._tensors:
            touch(tensor)


def _host_patch(tensors: Sequence[torch.Tensor], faults: FaultSet) -> Any:
    # Tensors on another device keep their place in the list; no fault of these is in them.
    words = [native_words(tensor) for tensor in tensors]
    try:
        return native().Patch(words, faults.table)
    except IndexError as error:
        raise FaultError(str(error)) from None


class _DevicePatch:
    """The faults of one tensor on a CUDA device, operator by operator."""

    def __init__(self, tensor: torch.Tensor, faults: FaultSet) -> None:
        self._tensor, self._faults = tensor, faults
        self._saved: list[tuple[torch.Tensor, torch.Tensor]] = []

    def strike(self) -> None:
        for number in np.unique(self._faults.op):
            part = self._faults[self._faults.op == number]
            operand = part.operand if OPS[number] == "replace" else part.mask
            index = torch.tensor(part.index, device=self._tensor.device)
            self._saved.append((index, apply_(self._tensor, index, OPS[number], operand)))

    def restore(self) -> None:
        while self._saved:
            restore_(self._tensor, *self._saved[-1])
            self._saved.pop()
