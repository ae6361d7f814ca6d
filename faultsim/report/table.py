"""The data behind a figure: named columns, plain rows."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from faultsim.stats import Estimate, bounded_mean

Row = Mapping[str, Any]
ESTIMATE = ("value", "low", "high", "n", "interval")
"""The columns of :func:`estimate`; every table of results ends with them."""


@dataclass(frozen=True)
class Table:
    """Rows of text, numbers and None, in the order of the columns.

    Attributes:
        columns: Their names.
        rows: Each with a value for every column.
    """

    columns: tuple[str, ...]
    rows: Sequence[Row]

    def values(self, column: str) -> list[Any]:
        """What a column holds, each once, in the order it appears."""
        return list(dict.fromkeys(row[column] for row in self.rows))

    def where(self, **wanted: Any) -> Table:
        """The rows whose columns have the given values."""
        rows = [row for row in self.rows if all(row[key] == v for key, v in wanted.items())]
        return Table(self.columns, rows)

    def csv(self) -> str:
        """Comma-separated values with a header; None is an empty field."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows([row[column] for column in self.columns] for row in self.rows)
        return text.getvalue()


def estimate(found: Estimate) -> dict[str, Any]:
    """An estimate as the columns :data:`ESTIMATE`."""
    return {
        "value": found.value,
        "low": found.low,
        "high": found.high,
        "n": found.n,
        "interval": found.method,
    }


def mean(values: Sequence[float], *, sampled: bool, most: float) -> dict[str, Any]:
    """The mean loss of a share over trials, with its interval where they are a sample.

    Args:
        values: One a trial.
        sampled: Whether they are a sample.
        most: What there is to lose.
    """
    found = bounded_mean(values, most - 1, most) if sampled else None
    exact = Estimate(sum(values) / len(values), None, None, len(values), "exhaustive")
    return estimate(found or exact)
