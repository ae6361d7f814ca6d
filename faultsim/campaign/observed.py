"""``observed-0.jsonl``: where the error of each trial travelled, a line a trial that reports."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path

import msgspec

from faultsim.campaign.journal import Journal
from faultsim.errors import ConfigError, JournalError
from faultsim.files import Count, Number, Record, Share, end_of_lines, read_lines
from faultsim.run.observations import TrialObserver
from faultsim.run.observer import Summary
from faultsim.run.trial import Trial

OBSERVED = "observed-0.jsonl"
DIGITS = 6  # significant, of a figure


class Strayed(Record, omit_defaults=True):
    """An output that strayed in a trial, or that not all samples reached.

    Attributes:
        site: Its name, of those that ``manifest.json`` lists under ``observed``.
        n: Samples that were compared; a pass that raised did not reach what comes after.
        touched: Those in which a bit differs.
        deviation: ‖faulty - golden‖₂ / ‖golden‖₂, mean over the samples that have one.
        changed: Share of words that differ, mean over samples.
        nonfinite: Share of words that the faults made infinite or NaN, mean over samples.
    """

    site: str
    n: Count
    touched: Count
    deviation: Number | None = None
    changed: Share | None = None
    nonfinite: Share | None = None


class Observed(Record, omit_defaults=True):
    """What one trial did to the outputs of modules; those that are not named did not stray."""

    trial: Count
    sites: list[Strayed]


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


def read_observed(directory: Path, trials: int) -> list[Observed]:
    """What was observed in a campaign; nothing where nothing was.

    Args:
        directory: Of the campaign.
        trials: How many its journal has.

    Raises:
        JournalError: The file is damaged, or of another campaign.
    """
    path = directory / OBSERVED
    if not path.exists():
        return []
    try:
        with path.open("rb") as file:
            found = list(read_lines(file, Observed, path, JournalError))
    except OSError as error:
        raise JournalError(f"cannot read {path}: {error.strerror}") from None
    for line in found:
        if line.trial >= trials:
            raise JournalError(f"{path} tells of trial {line.trial}, and there are {trials}")
    return found
