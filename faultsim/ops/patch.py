"""The weight faults of a set, armed and undone in one call each.

Faults come as the ``table`` of a ``FaultSet``, whose first rows are site, index, mask, operator and
operand.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from faultsim.ops._native import native
from faultsim.ops.grid import on_grid
from faultsim.ops.slots import FaultSlots, Table, checked
from faultsim.ops.words import check_tensor, native_words, touch


class Patch:
    """Faults in some tensors, and the words they replaced.

    Striking and restoring are one native call for all tensors on the CPU, and one launch for those
    of each CUDA device, so an exception or KeyboardInterrupt finds them struck or restored, never
    in between. A CUDA graph can hold both, in one graph that the patch outlives: whether words are
    struck is known on the host.
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
        self._parts: list[_HostPatch | FaultSlots] = []
        devices = [tensor.device if on_grid(tensor) else None for tensor in tensors]
        for device in dict.fromkeys(devices):
            if device is not None:
                here = np.array([other == device for other in devices])
                part = table[:, here[table[0]]]
                slots = FaultSlots(tensors, part.shape[1], device)
                slots.load(part)
                self._parts.append(slots)
        if self._parts:
            table = table[:, np.array([device is None for device in devices])[table[0]]]
        self._parts.append(_HostPatch(tensors, table))

    def strike(self) -> None:
        """Saves the words and corrupts them; does nothing where they are struck."""
        for part in self._parts:
            part.strike()
        self._touch()

    def restore(self) -> None:
        """Writes the saved words back; does nothing where nothing was struck."""
        for part in self._parts:
            part.restore()
        self._touch()

    def _touch(self) -> None:
        for tensor in self._tensors:
            touch(tensor)


class _HostPatch:
    """The faults in tensors on the CPU."""

    def __init__(self, tensors: Sequence[torch.Tensor], table: Table) -> None:
        words = [native_words(tensor) for tensor in tensors]
        self._native = checked(native().Patch, words, table)

    def strike(self) -> None:
        self._native.strike()

    def restore(self) -> None:
        self._native.restore()
