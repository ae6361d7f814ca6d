"""Recorded perturbation runs: what ``perturb.json`` holds, and nothing else knows its format."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faultsim.errors import JournalError
from faultsim.stats import Estimate
from faultsim.study.perturbations import RECORD

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
class RecordedPerturbation:
    """A perturbation record that was read.

    Attributes:
        directory: Where it lies.
        manifest: Configuration, digests of model and data, versions.
        clean: Without perturbation.
        rows: One a setting.
        label: What tells it from the others of its report.
    """

    directory: Path
    manifest: Mapping[str, Any]
    clean: PerturbedRow
    rows: list[PerturbedRow]
    label: str = ""

    @property
    def config(self) -> Mapping[str, Any]:
        config: Mapping[str, Any] = self.manifest["config"]
        return config


def read_perturbation(directory: Path) -> RecordedPerturbation:
    """Reads the record of a directory.

    Raises:
        JournalError: It is damaged.
    """
    path = directory / RECORD
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        manifest = {key: document[key] for key in ("config", "model", "data", "versions")}
        rows = [_row(row) for row in document["rows"]]
        clean = _row({"kind": "clean", "parameters": {}} | document["clean"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise JournalError(f"cannot read {path}: {error!r}") from None
    return RecordedPerturbation(directory, manifest, clean, rows)


def _row(record: Mapping[str, Any]) -> PerturbedRow:
    found = {name: _estimate(record[name]) for name in MEASURES if record.get(name) is not None}
    return PerturbedRow(record["setting"], record["kind"], record["parameters"], found)


def _estimate(record: Mapping[str, Any]) -> Estimate:
    return Estimate(*(record[key] for key in ("value", "low", "high", "n", "method")))
