"""``protections.json``: what a comparison of protections found, as typed records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faultsim.campaign.comparison import Change
from faultsim.campaign.findings import EstimateRecord
from faultsim.campaign.lines import Cell
from faultsim.campaign.manifest import DataRecord, ModelRecord
from faultsim.config import CampaignConfig, checked_settings
from faultsim.errors import ConfigError, JournalError
from faultsim.files import Count, Number, Record, locked, read_json
from faultsim.stats import Estimate

RECORD = "protections.json"


@dataclass(frozen=True)
class Cost:
    """What a protection costs, as shares of the bare model.

    Attributes:
        time: Processor time of a pass, the median of ratios of passes side by side. Of ECC it is
            the simulator's own: real memories decode in hardware.
        fastest: The least of these ratios.
        slowest: The greatest.
        memory: Bytes of parameters and buffers.
        golden: By how much the figure that counts is another without any fault; NaN where it is
            not defined.
    """

    time: float
    fastest: float
    slowest: float
    memory: float
    golden: float


@dataclass(frozen=True)
class Paid:
    """One protection, or several together.

    Attributes:
        name: Of it.
        changes: Each rate in each condition, on the same faults: bare first, protected second.
        cost: What it costs.
        own: The share of samples that fail (SDC or DUE) where as many faults strike the words that
            it added, alone; None where it added none that weights' faults could strike.
        bits: That it added to those that can be struck.
    """

    name: str
    changes: Sequence[Change]
    cost: Cost
    own: Estimate | None
    bits: int


class ChangeRecord(Record):
    """A :class:`~faultsim.campaign.comparison.Change` of pairs."""

    cell: Cell
    rate: str
    first: EstimateRecord
    second: EstimateRecord
    difference: EstimateRecord
    removed: Count
    introduced: Count
    left: Count


class CostRecord(Record):
    """A :class:`Cost`."""

    time: float
    fastest: float
    slowest: float
    memory: float
    golden: Number


class PaidRecord(Record):
    """A :class:`Paid`."""

    name: str
    changes: list[ChangeRecord]
    cost: CostRecord
    own: EstimateRecord | None
    bits: Count


class ProtectionsRecord(Record):
    """A comparison: what was struck with which settings, and what each protection did.

    Attributes:
        trials: Of each protection, and of the bare model.
    """

    config: dict[str, Any]
    live: list[str]
    model: ModelRecord
    data: DataRecord
    versions: dict[str, str]
    trials: Count
    paid: list[PaidRecord]

    @property
    def found(self) -> list[Paid]:
        """What :func:`~faultsim.compare_protections` returned."""
        return [_paid(each) for each in self.paid]


def read_protections(directory: Path) -> ProtectionsRecord:
    """Reads what a comparison found.

    Raises:
        JournalError: There is no record, or it is damaged.
    """
    record = read_json(directory / RECORD, ProtectionsRecord, JournalError)
    try:
        CampaignConfig(**checked_settings(record.config))
    except ConfigError as error:
        raise JournalError(f"{directory / RECORD}: $.config: {error}") from None
    return record


@contextmanager
def held_for(directory: Path, name: str = RECORD) -> Iterator[Path]:
    """Keeps a directory for a record that is written at the end, whole.

    A directory that was made for it and holds nothing is gone again after an error or an interrupt.

    Args:
        directory: Where it is to lie.
        name: Of its file.

    Raises:
        ConfigError: It is there already, or the directory cannot be made.
        JournalError: Another process is at work there.
    """
    path = directory / name
    if path.exists():
        raise ConfigError(f"{path} exists: give another --out")
    try:
        with locked(directory):
            yield path
    finally:
        with suppress(OSError):  # it holds something
            directory.rmdir()


def _paid(each: PaidRecord) -> Paid:
    changes = [_change(change) for change in each.changes]
    cost = each.cost
    told = Cost(cost.time, cost.fastest, cost.slowest, cost.memory, float(cost.golden))
    own = None if each.own is None else _estimate(each.own)
    return Paid(each.name, changes, told, own, each.bits)


def _change(of: ChangeRecord) -> Change:
    was, now, difference = map(_estimate, (of.first, of.second, of.difference))
    return Change(of.cell, of.rate, was, now, difference, of.removed, of.introduced, of.left)


def _estimate(of: EstimateRecord) -> Estimate:
    return Estimate(of.value, of.low, of.high, of.n, of.method)
