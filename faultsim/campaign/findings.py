"""``summary.json`` as typed records."""

from __future__ import annotations

from msgspec import field

from faultsim.campaign.lines import Cell, OutcomeRecord
from faultsim.files import Count, Number, Record, Share


class EstimateRecord(Record):
    """A number with its interval, which some have not."""

    value: float
    low: float | None
    high: float | None
    n: Count
    method: str


class ObjectiveRecord(Record):
    """The figure that counts of a task that is no classification; "" is of unharmed samples."""

    name: str
    value: Number
    low: float | None
    high: float | None
    n: Count
    method: str
    lowest: Number


class CellRecord(Record):
    """One condition of a campaign: of a classifier its accuracy, of another task its objective."""

    cell: Cell
    trials: Count
    rates: dict[str, EstimateRecord]
    any_sdc: EstimateRecord
    any_due: EstimateRecord
    accuracy: EstimateRecord | None = None
    lowest: Share | None = None
    diagnosis: dict[str, EstimateRecord] = field(default_factory=dict)
    interplay: dict[str, EstimateRecord] = field(default_factory=dict)
    objective: ObjectiveRecord | None = None
    events: dict[str, EstimateRecord] = field(default_factory=dict)
    metrics: dict[str, EstimateRecord] = field(default_factory=dict)
    left_out: dict[str, Count] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuses what tells neither of accuracy nor of another objective."""
        if (self.accuracy is None) == (self.objective is None):
            raise ValueError("one of accuracy and objective is needed")


class PartRecord(Record):
    """A part of the space and its own rate, which is NaN where no trial fell."""

    cell: Cell
    value: Number
    low: Share
    high: Share
    n: Count
    method: str


class StratumRecord(PartRecord):
    """A stratum, with its share of the space."""

    share: Share


class EstimatedRecord(Record):
    """The rate that a campaign went on for until it was known, and what was asked."""

    rate: str
    value: Share
    low: Share
    high: Share
    n: Count
    method: str
    confidence: Share
    margin: Share | None
    relative: Share | None
    reached: bool
    parts: list[PartRecord]
    strata: list[StratumRecord]
    part_margin: Share | None = None


class Damaging(Record):
    """A trial that did much harm, with its faults in words."""

    trial: Count
    cell: Cell
    faults: list[str]
    acc: Share | None = None
    score: Number | None = None


class RateRecord(Record):
    """Failures in 10⁹ hours; NaN where no trial fell."""

    value: Number
    low: float | None
    high: float | None
    n: Count
    method: str


class FitPartRecord(Record):
    """A memory and its failures, by outcome."""

    bits: Count
    rates: dict[str, RateRecord]


class FitRecord(Record):
    """Failures in time, of a campaign that knows how often events happen."""

    fit_per_mbit: float
    whole: FitPartRecord
    layers: dict[str, FitPartRecord]


class Summary(Record):
    """What a campaign found."""

    golden: OutcomeRecord
    cells: list[CellRecord]
    worst: dict[str, list[str]] = field(default_factory=dict)
    directions: dict[str, str] = field(default_factory=dict)
    clean: OutcomeRecord | None = None
    damaging: list[Damaging] = field(default_factory=list)
    estimate: EstimatedRecord | None = None
    fit: FitRecord | None = None
