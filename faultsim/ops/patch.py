"""The weight faults of a set, armed and undone in one call each.

Faults come as the ``table`` of a ``FaultSet``, whose first rows are site, index, mask, operator and
operand.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from faultsim.errors import FaultError
from faultsim.fault import OPS
from faultsim.ops._native import native
from faultsim.ops.words import apply_, check_tensor, native_words, restore_, touch

Table = npt.NDArray[np.int64]


class Patch:
    """Faults in some tensors, and the words they replaced.

    Striking and restoring are one native call for all tensors on the CPU, so an exception or
    KeyboardInterrupt finds them struck or restored, never in between.
    """

    def __init__(self, tensors: Sequence[torch.Tensor], table: Table) -> None:
        """Prepares the faults; nothing is touched yet.

        Args:
            tensors: One for each site, of its dtype and shape; on one device or several.
            table: (7, n) int64.

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
                _DevicePatch(tensor, table[:, table[0] == number])
                for number, tensor in enumerate(tensors)
                if tensor.is_cuda
            ]
            table = table[:, ~np.array([tensor.is_cuda for tensor in tensors])[table[0]]]
        self._host = _host_patch(tensors, table)

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


def _host_patch(tensors: Sequence[torch.Tensor], table: Table) -> Any:
    # Tensors on another device keep their place in the list; no fault of these is in them.
    words = [native_words(tensor) for tensor in tensors]
    try:
        return native().Patch(words, np.ascontiguousarray(table))
    except IndexError as error:
        raise FaultError(str(error)) from None


class _DevicePatch:
    """The faults of one tensor on a CUDA device, operator by operator."""

    def __init__(self, tensor: torch.Tensor, table: Table) -> None:
        self._tensor, self._table = tensor, table
        self._saved: list[tuple[torch.Tensor, torch.Tensor]] = []

    def strike(self) -> None:
        _, index, mask, op, operand, *_ = self._table
        for number in np.unique(op):
            rows = op == number
            patterns = (operand if OPS[number] == "replace" else mask)[rows]
            struck = torch.tensor(index[rows], device=self._tensor.device)
            self._saved.append((struck, apply_(self._tensor, struck, OPS[number], patterns)))

    def restore(self) -> None:
        while self._saved:
            restore_(self._tensor, *self._saved[-1])
            self._saved.pop()
