"""What a campaign found: as it ends, or read from its directory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faultsim.campaign.directory import Recorded, read_campaign
from faultsim.campaign.objective import ACCURACY, Objective
from faultsim.campaign.summary import OUTCOMES, CellSummary, summarise
from faultsim.campaign.trial_table import exploded, fault_columns, trial_columns
from faultsim.run.outcome import Cell, Outcome
from faultsim.stats import Estimate
from faultsim.table import Table, html_facts, pandas

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@dataclass(frozen=True, repr=False)
class CampaignResult:
    """A campaign.

    Attributes:
        directory: Where its journal lies.
        golden: The golden run on the test split, of perturbed images where there are such.
        cells: Outcome rates of each condition.
        worst: For worst-case: each curve's faults, in the order committed, with values.
        directions: Of binary sets: what ``missed`` and ``false_alarms`` are, by names of classes.
        clean: Of campaigns that perturb images: the golden run on the images as they are.
        objective: The figure that counts: mean and lowest of each cell are its.
        estimate: Of a campaign that went on until a rate was known, that rate.
        parts: Labels and rates of each bit and layer, as far as it was told by them; there are no
            cells.
        reached: Whether the rate is known as well as was asked; not of an estimate that has not
            ended.
        finished: Whether it has ended; of one that has not, all is as far as its journal goes.
    """

    directory: Path
    golden: Outcome
    cells: list[CellSummary]
    worst: Mapping[str, list[str]]
    directions: Mapping[str, str]
    clean: Outcome | None = None
    objective: Objective = ACCURACY
    estimate: Estimate | None = None
    parts: Sequence[tuple[Cell, Estimate]] = field(default=())
    reached: bool = True
    finished: bool = True

    @cached_property
    def recorded(self) -> Recorded:
        """The manifest and the trials, read from the directory once.

        Raises:
            JournalError: They are gone or damaged.
        """
        return read_campaign(self.directory)

    def frame(self, *, faults: bool = False) -> pd.DataFrame:
        """The trials as a pandas DataFrame, a row each.

        Args:
            faults: A row for each fault instead, with what is known of its trial.

        Returns:
            Labels of conditions (``layer``, ``bit``, …), counts of samples by outcome, figures and
            events; of faults ``fault_tensor``, ``fault_layer``, ``fault_bit``, …

        Raises:
            ConfigError: There is no pandas.
        """
        frames = pandas()
        columns = trial_columns(self.recorded.lines)
        if faults:
            found = fault_columns(self.recorded.lines, self.recorded.manifest)
            columns = exploded(columns, found)
        return frames.DataFrame(
            {n: frames.array(c, dtype=_dtype(c)) for n, c in columns.items()}, columns=list(columns)
        )

    def rates(self) -> Table:
        """The rate of each outcome in each condition with its interval; the last are the mean of
        what counts, and its lowest."""
        rows = [row for cell in self.cells for row in self._rates(cell)]
        rows += [_row(cell, "rate", estimate) for cell, estimate in self.parts]
        rows += [] if self.estimate is None else [_row({}, "rate", self.estimate)]
        labels = dict.fromkeys(name for row in rows for name in row if name not in MEASURED)
        columns = (*labels, *MEASURED)
        return Table(columns, [dict.fromkeys(columns) | row for row in rows], self._state())

    def plot(self, name: str | None = None) -> Mapping[str, Figure] | Figure:
        """The figures of the report, as Matplotlib has them; they show in a notebook.

        Args:
            name: Of one of them: ``outcomes``, ``layers``, ``bits``, ``distribution``, …

        Returns:
            All figures by name that there is data for; or the one.

        Raises:
            ConfigError: There is no such figure of this campaign; it names those there are.
        """
        from faultsim.report.views import figures_of

        return figures_of(self.directory, name)

    def worst_layers(self, most: int | None = None) -> Table:
        """Layers by the mean harm of faults in them, the greatest first, with intervals.

        ``may be worst`` says of each whether it may be the most harmful layer: the intervals
        behind it hold for all layers at once. The note says so where the ranking is noise.

        Args:
            most: How many layers, from the first.

        Raises:
            ConfigError: No trial of the campaign struck a single layer.
        """
        from faultsim.report.views import worst_layers_of

        return worst_layers_of(self.directory, most)

    def _rates(self, cell: CellSummary) -> list[dict[str, Any]]:
        told = {**cell.rates, "any_sdc": cell.any_sdc, "any_due": cell.any_due, **cell.events}
        told |= {**cell.diagnosis, **cell.interplay, **cell.metrics}
        told[self.objective.title] = cell.accuracy
        lowest = Estimate(cell.lowest, None, None, cell.trials, "of a trial")
        told[f"lowest {self.objective.title}"] = lowest
        return [_row(cell.cell, name, estimate) for name, estimate in told.items()]

    def _state(self) -> str:
        if self.finished:
            return ""
        recorded = self.recorded
        planned = recorded.manifest.planned
        of = "" if planned is None else f" of {planned:,}"
        return f"unfinished: {len(recorded.lines):,}{of} trials so far"

    def __repr__(self) -> str:
        return f"CampaignResult({', '.join(self._told())})"

    def _told(self) -> list[str]:
        told = [str(self.directory)]
        if self.estimate is not None:
            known = "" if self.reached else ", not as well as was asked"
            told.append(f"rate {self.estimate} after {self.estimate.n:,} trials{known}")
        elif self.cells:
            trials = sum(cell.trials for cell in self.cells)
            conditions = f" in {len(self.cells)} conditions" if len(self.cells) > 1 else ""
            told.append(f"{trials:,} trials{conditions}")
        if len(self.cells) == 1:
            rates = self.cells[0].rates
            told += [f"SDC {rates['sdc']}", f"DUE {rates['due']}"]
        worth, title = self.golden.score(self.objective.key), self.objective.title
        told.append(f"golden {title} {self.objective.text(worth)}")
        return [*told, *filter(None, [self._state()])]

    def _repr_html_(self) -> str:
        directory, *rest = self._told()
        facts = html_facts(f"Campaign in {directory}", {})
        return facts + self._conditions("; ".join(rest))._repr_html_()

    def _conditions(self, note: str) -> Table:
        """A row for each condition, or bit and layer, with rates as people read them."""
        title = self.objective.title
        rows: list[dict[str, Any]] = [
            {
                **cell.cell,
                "trials": cell.trials,
                **{name.upper() if name != "masked" else name: str(cell.rates[name])
                   for name in OUTCOMES if name != "benign"},
                "trials with SDC": str(cell.any_sdc),
                title: str(cell.accuracy) if self.objective.share else f"{cell.accuracy.value:.4g}",
                "lowest": self.objective.text(cell.lowest),
            }
            for cell in self.cells
        ]  # fmt: skip
        rows += [{**cell, "rate": str(estimate)} for cell, estimate in self.parts]
        columns = tuple(dict.fromkeys(name for row in rows for name in row))
        return Table(columns, [dict.fromkeys(columns) | row for row in rows], note)


MEASURED = ("measure", "value", "low", "high", "trials", "interval")
"""Columns of :meth:`CampaignResult.rates` after the labels."""


def load_result(directory: str | Path) -> CampaignResult:
    """The result of a campaign from its directory. No code that it names is imported or called.

    Args:
        directory: Of a campaign, finished or not; ``finished`` says which.

    Raises:
        JournalError: It holds no campaign, or a damaged one.
    """
    found = read_campaign(Path(directory))
    manifest, summary = found.manifest, found.summary
    golden = manifest.golden.outcome
    clean = None if manifest.clean is None else manifest.clean.outcome
    estimate = summary.estimate if summary else None
    result = CampaignResult(
        directory=Path(directory),
        golden=golden,
        cells=_cells(found, golden, clean),
        worst=summary.worst if summary else {},
        directions=summary.directions if summary else {},
        clean=clean,
        objective=recorded_objective(found),
        estimate=None if estimate is None else _estimate(estimate),
        parts=[(part.cell, _estimate(part)) for part in estimate.parts] if estimate else (),
        reached=estimate.reached if estimate else manifest.config["mode"] != "estimate",
        finished=summary is not None,
    )
    vars(result)["recorded"] = found  # what has been read is not read again
    return result


def recorded_objective(found: Recorded) -> Objective:
    """The figure that counts in a recorded campaign."""
    manifest = found.manifest
    unit = "samples" if manifest.data.samples else "images"
    told = manifest.objective
    of_images = told is None and manifest.golden.outcome.of_images
    return Objective(None if of_images else told or "", unit)


def _cells(found: Recorded, golden: Outcome, clean: Outcome | None) -> list[CellSummary]:
    """From the journal, ended or not; none of an estimate, whose trials are not drawn alike."""
    config = found.manifest.config
    if config["mode"] == "estimate":
        return []
    return summarise(
        found.lines,
        sampled=config["mode"] != "exhaustive",
        attack_loss=clean.acc - golden.acc if clean else 0.0,
        objective=recorded_objective(found).name,
        ranges={n: tuple(map(float, ends)) for n, ends in found.manifest.ranges.items()},
    )


def _estimate(record: Any) -> Estimate:
    return Estimate(float(record.value), record.low, record.high, record.n, record.method)


def _row(cell: Mapping[str, Any], measure: str, found: Estimate) -> dict[str, Any]:
    values = (measure, found.value, found.low, found.high, found.n, found.method)
    return {**cell, **dict(zip(MEASURED, values, strict=True))}


def _dtype(column: Sequence[Any]) -> str | None:
    """Of whole numbers of which some are missing; pandas would make floats of them."""
    kinds = {type(value) for value in column}
    return {
        frozenset({int, type(None)}): "Int64",
        frozenset({int}): "int64",
        frozenset({float}): "float64",
        frozenset({float, type(None)}): "float64",
        frozenset({bool}): "bool",
    }.get(frozenset(kinds))
