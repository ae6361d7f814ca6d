"""``observed-0.jsonl``: where the error of each trial travelled, a line a trial that reports."""

from __future__ import annotations

from pathlib import Path

from faultsim.errors import JournalError
from faultsim.files import Count, Number, Record, Share, read_lines

OBSERVED = "observed-0.jsonl"


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
