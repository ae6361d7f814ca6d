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
from faultsim.ops.memory import check_tensor, native_words, touch
from faultsim.ops.operators import FIRST_OWN, OPS, compile_all
from faultsim.ops.slots import FaultSlots, Table, checked
from faultsim.ops.striking import made_on_host


class Patch:
    """Faults in some tensors, and the words they replaced.

    Striking and restoring are one native call for all tensors on the CPU, and one launch for those
    of each CUDA device, so an exception or KeyboardInterrupt finds them struck or restored, never
    in between. A CUDA graph can hold both, in one graph that the patch outlives: whether words are
    struck is known on the host.

    Only words that are still as they were struck are restored. Those that somebody wrote meanwhile
    keep what they were given, and :meth:`changed` names one.
    """

    def __init__(self, tensors: Sequence[torch.Tensor], table: Table) -> None:
        """Prepares the faults; nothing is touched yet.

        Args:
            tensors: One for each site, of its dtype and shape; on one device or several.
            table: (8, n) int64.

        Raises:
            FaultError: An index outside its tensor.
            InjectionError: A tensor that cannot be struck in place.
        """
        for tensor in tensors:
            check_tensor(tensor)
        compile_all(table[3])
        self._tensors = tensors
        self._parts: list[_HostPatch | _DevicePatch] = []
        devices = [tensor.device if on_grid(tensor) else None for tensor in tensors]
        for device in dict.fromkeys(devices):
            if device is not None:
                here = np.array([other == device for other in devices])
                part = table[:, here[table[0]]]
                self._parts.append(_DevicePatch(tensors, part, device))
        if self._parts:
            table = table[:, np.array([device is None for device in devices])[table[0]]]
        self._on_devices = bool(self._parts)
        self._parts.append(_HostPatch(tensors, table))
        self._versions: list[int] = []
        self._written = False

    def strike(self) -> None:
        """Saves the words and corrupts them; does nothing where they are struck."""
        for part in self._parts:
            part.strike()
        self._touch()
        self._versions, self._written = self._seen(), False

    def restore(self) -> None:
        """Writes the saved words back; does nothing where nothing was struck."""
        for part in self._parts:
            part.restore()
        self._written |= self._versions != self._seen()
        self._touch()

    def changed(self, wait: bool = True) -> tuple[int, int] | None:
        """A word that was written while it was struck, and so was not restored.

        A word that holds again what it held before is none.

        Args:
            wait: For CUDA devices; False to wait only if autograd saw somebody write to a tensor.

        Returns:
            Its tensor, by position, and its index; None if there is none.
        """
        parts = self._parts if wait or self._written else self._parts[-1:]
        for part in parts:
            if (found := part.changed()) is not None:
                return found
        return None

    def _seen(self) -> list[int]:
        """What autograd counts; nothing where no device is to be waited for."""
        known = self._tensors if self._on_devices else ()
        return [-1 if tensor.is_inference() else tensor._version for tensor in known]

    def _touch(self) -> None:
        for tensor in self._tensors:
            touch(tensor)


class _DevicePatch:
    """The faults in the tensors of one device.

    Operators of one's own know the host alone: where there are some, the words that they strike go
    there at each strike, and come back as replacements.
    """

    def __init__(self, tensors: Sequence[torch.Tensor], table: Table, device: torch.device) -> None:
        self._tensors, self._table = tensors, table
        self._own = np.flatnonzero(table[3] >= FIRST_OWN)
        self._slots = FaultSlots(tensors, table.shape[1], device, watched=True)
        self._slots.load(table)

    def strike(self) -> None:
        if len(self._own) and not self._slots.struck:
            self._slots.load(self._replaced())
        self._slots.strike()

    def restore(self) -> None:
        self._slots.restore()

    def changed(self) -> tuple[int, int] | None:
        return self._slots.changed()

    def _replaced(self) -> Table:
        table: Table = self._table.copy()
        own = table[:, self._own]
        for tensor, number in {(int(row[0]), int(row[3])) for row in own.T}:
            rows = self._own[(own[0] == tensor) & (own[3] == number)]
            _, index, mask, _, operand, _, _, random = torch.from_numpy(table[:, rows])
            made = made_on_host(self._tensors[tensor], index, number, [operand, mask, random])
            table[4, rows] = made.numpy()
        table[3, self._own] = OPS.index("replace")
        return table


class _HostPatch:
    """The faults in tensors on the CPU."""

    def __init__(self, tensors: Sequence[torch.Tensor], table: Table) -> None:
        words = [native_words(tensor) for tensor in tensors]
        self._table = table
        self._native = checked(native().Patch, words, table)

    def strike(self) -> None:
        self._native.strike()

    def restore(self) -> None:
        self._native.restore()

    def changed(self) -> tuple[int, int] | None:
        row = self._native.changed
        return None if row < 0 else (int(self._table[0, row]), int(self._table[1, row]))
