"""Journal lines as typed records."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, BinaryIO, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from faultsim.errors import JournalError
from faultsim.files import Count, Number, Record, Scalar, Share, Whole, read_lines
from faultsim.ops.operators import check_op
from faultsim.run.outcome import FIGURES, Outcome, searching

T = TypeVar("T")
Cell = dict[str, Scalar]
Word = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]

MOST_SHARED = 4096
"""Tables of a kind that lines share; they would be most of what a long journal takes."""


class Struck(Record, omit_defaults=True, gc=False):
    """A fault as a journal has it: one word, and what happened to it."""

    tensor: str
    index: Whole
    mask: Word
    op: str
    operand: Word | Number | None = None
    sample: Whole | None = None
    step: Whole | None = None
    random: Word | None = None

    def __post_init__(self) -> None:
        """Refuses what strikes nothing; the reader says where it stands."""
        check_op(self.op)
        if not self.mask:
            raise ValueError("mask 0 strikes no bit")


class OutcomeRecord(Record, kw_only=True, omit_defaults=True):
    """An :class:`Outcome` as it is written: what does not apply is left out."""

    n: Count
    correct: Count | UnsetType = UNSET
    due: Count
    sdc: Count
    benign: Count
    masked: Count
    loss: Number | UnsetType = UNSET
    max_dev: Number
    acc: Share | UnsetType = UNSET
    auc: float | UnsetType | None = UNSET
    sensitivity: Share | None = None
    specificity: Share | None = None
    missed: Count | None = None
    false_alarms: Count | None = None
    clean_acc: Share | None = None
    raised: Count = 0
    events: dict[str, Count] | UnsetType = UNSET
    metrics: dict[str, Number | None] | UnsetType = UNSET

    def __post_init__(self) -> None:
        """Refuses what lacks its figures; the reader says where it stands."""
        _check_figures(self)

    @property
    def outcome(self) -> Outcome:
        """The outcome that was recorded."""
        return _outcome(self)


class Line(Record, kw_only=True, omit_defaults=True, gc=False):
    """One trial of a journal: its head, then the fields of :class:`OutcomeRecord`.

    Attributes:
        trial: Its number, from 0.
        cell: The condition it belongs to.
        seed: The campaign's.
        flips: Bits struck; of operators of whole words but ``replace``, words.
        faults: That were armed.
        sample: The only one that was run, alone.
        struck: The events that made the faults, in words.
    """

    trial: Count
    cell: Cell
    seed: Annotated[int, Meta(ge=0)]
    flips: Count
    faults: tuple[
        Struck, ...
    ]  # which holds nothing that the garbage collector would have to follow
    sample: Count | None = None
    struck: list[str] | None = None
    n: Count
    correct: Count | UnsetType = UNSET
    due: Count
    sdc: Count
    benign: Count
    masked: Count
    loss: Number | UnsetType = UNSET
    max_dev: Number
    acc: Share | UnsetType = UNSET
    auc: float | UnsetType | None = UNSET
    sensitivity: Share | None = None
    specificity: Share | None = None
    missed: Count | None = None
    false_alarms: Count | None = None
    clean_acc: Share | None = None
    raised: Count = 0
    events: dict[str, Count] | UnsetType = UNSET
    metrics: dict[str, Number | None] | UnsetType = UNSET

    def __post_init__(self) -> None:
        """Refuses what lacks its figures; the reader says where it stands."""
        _check_figures(self)

    @property
    def outcome(self) -> Outcome:
        """The outcome that was recorded."""
        return _outcome(self)

    @property
    def searching(self) -> bool:
        """Whether a search looked here for faults, rather than reported what they do."""
        return searching(self.cell)

    def figure(self, name: str) -> float | None:
        """A figure or the count of an event; None where it is undefined."""
        own = self.metrics
        found = getattr(self, name, UNSET) if own is UNSET else own.get(name, UNSET)
        if found is UNSET:
            found = self.events.get(name) if self.events else None
        return float(found) if isinstance(found, str) else found

    def score(self, objective: str) -> float:
        """As :meth:`Outcome.score`."""
        if not objective:
            return (self.benign + self.masked) / self.n
        found = self.figure(objective)
        return math.nan if found is None else found


OF_OUTCOME = OutcomeRecord.__struct_fields__


def _outcome(record: OutcomeRecord | Line) -> Outcome:
    known = ((name, getattr(record, name)) for name in OF_OUTCOME)
    return Outcome.from_json({name: value for name, value in known if value is not UNSET})


def _check_figures(record: OutcomeRecord | Line) -> None:
    """Raises ValueError unless the counts add up and there are figures, or events and metrics.

    Events may stand beside figures; lines of earlier campaigns have none.
    """
    if record.due + record.sdc + record.benign + record.masked != record.n:
        raise ValueError("due, sdc, benign and masked do not add up to n")
    if record.metrics is not UNSET:
        if record.events is UNSET:
            raise ValueError("metrics without events")
        return
    if UNSET in (record.correct, record.loss, record.acc, record.auc):
        lacks = next(name for name in FIGURES if getattr(record, name) is UNSET)
        raise ValueError(f"missing required field {lacks}")


def trials_in(file: BinaryIO, place: Path) -> Iterator[Line]:
    """The whole lines of a journal, which must number the trials from 0.

    Raises:
        JournalError: One is damaged; it names file and line.
    """
    alike = Alike()
    for number, line in enumerate(read_lines(file, Line, place, JournalError)):
        if line.trial != number:
            raise JournalError(
                f"line {number + 1} of {place} is damaged: it is trial {line.trial}, not {number}"
            )
        yield alike.shared(line)


class Alike:
    """What lines share: there are many, of few conditions, tensors and counts of events."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._cells: dict[bytes, Cell] = {}
        self._events: dict[bytes, dict[str, int]] = {}

    def shared(self, line: Line) -> Line:
        """The line, with what earlier ones have too in place of its own."""
        line.cell = _shared(self._cells, line.cell)
        if line.events is not UNSET:
            line.events = _shared(self._events, line.events)
        for fault in line.faults:
            fault.tensor, fault.op = sys.intern(fault.tensor), sys.intern(fault.op)
        return line


def _shared(known: dict[bytes, T], table: T) -> T:
    """The table, or an equal one that is known; of very different ones not all are kept."""
    key = msgspec.json.encode(table)
    return known.setdefault(key, table) if len(known) < MOST_SHARED else known.get(key, table)
