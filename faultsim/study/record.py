"""``perturb.json`` as typed records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from msgspec import UNSET, UnsetType

from faultsim.campaign.findings import EstimateRecord
from faultsim.campaign.manifest import ModelRecord
from faultsim.config import PerturbConfig
from faultsim.errors import ConfigError, JournalError
from faultsim.files import Count, Record, Scalar, read_json

RECORD = "perturb.json"
Figure = EstimateRecord | None


class ImagesRecord(Record):
    """The data whose test images were perturbed."""

    name: str
    digest: str
    task: str = ""
    images: Count = 0


class CleanRecord(Record, omit_defaults=True):
    """The figures of a model; those that do not apply are left out, undefined ones null."""

    setting: str
    n: Count
    accuracy: Figure
    auc: Figure
    sensitivity: Figure | UnsetType = UNSET
    specificity: Figure | UnsetType = UNSET


class RowRecord(Record, omit_defaults=True):
    """The figures under one setting of one perturbation, and their changes against clean ones."""

    setting: str
    kind: str
    parameters: dict[str, Scalar]
    n: Count
    accuracy: Figure
    auc: Figure
    sensitivity: Figure | UnsetType = UNSET
    specificity: Figure | UnsetType = UNSET
    accuracy_change: Figure | UnsetType = UNSET
    auc_change: Figure | UnsetType = UNSET
    sensitivity_change: Figure | UnsetType = UNSET
    specificity_change: Figure | UnsetType = UNSET


class PerturbRecord(Record):
    """A record of perturbations: what was run with which settings, and a row for each."""

    config: dict[str, Any]
    model: ModelRecord
    data: ImagesRecord
    versions: dict[str, str]
    clean: CleanRecord
    live: list[str]
    rows: list[RowRecord]

    @property
    def settings(self) -> PerturbConfig:
        """The settings as they were given.

        Raises:
            ConfigError: They are none of perturbations.
        """
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in self.config.items()
        }
        try:
            return PerturbConfig(**given)
        except TypeError as error:  # an unknown name, or a value that cannot be compared
            raise ConfigError(str(error)) from None


def read_record(path: Path) -> PerturbRecord:
    """Reads a record of perturbations.

    Raises:
        JournalError: There is none, or it is damaged.
    """
    record = read_json(path, PerturbRecord, JournalError)
    try:
        _ = record.settings
    except ConfigError as error:
        raise JournalError(f"{path}: $.config: {error}") from None
    return record
