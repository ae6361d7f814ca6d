"""JSON Schemas of the files that campaigns read and write, from the types that read them."""

from __future__ import annotations

from typing import Any, get_args

from faultsim.campaign.findings import Summary
from faultsim.campaign.lines import Line
from faultsim.campaign.manifest import Manifest
from faultsim.campaign.observed import Observed
from faultsim.config.schema import SchemaName
from faultsim.errors import ConfigError, did_you_mean, shown
from faultsim.faultmodels import FaultModel
from faultsim.faults.file import Document
from faultsim.files import json_schema

TYPES: dict[SchemaName, Any] = {
    "journal": Line,
    "manifest": Manifest,
    "summary": Summary,
    "observed": Observed,
    "faults": Document,
    "fault-model": FaultModel,
}
OF: dict[SchemaName, str] = {
    "journal": "a line of trials-0.jsonl: one trial",
    "manifest": "manifest.json: what a campaign was run with",
    "summary": "summary.json: what it found",
    "observed": "a line of observed-0.jsonl: where the errors of one trial travelled",
    "faults": "a fault file",
    "fault-model": "a fault model, as TOML or as a manifest has it",
}


def schema(name: SchemaName) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a kind of file.

    What a schema cannot say (counts that add up, probabilities of 1) the readers check besides.

    Args:
        name: ``journal``, ``manifest``, ``summary``, ``observed``, ``faults`` or ``fault-model``.

    Raises:
        ConfigError: There is no such kind.
    """
    if name not in TYPES:
        known = f"{', '.join(get_args(SchemaName))}{did_you_mean(name, TYPES)}"
        raise ConfigError(f"unknown kind of file {shown(name)}: use one of {known}")
    found = json_schema(TYPES[name])
    return {"$schema": found.pop("$schema"), "title": f"faultsim: {OF[name]}", **found}
