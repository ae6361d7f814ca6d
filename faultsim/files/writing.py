"""Files that are whole or not there, and directories that one process at a time may write to."""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from faultsim.errors import ConfigError, FaultSimError, JournalError

TAKEN = (errno.EAGAIN, errno.EACCES)


@contextmanager
def replacing(path: Path, error: type[FaultSimError] = ConfigError) -> Iterator[Path]:
    """The name of a draft that takes the place of ``path`` when all went well.

    Args:
        path: Of the file.
        error: Raised where writing fails. Nothing of the draft is left then.
    """
    draft = path.with_name(_draft(path.name, str(os.getpid())))  # another process has another
    try:
        yield draft
        with draft.open("rb") as file:  # else a power cut could leave the new name with no content
            os.fsync(file)
        os.replace(draft, path)
    except (OSError, RuntimeError) as cause:  # torch.save raises the latter on a full disk
        reason = cause.strerror if isinstance(cause, OSError) and cause.strerror else cause
        raise error(f"cannot write {path}: {reason}".partition("\n")[0]) from None
    finally:
        with suppress(OSError):
            draft.unlink()


def _draft(name: str, process: str) -> str:
    return f".{name}.{process}.tmp"


def remove_drafts(directory: Path, names: Iterable[str]) -> None:
    """Removes drafts that processes which were killed have left; hold the lock for it.

    Args:
        directory: Where.
        names: Of the files, or patterns of them.
    """
    for name in names:
        for draft in directory.glob(_draft(name, "*")):
            draft.unlink(missing_ok=True)


def write_json(path: Path, document: Mapping[str, Any], indent: int | None = 1) -> None:
    """Writes a document whole or not at all; non-ASCII text stays readable.

    Args:
        path: Of the file.
        document: JSON-able.
        indent: Of nested values; None for one line.

    Raises:
        JournalError: The disk is full or gone.
    """
    text = json.dumps(document, indent=indent, allow_nan=False, ensure_ascii=False) + "\n"
    with replacing(path, JournalError) as draft:
        draft.write_text(text, encoding="utf-8")


def lock(handle: int, what: str) -> None:
    """Takes an open file or directory for this process, until it is closed.

    Raises:
        JournalError: Another process has it; nothing is touched.
    """
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as cause:
        if cause.errno in TAKEN:
            raise JournalError(f"another process is at work on {what}") from None
        # Some network file systems cannot lock directories: there it is as without locks.


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Makes a directory and keeps other processes that ask from it.

    Raises:
        ConfigError: It cannot be made.
        JournalError: Another process has it.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as cause:
        raise ConfigError(f"cannot write {directory}: {cause.strerror}") from None
    try:
        lock(handle, str(directory))
        yield
    finally:
        os.close(handle)
