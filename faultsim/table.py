"""Small tables of results: named columns, plain rows; as text, HTML, CSV and data frames."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from faultsim.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

Row = Mapping[str, Any]
SHOWN = 20  # rows that a notebook or a terminal is shown unasked


@dataclass(frozen=True, repr=False)
class Table:
    """Rows of text, numbers and None, in the order of the columns.

    Attributes:
        columns: Their names.
        rows: Each with a value for every column.
        note: What a reader must know of them.
    """

    columns: tuple[str, ...]
    rows: Sequence[Row]
    note: str = ""

    def values(self, column: str) -> list[Any]:
        """What a column holds, each once, in the order it appears."""
        return list(dict.fromkeys(row[column] for row in self.rows))

    def where(self, **wanted: Any) -> Table:
        """The rows whose columns have the given values."""
        rows = [row for row in self.rows if all(row[key] == v for key, v in wanted.items())]
        return Table(self.columns, rows)

    def __len__(self) -> int:
        return len(self.rows)

    def csv(self) -> str:
        """Comma-separated values with a header; None is an empty field."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows([row[column] for column in self.columns] for row in self.rows)
        return text.getvalue()

    def latex(self) -> str:
        """A ``tabular`` with the rules of booktabs; special characters are escaped."""
        kinds = "".join("r" if self._is_number(column) else "l" for column in self.columns)
        lines = (" & ".join(map(_latex, self._texts(row))) for row in self.rows)
        body = "".join(f"{line} \\\\\n" for line in lines)
        head = " & ".join(map(_latex, self.columns))
        return (
            f"\\begin{{tabular}}{{{kinds}}}\n\\toprule\n{head} \\\\\n\\midrule\n{body}"
            "\\bottomrule\n\\end{tabular}\n"
        )

    def frame(self) -> pd.DataFrame:
        """The rows as a pandas DataFrame.

        Raises:
            ConfigError: There is no pandas: ``pip install 'faultsim[export]'``.
        """
        return pandas().DataFrame(list(self.rows), columns=list(self.columns))

    def __repr__(self) -> str:
        """The first rows in columns; all of them are in ``rows``."""
        cells = [list(self.columns), *(self._texts(row) for row in self.rows[:SHOWN])]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        right = [self._is_number(column) for column in self.columns]
        lines = [_line(texts, widths, right) for texts in cells]
        return "\n".join([*lines, *self._rest(), *filter(None, [self.note])])

    def _repr_html_(self) -> str:
        body = (self._texts(row) for row in self.rows[:SHOWN])
        notes = [*self._rest(), *filter(None, [self.note])]
        return html_table(self.columns, body, notes)

    def _rest(self) -> list[str]:
        more = len(self.rows) - SHOWN
        return [f"and {more:,} more"] if more > 0 else []

    def _texts(self, row: Row) -> list[str]:
        return [_text(row[column]) for column in self.columns]

    def _is_number(self, column: str) -> bool:
        return any(isinstance(row[column], int | float) for row in self.rows[:SHOWN])


def html_table(
    columns: Iterable[str], rows: Iterable[Iterable[str]], notes: Iterable[str] = ()
) -> str:
    """A table for a notebook; every text is escaped, and the notebook's own style applies.

    Args:
        columns: Headings; none for a table of facts, whose first cells are headings then.
        rows: Texts.
        notes: Paragraphs below.
    """
    names = "".join(f"<th>{escape(name)}</th>" for name in columns)
    head = f"<thead><tr>{names}</tr></thead>" if names else ""
    body = "".join(_html_row(row, facts=not names) for row in rows)
    below = "".join(f"<p>{escape(note)}</p>" for note in notes)
    return f"<table>{head}<tbody>{body}</tbody></table>{below}"


def html_facts(title: str, facts: Mapping[str, object]) -> str:
    """A title and a line for each thing known, for a notebook."""
    rows = [(name, _text(value)) for name, value in facts.items()]
    return f"<p><b>{escape(title)}</b></p>{html_table((), rows)}"


def _html_row(row: Iterable[str], *, facts: bool) -> str:
    cells = [f"<td>{escape(text)}</td>" for text in row]
    if facts:
        cells[0] = cells[0].replace("td>", "th>")
    return f"<tr>{''.join(cells)}</tr>"


def pandas() -> Any:
    """The module, or one line that says how to have it."""
    try:
        import pandas
    except ImportError:
        raise ConfigError(
            "a data frame needs pandas, which is not installed: pip install 'faultsim[export]'"
        ) from None
    return pandas


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


SPECIAL = {
    **{char: f"\\{char}" for char in "&%$#_{}"},
    "~": "\\textasciitilde{}",
    "^": "\\textasciicircum{}",
    "\\": "\\textbackslash{}",
    "±": "$\\pm$",
    "≤": "$\\leq$",
    "≥": "$\\geq$",
    "→": "$\\to$",
}


def _latex(text: str) -> str:
    return "".join(SPECIAL.get(char, char) for char in text)


def _line(texts: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    padded = (
        text.rjust(width) if is_number else text.ljust(width)
        for text, width, is_number in zip(texts, widths, right, strict=True)
    )
    return "  ".join(padded).rstrip()
