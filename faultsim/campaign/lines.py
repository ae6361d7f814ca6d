"""Journal lines as typed records."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, BinaryIO

import msgspec
from msgspec import Meta

from faultsim.errors import JournalError
from faultsim.faults.file import Op
from faultsim.files import Count, Number, Record, Scalar, Share, Whole, read_lines
from faultsim.run.trial import Outcome

Cell = dict[str, Scalar]
Word = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]


class Struck(Record, omit_defaults=True, gc=False):
    """A fault as a journal has it: one word, and what happened to it."""

    tensor: str
    index: Whole
    mask: Word
    op: Op
    operand: Word | None = None
    sample: Whole | None = None
    step: Whole | None = None


class OutcomeRecord(Record, omit_defaults=True):
    """An :class:`Outcome` as it is written: what does not apply is left out."""

    n: Count
    correct: Count
    due: Count
    sdc: Count
    benign: Count
    masked: Count
    loss: Number
    max_dev: Number
    acc: Share
    auc: float | None
    sensitivity: Share | None = None
    specificity: Share | None = None
    missed: Count | None = None
    false_alarms: Count | None = None
    clean_acc: Share | None = None

    @property
    def outcome(self) -> Outcome:
        """The outcome that was recorded."""
        return _outcome(self)


class Line(Record, omit_defaults=True, gc=False):
    """One trial of a journal: its head, then the fields of :class:`OutcomeRecord`.

    Attributes:
        trial: Its number, from 0.
        cell: The condition it belongs to.
        seed: The campaign's.
        flips: Bits struck.
        faults: That were armed.
    """

    trial: Count
    cell: Cell
    seed: Annotated[int, Meta(ge=0)]
    flips: Count
    faults: list[Struck]
    n: Count
    correct: Count
    due: Count
    sdc: Count
    benign: Count
    masked: Count
    loss: Number
    max_dev: Number
    acc: Share
    auc: float | None
    sensitivity: Share | None = None
    specificity: Share | None = None
    missed: Count | None = None
    false_alarms: Count | None = None
    clean_acc: Share | None = None

    @property
    def outcome(self) -> Outcome:
        """The outcome that was recorded."""
        return _outcome(self)

    @property
    def searching(self) -> bool:
        """Whether a search looked here for faults, rather than reported what they do."""
        return "search" in self.cell


OF_OUTCOME = OutcomeRecord.__struct_fields__


def _outcome(record: OutcomeRecord | Line) -> Outcome:
    return Outcome.from_json({name: getattr(record, name) for name in OF_OUTCOME})


def trials_in(file: BinaryIO, place: Path) -> Iterator[Line]:
    """The whole lines of a journal, which must number the trials from 0.

    Raises:
        JournalError: One is damaged; it names file and line.
    """
    cells: dict[bytes, Cell] = {}
    for number, line in enumerate(read_lines(file, Line, place, JournalError)):
        line.cell = cells.setdefault(msgspec.json.encode(line.cell), line.cell)
        for fault in line.faults:  # there are many lines, of few conditions and tensors
            fault.tensor = sys.intern(fault.tensor)
        if line.trial != number:
            raise JournalError(
                f"line {number + 1} of {place} is damaged: it is trial {line.trial}, not {number}"
            )
        yield line
