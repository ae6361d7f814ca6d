"""A campaign directory: ``manifest.json``, ``trials-0.jsonl`` and ``summary.json``, read as one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import msgspec

from faultsim.campaign.findings import EstimatedRecord, Summary
from faultsim.campaign.lines import Line, trials_in
from faultsim.campaign.manifest import MANIFEST, Manifest, read_manifest
from faultsim.errors import JournalError
from faultsim.files import read_json

__all__ = ["EARLIER", "MANIFEST", "RUNS", "SUMMARY", "TRIALS", "Recorded", "read_campaign"]

TRIALS, SUMMARY = "trials-0.jsonl", "summary.json"
EARLIER = "earlier.jsonl"
"""Trials of a campaign that was given more, until the new journal has them all."""

RUNS = Path("runs")


@dataclass(frozen=True)
class Recorded:
    """What a campaign directory holds.

    Attributes:
        manifest: What the campaign was run with.
        lines: Its trials, in order.
        summary: What it found; None of a campaign that has not ended.
    """

    manifest: Manifest
    lines: list[Line]
    summary: Summary | None


def fresh_directory(name: str) -> Path:
    """The first of runs/NAME-1, runs/NAME-2, … that is not there yet."""
    numbered = (RUNS / f"{name}-{number}" for number in count(1))
    return next(path for path in numbered if not path.exists())


def read_campaign(directory: Path) -> Recorded:
    """Reads all of a campaign directory; its parts must be of one campaign.

    Raises:
        JournalError: A file is missing or damaged, or holds more, less or other than the others
            say; it names the file.
    """
    manifest, lines = read_manifest(directory), read_trials(directory)
    manifest.check_number(directory / TRIALS, len(lines))
    for path in sorted(directory.glob("trials-*.jsonl")):
        if path.name != TRIALS:
            raise JournalError(f"{path} is not of the campaign beside it, which has one journal")
    for line in lines:
        if line.seed != manifest.config.get("seed", line.seed):
            raise JournalError(
                f"line {line.trial + 1} of {directory / TRIALS} was drawn from seed {line.seed}, "
                f"not {manifest.config['seed']} as {MANIFEST} says"
            )
    path = directory / SUMMARY
    summary = read_json(path, Summary, JournalError) if path.exists() else None
    if summary is not None and summary.estimate is not None:
        _check_estimate(summary.estimate, len(lines), path)
    elif summary is not None:
        _check_summary(summary, lines, path)
    return Recorded(manifest, lines, summary)


def read_trials(directory: Path) -> list[Line]:
    """All whole lines of a campaign directory.

    Raises:
        JournalError: There are none, or one is damaged.
    """
    path = directory / TRIALS
    try:
        with path.open("rb") as file:
            return list(trials_in(file, path))
    except OSError as error:
        raise JournalError(f"{directory} holds no trials: {error.strerror}") from None


def _check_summary(summary: Summary, lines: list[Line], path: Path) -> None:
    reported = (line.cell for line in lines if not line.searching)
    found = Counter(map(msgspec.json.encode, reported))
    said = {msgspec.json.encode(cell.cell): cell.trials for cell in summary.cells}
    for cell in [*said, *found]:
        if said.get(cell, 0) != found[cell]:
            raise JournalError(
                f"{path} tells of {said.get(cell, 0)} trials of {cell.decode()}, {TRIALS} has "
                f"{found[cell]}: the campaign has to be finished with --resume, or a file is "
                "another campaign's"
            )
    _check_damaging((record.trial for record in summary.damaging), len(lines), path)


def _check_estimate(estimate: EstimatedRecord, recorded: int, path: Path) -> None:
    if not estimate.n == sum(stratum.n for stratum in estimate.strata) == recorded:
        raise JournalError(
            f"{path} tells of {estimate.n} trials, {TRIALS} has {recorded}: the campaign has to be "
            "finished with --resume, or a file is another campaign's"
        )


def _check_damaging(trials: Iterable[int], recorded: int, path: Path) -> None:
    for trial in trials:
        if trial >= recorded:
            raise JournalError(f"{path} tells of trial {trial}, and {TRIALS} has {recorded}")
