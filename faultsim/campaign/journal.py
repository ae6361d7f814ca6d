"""The journal of a campaign at work: one process at a time appends to it, trial by trial."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from faultsim.campaign.directory import EARLIER, MANIFEST, SUMMARY, TRIALS
from faultsim.campaign.lines import Alike, Line, trials_in
from faultsim.campaign.manifest import (
    asked_for_more,
    check_begun,
    check_same,
    read_manifest,
    with_defaults,
)
from faultsim.errors import ConfigError, JournalError
from faultsim.files import end_of_lines, read_lines, replacing, write_json
from faultsim.files.writing import lock, remove_drafts
from faultsim.run.trial import Trial

ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False, ensure_ascii=False)
OWN = msgspec.json.Decoder(Line)
"""Reads a line that was just written, in which no name can be twice."""

COMPARED = ("config", "model", "data", "fault_model", "operators", "reach")


class Journal:
    """Append-only record of one campaign, one JSON line a trial.

    Where a campaign is given more trials, the lines that there are wait in :data:`EARLIER` and are
    taken over as the plan comes to them, so that the journal is that of one campaign of so many.

    Attributes:
        directory: The campaign directory.
        recorded: The trials already run, in order.
    """

    def __init__(self, directory: Path, manifest: Mapping[str, Any], *, resume: bool) -> None:
        """Creates the directory, or opens it to go on. Nothing is written before it is locked.

        Args:
            directory: Created with its parents.
            manifest: JSON-able; its ``config``, ``model`` and ``data`` must be those of a
                campaign that is resumed, but for more trials of a kind that can be added to.
            resume: Go on with what is there.

        Raises:
            ConfigError: The directory cannot be written, or holds a campaign or trials and
                ``resume`` is off.
            JournalError: Nothing to resume, another campaign, more trials than it plans, or
                another process at work on it.
        """
        self.directory = directory
        self.recorded: list[Line] = []
        self._earlier: dict[bytes, Line] = {}
        self._alike = Alike()
        self._check_use(resume)
        try:
            directory.mkdir(parents=True, exist_ok=True)
            # Without a buffer: what could not be written is not tried again by close().
            self._file = (directory / TRIALS).open("ab", buffering=0)
        except OSError as error:
            raise ConfigError(f"cannot write {directory}: {error.strerror}") from None
        try:
            lock(self._file.fileno(), f"the campaign in {directory}")
            self._check_use(resume)
            remove_drafts(directory, (MANIFEST, SUMMARY, EARLIER))
            if resume:
                self._go_on(manifest)
            else:
                write_json(directory / MANIFEST, manifest)
        except BaseException:
            self._file.close()
            raise

    def append(self, line: Mapping[str, Any]) -> Line:
        """Records one trial; it survives the process from here on.

        Raises:
            JournalError: The disk is full or gone.
        """
        text = ENCODER.encode(line).encode()
        rest = memoryview(text + b"\n")
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            raise self._unwritten(error) from None
        return self._alike.shared(OWN.decode(text))

    def adopt(self, number: int, trial: Trial) -> Line | None:
        """Records as trial ``number`` what is known of it from before there were more trials."""
        known = self._known(trial)
        if known is None:
            return None
        return self.append(msgspec.to_builtins(known) | {"trial": number})

    def lacks(self, number: int, trial: Trial) -> bool:
        """Whether nothing is known of trial ``number``, so that it has to be run."""
        return number >= len(self.recorded) and self._known(trial) is None

    def _known(self, trial: Trial) -> Line | None:
        return self._earlier.get(_key_of(trial)) if self._earlier else None

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Writes ``summary.json``, whole or not at all, when the disk has all that it tells of."""
        try:
            os.fsync(self._file)
        except OSError as error:
            raise self._unwritten(error) from None
        write_json(self.directory / SUMMARY, summary)
        (self.directory / EARLIER).unlink(missing_ok=True)

    def _unwritten(self, error: OSError) -> JournalError:
        """The disk is full or gone."""
        return JournalError(f"cannot write {self.directory}: {error.strerror}")

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

    def _check_use(self, resume: bool) -> None:
        """Refuses a directory that is not what it is asked to be."""
        manifest, trials = self.directory / MANIFEST, self.directory / TRIALS
        try:
            there, used = manifest.exists(), trials.exists() and trials.stat().st_size > 0
        except OSError as error:
            raise ConfigError(f"cannot write {self.directory}: {error.strerror}") from None
        if resume:
            return check_begun(self.directory)
        if there:
            raise ConfigError(
                f"{self.directory} holds a campaign: give --resume to go on with it, or another "
                "--out"
            )
        if used:
            raise ConfigError(
                f"{self.directory} holds {TRIALS} but no {MANIFEST} to say what they are: give "
                "another --out"
            )

    def _go_on(self, manifest: Mapping[str, Any]) -> None:
        """Reads what is there, and checks all of it before a torn last line is cut off."""
        was = read_manifest(self.directory)
        more = asked_for_more(was, manifest)
        now = {**manifest, "config": {**manifest["config"]}}
        now["config"] |= {name: was.config.get(name) for name in more}
        recorded = msgspec.to_builtins(was)
        recorded["config"] = with_defaults(was.config)
        for record in (recorded, now):
            if record.get("fault_model"):
                record["fault_model"] = {"digest": record["fault_model"]["digest"]}
        check_same(self.directory, recorded, now, COMPARED)
        end = self._read()
        was.check_number(self.directory / TRIALS, len(self.recorded))
        self._read_earlier()
        known = max(len(self.recorded), len(self._earlier))
        if more and manifest["planned"] < known:
            raise JournalError(
                f"{self.directory} has {known:,} trials, more than --max-trials "
                f"{manifest['planned']:,}: give as many or more"
            )
        self._file.truncate(end)
        if more:
            self._grow(manifest)

    def _read(self) -> int:
        """Reads the lines; returns where the last whole one ends."""
        path = self.directory / TRIALS
        with path.open("rb") as file:
            self.recorded = list(trials_in(file, path))
            return end_of_lines(file, len(self.recorded))

    def _read_earlier(self) -> None:
        path = self.directory / EARLIER
        if path.exists():
            with path.open("rb") as file:
                for line in read_lines(file, Line, path, JournalError):
                    self._earlier[_key(line.cell, line.faults, line.sample)] = line

    def _grow(self, manifest: Mapping[str, Any]) -> None:
        """Begins the journal anew; what is recorded is put aside first, and told last."""
        self._earlier |= {_key(line.cell, line.faults, line.sample): line for line in self.recorded}
        with replacing(self.directory / EARLIER, JournalError) as draft, draft.open("wb") as file:
            file.writelines(msgspec.json.encode(line) + b"\n" for line in self._earlier.values())
            os.fsync(file)
        (self.directory / SUMMARY).unlink(missing_ok=True)
        self._file.truncate(0)
        self.recorded = []
        write_json(self.directory / MANIFEST, manifest)


def _key_of(trial: Trial) -> bytes:
    return _key(dict(trial.cell), trial.faults.records(), trial.sample)


def _key(cell: Any, faults: Any, sample: int | None) -> bytes:
    """Of a trial: equal faults in equal conditions have equal outcomes."""
    return msgspec.json.encode((cell, faults, sample))
