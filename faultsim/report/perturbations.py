"""Recorded perturbation runs: what ``perturb.json`` holds, and nothing else knows its format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from faultsim.campaign.findings import EstimateRecord
from faultsim.report.recorded import Recorded, manifest_of
from faultsim.stats import Estimate
from faultsim.study.record import RECORD, CleanRecord, RowRecord, read_record

MEASURES = ("accuracy", "auc", "sensitivity", "specificity")


@dataclass(frozen=True)
class PerturbedRow:
    """The model under one setting of one perturbation.

    Attributes:
        setting: As the record writes it.
        kind: Of the perturbation; ``clean`` for none.
        parameters: By name.
        measures: Those of :data:`MEASURES` that are defined.
    """

    setting: str
    kind: str
    parameters: Mapping[str, Any]
    measures: Mapping[str, Estimate]


@dataclass(frozen=True)
class RecordedPerturbation(Recorded):
    """A perturbation record that was read.

    Attributes:
        clean: Without perturbation.
        rows: One a setting.
    """

    clean: PerturbedRow
    rows: list[PerturbedRow]


def read_perturbation(directory: Path) -> RecordedPerturbation:
    """Reads the record of a directory.

    Raises:
        JournalError: It is damaged.
    """
    record = read_record(directory / RECORD)
    rows = [PerturbedRow(r.setting, r.kind, r.parameters, _measures(r)) for r in record.rows]
    clean = PerturbedRow(record.clean.setting, "clean", {}, _measures(record.clean))
    return RecordedPerturbation(directory, manifest_of(record), clean, rows)


def _measures(record: CleanRecord | RowRecord) -> dict[str, Estimate]:
    found = {name: getattr(record, name) for name in MEASURES}
    return {
        name: Estimate(**msgspec.to_builtins(figure))
        for name, figure in found.items()
        if isinstance(figure, EstimateRecord)
    }
