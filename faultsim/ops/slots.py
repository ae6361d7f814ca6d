"""Places for faults on a device, which launches strike and restore."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from faultsim.errors import FaultError
from faultsim.ops._native import native
from faultsim.ops.grid import on_stream
from faultsim.ops.memory import native_words

Table = npt.NDArray[np.int64]
_NONE = np.zeros((8, 0), dtype=np.int64)
_EMPTY = 0xFF  # every byte of a slot without a fault
_FAULT = "qqi"  # a slot begins with index, operand and tensor


class FaultSlots:
    """Places on a device for faults, uploaded ahead of the launches that strike and restore.

    A CUDA graph can hold these launches, and strikes what the slots hold when it is replayed: one
    graph serves one trial after another.
    """

    def __init__(
        self,
        tensors: Sequence[torch.Tensor],
        size: int,
        device: torch.device,
        *,
        watched: bool = False,
    ) -> None:
        """Makes slots without faults.

        Args:
            tensors: Those that may be struck, at their places now; others only keep their numbers.
            size: Number of slots.
            device: Of the tensors that are struck.
            watched: Whether words that somebody writes while they are struck keep what they were
                given, and are noted; else all are restored.
        """
        self.size = size
        self._device = device
        self._words = [native_words(tensor) for tensor in tensors]
        self._tensors = _uploaded(native().patch_tables(self._words, _NONE)[0], device)
        self._saved = torch.empty(size + 1, dtype=torch.int64, device=device)  # and the note
        self._faults = torch.full((size, native().patch_fault_bytes), _EMPTY, dtype=torch.uint8)
        self._faults = self._faults.to(device)
        self._loaded = np.zeros((0, native().patch_fault_bytes), np.uint8)
        places = [part.data_ptr() for part in (self._tensors, self._faults)]
        make = native().CudaPatch if device.type == "cuda" else native().GridPatch
        note = self._saved[size:].data_ptr() if watched and size else 0
        self._watched = note != 0
        self._native = make(*places, size, self._saved.data_ptr(), note)

    def load(self, table: Table) -> None:
        """Fills the slots, in the order of the device's current stream; none may be struck.

        Args:
            table: (8, n) int64 of at most ``size`` faults; sites are positions in the tensors.

        Raises:
            FaultError: More faults than slots, or an index outside its tensor; nothing is loaded.
        """
        if table.shape[1] > self.size:
            raise FaultError(f"{table.shape[1]} faults do not fit into {self.size} slots")
        faults = np.frombuffer(checked(native().patch_tables, self._words, table)[1], np.uint8)
        loaded = faults.reshape(-1, self._faults.shape[1])
        rows = np.full((max(len(loaded), len(self._loaded)), loaded.shape[1]), _EMPTY, np.uint8)
        rows[: len(loaded)] = loaded
        self._faults[: len(rows)].copy_(torch.from_numpy(rows))
        self._loaded = loaded

    def clear(self) -> None:
        """Empties the slots; none may be struck."""
        self.load(_NONE)

    @property
    def struck(self) -> bool:
        return bool(self._native.struck)

    def strike(self) -> None:
        on_stream(self._device, self._native.strike)

    def restore(self) -> None:
        on_stream(self._device, self._native.restore)

    def changed(self) -> tuple[int, int] | None:
        """A word that the last restore left as somebody had written it; waits for the device.

        Returns:
            Its tensor and index, None if there is none; only for slots that are watched.
        """
        at = int(self._saved[self.size]) if self._watched else -1
        if at < 0:
            return None
        index, _, tensor = struct.unpack_from(_FAULT, self._loaded[at].tobytes())
        return tensor, index


def checked(make: Callable[..., Any], words: list[Any], table: Table) -> Any:
    """What a native function makes of faults; raises FaultError for an index outside its tensor."""
    try:
        return make(words, np.ascontiguousarray(table))
    except IndexError as error:
        raise FaultError(str(error)) from None


def _uploaded(table: bytes, device: torch.device) -> torch.Tensor:
    return torch.from_numpy(np.frombuffer(table, np.uint8).copy()).to(device)
