"""``summary.json`` as typed records."""

from __future__ import annotations

from msgspec import field

from faultsim.campaign.lines import Cell, OutcomeRecord
from faultsim.files import Count, Record, Share


class EstimateRecord(Record):
    """A number with its interval, which some have not."""

    value: float
    low: float | None
    high: float | None
    n: Count
    method: str


class CellRecord(Record):
    """One condition of a campaign."""

    cell: Cell
    trials: Count
    rates: dict[str, EstimateRecord]
    any_sdc: EstimateRecord
    any_due: EstimateRecord
    accuracy: EstimateRecord
    lowest: Share
    diagnosis: dict[str, EstimateRecord] = field(default_factory=dict)
    interplay: dict[str, EstimateRecord] = field(default_factory=dict)


class Damaging(Record):
    """A trial that did much harm, with its faults in words."""

    trial: Count
    cell: Cell
    acc: Share
    faults: list[str]


class Summary(Record):
    """What a campaign found."""

    golden: OutcomeRecord
    cells: list[CellRecord]
    worst: dict[str, list[str]] = field(default_factory=dict)
    directions: dict[str, str] = field(default_factory=dict)
    clean: OutcomeRecord | None = None
    damaging: list[Damaging] = field(default_factory=list)
