"""The weight faults of a set, armed and undone in one call each.

Faults come as the ``table`` of a ``FaultSet``, whose first rows are site, index, mask, operator and
operand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from faultsim.errors import FaultError
from faultsim.ops._native import native
from faultsim.ops.grid import on_grid, on_stream
from faultsim.ops.words import check_tensor, native_words, touch

Table = npt.NDArray[np.int64]


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
        self._parts: list[_HostPatch | _GridPatch] = []
        devices = [tensor.device if on_grid(tensor) else None for tensor in tensors]
        for device in dict.fromkeys(devices):
            if device is not None:
                here = np.array([other == device for other in devices])
                self._parts.append(_GridPatch(tensors, table[:, here[table[0]]], device))
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
        self._native = _checked(native().Patch, tensors, table)

    def strike(self) -> None:
        self._native.strike()

    def restore(self) -> None:
        self._native.restore()


class _GridPatch:
    """The faults in tensors on a CUDA device, uploaded once; then launches alone."""

    def __init__(self, tensors: Sequence[torch.Tensor], table: Table, device: torch.device) -> None:
        self._device = device
        tables = _checked(native().patch_tables, tensors, table)
        self._saved = torch.empty(table.shape[1], dtype=torch.int64, device=device)
        self._tables = [_uploaded(part, device) for part in tables]
        places = [part.data_ptr() for part in self._tables]
        make = native().CudaPatch if device.type == "cuda" else native().GridPatch
        self._native = make(*places, table.shape[1], self._saved.data_ptr())

    def strike(self) -> None:
        on_stream(self._device, self._native.strike)

    def restore(self) -> None:
        on_stream(self._device, self._native.restore)


def _checked(make: Callable[..., Any], tensors: Sequence[torch.Tensor], table: Table) -> Any:
    # Tensors of another device keep their place in the list; no fault of these is in them.
    words = [native_words(tensor) for tensor in tensors]
    try:
        return make(words, np.ascontiguousarray(table))
    except IndexError as error:
        raise FaultError(str(error)) from None


def _uploaded(table: bytes, device: torch.device) -> torch.Tensor:
    return torch.from_numpy(np.frombuffer(table, np.uint8).copy()).to(device)
