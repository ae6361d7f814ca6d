"""``study.json``, what a study was begun with, as typed records."""

from __future__ import annotations

from typing import Any

from faultsim.files import Record

STUDY = "study.json"


class PlanRecord(Record):
    perturb: list[str]
    campaigns: dict[str, dict[str, Any]]
    shared: dict[str, Any]


class StudyRecord(Record):
    """``study.json``: what a study was begun with."""

    config: dict[str, Any]
    plan: PlanRecord
    versions: dict[str, str]
