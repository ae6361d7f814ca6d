"""Finds and reads campaign directories for a report."""

from __future__ import annotations

from pathlib import Path

import msgspec

from faultsim.campaign.directory import MANIFEST, TRIALS
from faultsim.campaign.directory import read_campaign as read_directory
from faultsim.campaign.observed import read_observed
from faultsim.report.campaigns import RecordedCampaign


def is_campaign(directory: Path) -> bool:
    return (directory / MANIFEST).is_file() and (directory / TRIALS).is_file()


def read_campaign(directory: Path) -> RecordedCampaign:
    """Reads a campaign directory.

    Raises:
        JournalError: Something in it cannot be read; it names the file.
    """
    found = read_directory(directory)
    manifest = msgspec.to_builtins(found.manifest)
    observed = read_observed(directory, len(found.lines))
    return RecordedCampaign(directory, manifest, found.lines, found.summary, observed=observed)
