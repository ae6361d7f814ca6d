"""Appends what trials did to the outputs of modules to ``observed-0.jsonl``."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import takewhile

import msgspec

from faultsim.campaign.journal import Journal
from faultsim.campaign.observed import OBSERVED, Observed, Strayed
from faultsim.errors import ConfigError, JournalError
from faultsim.files import Number, end_of_lines, read_lines
from faultsim.run.observations import TrialObserver
from faultsim.run.observer import Summary
from faultsim.run.trial import Trial

DIGITS = 6  # significant, of a figure


@contextmanager
def observing(
    journal: Journal, observer: TrialObserver | None
) -> Iterator[Callable[[int, Trial], None]]:
    """A function that observes trials, by their numbers; it does nothing without an observer."""
    if observer is None:
        yield lambda number, trial: None
        return
    observations = Observations(journal, observer)
    try:
        yield observations.record
    finally:
        observations.close()


class Observations:
    """Appends to :data:`OBSERVED`, trial by trial, after the journal has the trial."""

    def __init__(self, journal: Journal, observer: TrialObserver) -> None:
        """Opens the file; a torn last line, and what the journal does not have, is cut off.

        Raises:
            ConfigError: It cannot be written.
            JournalError: It is damaged.
        """
        self._path, self._observer = journal.directory / OBSERVED, observer
        self._recorded: list[Observed] = []
        try:
            self._file = self._path.open("ab+", buffering=0)
        except OSError as error:
            raise ConfigError(f"cannot write {self._path}: {error.strerror}") from None
        self._file.truncate(self._read(len(journal.recorded)))

    def _read(self, trials: int) -> int:
        with self._path.open("rb") as file:
            found = read_lines(file, Observed, self._path, JournalError)
            self._recorded = [*takewhile(lambda line: line.trial < trials, found)]
            end = end_of_lines(file, len(self._recorded))
        self._recorded.reverse()
        return end

    def record(self, number: int, trial: Trial) -> None:
        """Observes a trial, unless that is recorded; no trial of a search.

        Raises:
            JournalError: The disk is full or gone, or the file is another campaign's.
        """
        if not trial.reports:
            return
        if self._recorded:
            known = self._recorded.pop().trial
            if known != number:
                raise JournalError(f"{self._path} has trial {known} where {number} is expected")
            return
        whole = self._observer.samples
        strayed = [
            _strayed(site, found)
            for site, found in self._observer.observe(trial).items()
            if found.touched or found.n < whole.get(site, 0)
        ]
        self._append(msgspec.json.encode(Observed(trial=number, sites=strayed)) + b"\n")

    def _append(self, text: bytes) -> None:
        rest = memoryview(text)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            raise JournalError(f"cannot write {self._path}: {error.strerror}") from None

    def close(self) -> None:
        self._file.close()


def _strayed(site: str, found: Summary) -> Strayed:
    relative, changed, nonfinite = map(_rounded, found[2:])
    return Strayed(
        site=site,
        n=found.n,
        touched=found.touched,
        deviation=_number(relative),
        changed=changed,
        nonfinite=nonfinite,
    )


def _number(value: float | None) -> Number | None:
    return "inf" if value == math.inf else value


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{DIGITS}g}")
