"""Reads campaign directories, and names the file that cannot be read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from faultsim.campaign.journal import MANIFEST, SUMMARY, TRIALS, read_manifest, read_trials
from faultsim.errors import JournalError
from faultsim.report.campaigns import Line, RecordedCampaign
from faultsim.run.trial import Outcome

NEEDED: Mapping[str, Sequence[str]] = {
    "config": ("mode", "data", "seed", "target", "flips", "ber", "bits", "op", "direction"),
    "model": ("digest",),
    "data": ("name", "digest"),
    "space": (),
    "golden": ("n", "acc"),
    "versions": (),
}
"""Of a manifest, by part."""

OF_FAULT = ("tensor", "mask")
OF_DAMAGING = ("trial", "cell", "acc", "faults")


def is_campaign(directory: Path) -> bool:
    return (directory / MANIFEST).is_file() and (directory / TRIALS).is_file()


def read_campaign(directory: Path) -> RecordedCampaign:
    """Reads a campaign directory.

    Raises:
        JournalError: Something in it cannot be read; it names the file.
    """
    manifest, lines = read_manifest(directory), read_trials(directory)
    _check_manifest(manifest, directory / MANIFEST)
    for number, line in enumerate(lines, start=1):
        if not _is_trial(line):
            raise JournalError(f"line {number} of {directory / TRIALS} is no trial of a campaign")
    return RecordedCampaign(directory, manifest, lines, _summary(directory / SUMMARY, len(lines)))


def _check_manifest(manifest: Any, path: Path) -> None:
    for part, names in NEEDED.items():
        if not _has(manifest, (part,)):
            raise JournalError(f"{path} has no {part}; it is no campaign's")
        if not _has(manifest[part], names):
            raise JournalError(f"{path}: {part} is not as a campaign writes it")
    if "clean" in manifest and not _has(manifest["clean"], NEEDED["golden"]):
        raise JournalError(f"{path}: clean is not as a campaign writes it")


def _has(table: Any, names: Sequence[str]) -> bool:
    return isinstance(table, Mapping) and set(names) <= table.keys()


def _is_trial(line: Line) -> bool:
    try:
        Outcome.from_json(line)
        faults = line["faults"]
        return _has(line["cell"], ()) and all(_has(fault, OF_FAULT) for fault in faults)
    except (KeyError, TypeError, ValueError):
        return False


def _summary(path: Path, trials: int) -> Mapping[str, Any] | None:
    """None of a campaign that has not ended."""
    try:
        summary = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
    except (OSError, ValueError) as error:
        raise JournalError(f"cannot read {path}: {error}") from None
    if summary is not None and not _is_summary(summary, trials):
        raise JournalError(f"{path} is no summary of the campaign beside it")
    return summary


def _is_summary(summary: Any, trials: int) -> bool:
    if not _has(summary, ()) or not _has(summary.get("worst", {}), ()):
        return False
    damaging = summary.get("damaging", [])
    return isinstance(damaging, list) and all(
        _has(record, OF_DAMAGING) and record["trial"] in range(trials) for record in damaging
    )
