"""Which protection pays: each beside the bare model, over all that is recorded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from faultsim.campaign.comparison import Change, changes_of
from faultsim.campaign.lines import Line
from faultsim.report.campaigns import RecordedCampaign
from faultsim.report.figures.shares import condition
from faultsim.report.labels import model_and_data
from faultsim.report.protections import RecordedProtections, condition_of
from faultsim.report.table import Row, Table
from faultsim.stats import Estimate

ALIKE = ("mode", "model", "workload", "target", "op", "bits", "perturb", "granularity")
"""Settings that a protected campaign shares with the bare one."""

RATES = ("sdc", "failure")
SAME, OWN = "the same", "of each its own"
"""The faults of a pair: one comparison struck both models with them, or each campaign drew some."""


def which_pays(
    runs: Sequence[RecordedCampaign], comparisons: Sequence[RecordedProtections] = ()
) -> Table:
    """A row for each protection, condition and rate, with the interval of the change.

    Args:
        runs: Campaigns, of which those of a protection are put beside those without.
        comparisons: Protections on the same faults; their changes are paired trial by trial.
    """
    rows = [row for run in comparisons for row in _compared(run)]
    rows += [row for run in runs if run.config.get("protect") for row in _beside(run, runs)]
    first = ("model and data", "protection", "condition", "rate", "bare", "protected")
    return Table((*first, "change in points", "faults", "pays"), rows)


def _compared(run: RecordedProtections) -> Iterator[Row]:
    for paid in run.paid:
        for change in paid.changes:
            if change.rate in RATES:
                where = ", ".join(
                    filter(None, (str(run.config["target"]), _bits(run), condition_of(change)))
                )
                yield _row(run, paid.name, where, change, SAME)


def _bits(run: RecordedProtections) -> str:
    bits = str(run.config["bits"])
    return "" if bits == "all" else f"bits {bits}"


def _beside(run: RecordedCampaign, runs: Sequence[RecordedCampaign]) -> Iterator[Row]:
    """A campaign with a protection and one without: what was added is struck as well, no pairs."""
    for bare in (one for one in runs if _is_bare(one, run)):
        was, now = _conditions(bare), _conditions(run)
        for key in (key for key in was if key in now):
            cell = now[key][0].cell
            changes = changes_of(cell, was[key], now[key], paired=False, sampled=run.sampled)
            for change in (one for one in changes if one.rate in RATES):
                protection, where = str(run.config["protect"]), condition(run, cell)
                yield _row(run, protection, where, change, OWN)
        return


def _row(
    run: RecordedCampaign | RecordedProtections,
    protection: str,
    where: str,
    change: Change,
    faults: str,
) -> Row:
    return {
        "model and data": model_and_data(run),
        "protection": protection,
        "condition": where,
        "rate": "SDC" if change.rate == "sdc" else "SDC or DUE",
        "bare": str(change.first),
        "protected": str(change.second),
        "change in points": _points(change.difference),
        "faults": faults,
        "pays": _verdict(change.difference),
    }


def _is_bare(one: RecordedCampaign, run: RecordedCampaign) -> bool:
    """Whether a campaign is the other without its protection."""
    same = all(one.config.get(name) == run.config.get(name) for name in ALIKE)
    data = one.manifest["data"]["digest"] == run.manifest["data"]["digest"]
    return same and data and not one.config.get("protect") and run.mode != "estimate"


def _conditions(run: RecordedCampaign) -> dict[str, list[Line]]:
    found: dict[str, list[Line]] = {}
    for line in run.lines:
        if not line.searching:
            found.setdefault(str(line.cell), []).append(line)
    return found


def _points(found: Estimate) -> str:
    """In percentage points, signed."""
    if found.low is None or found.high is None:
        return f"{100 * found.value:+.2f}"
    return f"{100 * found.value:+.2f} [{100 * found.low:+.1f} to {100 * found.high:+.1f}]"


def _verdict(found: Estimate) -> str:
    low, high = (found.value, found.value) if found.low is None else (found.low, found.high or 0.0)
    if high < 0:
        return "yes"
    return "does harm" if low > 0 else "not shown"
