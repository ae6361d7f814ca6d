"""The campaign directory: ``manifest.json``, ``trials-0.jsonl`` and ``summary.json``."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any

from faultsim.errors import ConfigError, JournalError

MANIFEST, TRIALS, SUMMARY = "manifest.json", "trials-0.jsonl", "summary.json"
COMPARED = ("config", "model", "data")
RUNS = Path("runs")


class Journal:
    """Append-only record of one campaign, one JSON line a trial.

    Attributes:
        directory: The campaign directory.
        recorded: Lines of the trials already run, in order.
    """

    def __init__(self, directory: Path, manifest: Mapping[str, Any], *, resume: bool) -> None:
        """Creates the directory, or opens it to go on.

        Args:
            directory: Created with its parents.
            manifest: JSON-able; its ``config``, ``model`` and ``data`` must be those of a
                campaign that is resumed.
            resume: Go on with what is there.

        Raises:
            ConfigError: The directory cannot be written, or holds a campaign and ``resume`` is
                off.
            JournalError: Nothing to resume, another campaign, or another process at work on it.
        """
        self.directory = directory
        self.recorded: list[dict[str, Any]] = []
        try:
            if resume:
                self._check(manifest)
            else:
                self._create(manifest)
            self._file = (directory / TRIALS).open("ab+")
        except OSError as error:
            raise ConfigError(f"cannot write {directory}: {error.strerror}") from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise JournalError(f"another process is running the campaign in {directory}") from None
        self._recover()

    def append(self, line: Mapping[str, Any]) -> None:
        """Records one trial; it survives the process from here on.

        Raises:
            JournalError: The disk is full or gone.
        """
        text = json.dumps(line, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
        try:
            self._file.write(text.encode() + b"\n")
            self._file.flush()
        except OSError as error:
            raise JournalError(f"cannot write {self.directory}: {error.strerror}") from None

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Writes ``summary.json``, whole or not at all."""
        write_json(self.directory / SUMMARY, summary)

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _create(self, manifest: Mapping[str, Any]) -> None:
        if (self.directory / MANIFEST).exists():
            raise ConfigError(
                f"{self.directory} holds a campaign: give --resume to go on with it, or another "
                "--out"
            )
        self.directory.mkdir(parents=True, exist_ok=True)
        write_json(self.directory / MANIFEST, manifest)

    def _check(self, manifest: Mapping[str, Any]) -> None:
        check_same(self.directory, read_manifest(self.directory), manifest, COMPARED)

    def _recover(self) -> None:
        """Reads the lines; a torn last one is cut off."""
        self._file.seek(0)
        text = self._file.read()
        whole = text.rfind(b"\n") + 1
        if whole < len(text):
            self._file.truncate(whole)
        self._file.seek(0, os.SEEK_END)
        self.recorded = parse_lines(text[:whole], self.directory)


def fresh_directory(name: str) -> Path:
    """The first of runs/NAME-1, runs/NAME-2, … that is not there yet."""
    numbered = (RUNS / f"{name}-{number}" for number in count(1))
    return next(path for path in numbered if not path.exists())


def read_manifest(directory: Path) -> dict[str, Any]:
    """The manifest of a campaign directory.

    Raises:
        JournalError: There is none that can be read.
    """
    try:
        manifest: dict[str, Any] = json.loads((directory / MANIFEST).read_text())
    except (OSError, ValueError) as error:
        raise JournalError(f"{directory} holds no campaign: {error}") from None
    return manifest


def read_trials(directory: Path) -> list[dict[str, Any]]:
    """All whole lines of a campaign directory.

    Raises:
        JournalError: There are none, or one is damaged.
    """
    try:
        text = (directory / TRIALS).read_bytes()
    except OSError as error:
        raise JournalError(f"{directory} holds no trials: {error.strerror}") from None
    return parse_lines(text[: text.rfind(b"\n") + 1], directory)


def parse_lines(text: bytes, directory: Path) -> list[dict[str, Any]]:
    """Journal lines, which must number the trials from 0."""
    lines = []
    for number, line in enumerate(text.splitlines()):
        try:
            lines.append(json.loads(line))
            intact = lines[-1]["trial"] == number
        except (ValueError, KeyError, TypeError):
            intact = False
        if not intact:
            raise JournalError(f"line {number + 1} of {directory / TRIALS} is damaged")
    return lines


def check_same(
    place: Path, recorded: Mapping[str, Any], now: Mapping[str, Any], parts: Sequence[str]
) -> None:
    """Refuses to go on with what was begun otherwise.

    Args:
        place: Of the record, for the message.
        recorded: Its tables, by name.
        now: Those of this run.
        parts: Names of the tables that must agree.

    Raises:
        JournalError: It names the first difference.
    """
    fresh = json.loads(json.dumps(now))
    for part in parts:
        before, after = recorded.get(part) or {}, fresh[part]
        for key in dict.fromkeys([*before, *after]):
            was, new = before.get(key), after.get(key)
            if was != new:
                raise JournalError(
                    f"{place} was begun with {part} {key} = {was}, now it is {new}; resume with "
                    "the same, or start another"
                )


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
    draft = path.with_suffix(".tmp")
    try:
        draft.write_text(text, encoding="utf-8")
        os.replace(draft, path)
    except OSError as error:
        raise JournalError(f"cannot write {path}: {error.strerror}") from None
