"""Live objects for other processes: one copy in memory, of which each takes what it changes."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from typing import IO, Any

import torch

from faultsim.errors import ConfigError


class Snapshot:
    """An object as it was, with its tensors in an anonymous file.

    Who opens it maps the file privately: words that nobody strikes are in memory once, whoever
    strikes one gets the page to himself, and the file is gone with the process that made it.
    """

    def __init__(self, thing: Any) -> None:
        """Writes the object down.

        Raises:
            ConfigError: It cannot be pickled, or there is no room.
        """
        self._file: IO[bytes] = _anonymous()
        try:
            torch.save(thing, self._file)
        except Exception as cause:  # whatever a __reduce__ of the user's raises
            self.close()
            raise ConfigError(
                f"workers cannot be given the model, data or task that are live objects: {cause}; "
                "define what is named in a module, or leave workers at 1"
            ) from None
        self._file.flush()
        self.path = f"/proc/{os.getpid()}/fd/{self._file.fileno()}"

    def close(self) -> None:
        """Those who have opened it keep what they have."""
        self._file.close()


def opened(path: str) -> Any:
    """The object of a :class:`Snapshot`, by its path; private to this process."""
    # What is unpickled was written by the process that started this one.
    return torch.load(path, map_location="cpu", mmap=True, weights_only=False)


def _anonymous() -> IO[bytes]:
    """A file in memory, where the system has such, else one without a name."""
    with suppress(AttributeError, OSError):
        return open(os.memfd_create("faultsim"), "w+b")
    return tempfile.TemporaryFile()
