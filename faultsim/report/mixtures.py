"""Which kinds of events a fault model brought, and what each did."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from faultsim.campaign.lines import Line
from faultsim.campaign.summary import column, sample_rate
from faultsim.report.campaigns import RecordedCampaign
from faultsim.report.table import ESTIMATE, Row, Table, estimate
from faultsim.stats import clopper_pearson

COLUMNS = ("event", "outcome", *ESTIMATE)


def mixture_sections(runs: Sequence[RecordedCampaign]) -> list[tuple[str, str, Table]]:
    """Label, what was drawn, and the outcomes by kind, of campaigns with events of several kinds.

    Trials of several events are left out: nothing tells which of them did it.
    """
    found = []
    for run in runs:
        lines = [line for line in run.lines if line.struck is not None and len(line.struck) == 1]
        kinds: dict[str, list[Line]] = {}
        for line in lines:
            kinds.setdefault(_kind(line), []).append(line)
        if len(kinds) > 1:
            table = Table(COLUMNS, list(_rows(kinds, len(lines))))
            found.append((run.label, _sentence(run, kinds, len(lines)), table))
    return found


def _kind(line: Line) -> str:
    """What struck, without where: ``row of 32 × 8 words``; and whether it was a bit of each."""
    (struck,) = line.struck or ("",)
    said = struck.partition(" at ")[0]
    single = line.flips == len(line.faults) and not said[:1].isdigit()
    return f"{said}, one bit of each" if single else said


def _sentence(run: RecordedCampaign, kinds: dict[str, list[Line]], trials: int) -> str:
    most = max(kinds, key=lambda kind: len(kinds[kind]))
    return (
        f"Fault model {run.config['fault_model']}: {trials:,} trials of a single event, of "
        f"{len(kinds)} kinds; {most} in {len(kinds[most]) / trials:.1%} of them."
    )


def _rows(kinds: dict[str, list[Line]], trials: int) -> Iterator[Row]:
    """The most frequent kind first."""
    for kind in sorted(kinds, key=lambda kind: -len(kinds[kind])):
        lines = kinds[kind]
        sizes = column(lines, "n")
        outcomes = {
            "struck": clopper_pearson(len(lines), trials),
            "SDC": sample_rate(column(lines, "sdc"), sizes),
            "DUE": sample_rate(column(lines, "due"), sizes),
        }
        for outcome, rate in outcomes.items():
            yield {"event": kind, "outcome": outcome, **estimate(rate)}
