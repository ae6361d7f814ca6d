"""Layers in the order of the harm that faults in them do, and how far the order can be trusted."""

from __future__ import annotations

from faultsim.errors import ConfigError
from faultsim.report.campaigns import RecordedCampaign
from faultsim.report.localised import BY_LAYER, localised
from faultsim.report.table import Row, Table, mean_of
from faultsim.stats import CONFIDENCE, Estimate
from faultsim.stats.ranking import confidence_of_each, may_be_first
from faultsim.stats.tail import Floats

FIRST = "may be worst"
COLUMNS = ("layer", "harm", "low", "high", "trials", FIRST)


def by_layer(run: RecordedCampaign) -> dict[str, Floats]:
    """The harms of the trials that struck one layer, by that layer."""
    return {layer.layer: run.harms_of(layer.trials) for layer in localised(run)}


def ranked(run: RecordedCampaign) -> Table:
    """Layers by mean harm, the greatest first; the note says how far the order can be trusted.

    Raises:
        ConfigError: No trial struck a single layer.
    """
    told = _estimated(run) or _sampled(run)
    if not told:
        raise ConfigError(
            f"{run.directory} ranks no layers: none of its trials struck a single one; "
            "--mode layer-wise does"
        )
    first = may_be_first([together for _, _, together in told])
    rows: list[Row] = [
        {
            "layer": layer,
            "harm": found.value,
            "low": found.low,
            "high": found.high,
            "trials": found.n,
            FIRST: "yes" if may else "no",
        }
        for (layer, found, _), may in zip(told, first, strict=True)
    ]
    rows.sort(key=lambda row: -row["harm"])
    return Table(COLUMNS, rows, f"Harm: {_measure(run)}. {_trust(rows, run)}")


def _sampled(run: RecordedCampaign) -> list[tuple[str, Estimate, Estimate]]:
    """Each layer with its own interval, and with one that holds together with all others."""
    if run.mode not in BY_LAYER:
        return []
    groups = by_layer(run)
    each = confidence_of_each(len(groups))

    def harm(values: Floats, confidence: float) -> Estimate:
        return mean_of(values, sampled=run.sampled, most=run.most, confidence=confidence)

    return [(layer, harm(v, CONFIDENCE), harm(v, each)) for layer, v in groups.items()]


def _estimated(run: RecordedCampaign) -> list[tuple[str, Estimate, Estimate]]:
    """Layers of an estimate, whose intervals hold one by one."""
    told = run.summary.estimate if run.summary else None
    parts = [part for part in told.parts if "layer" in part.cell and part.n] if told else []
    rates = [Estimate(float(p.value), p.low, p.high, p.n, p.method) for p in parts]
    return [(str(p.cell["layer"]), r, r) for p, r in zip(parts, rates, strict=True)]


def _measure(run: RecordedCampaign) -> str:
    if run.mode == "estimate":
        return "failure rate"
    return f"mean {run.measure}, a part of 1"


def _trust(rows: list[Row], run: RecordedCampaign) -> str:
    """What the order is worth, in a sentence."""
    count, few = len(rows), sum(row[FIRST] == "yes" for row in rows)
    if count == 1:
        return "There is one layer."
    if not run.sampled:
        return "Nothing was sampled: the order is exact."
    if few == count:
        return f"The ranking is noise: any of the {count} layers may be the most harmful."
    if few == 1:
        return f"{rows[0]['layer']} is the most harmful at 95 %."
    return f"The most harmful is one of {few} of the {count} layers at 95 %; which, is noise."


def warning(run: RecordedCampaign) -> str:
    """Of a ranking in which several layers may be the first; "" where one is, or there is none."""
    try:
        table = ranked(run)
    except ConfigError:
        return ""
    many = sum(row[FIRST] == "yes" for row in table.rows) > 1
    return _trust(list(table.rows), run) if many and run.sampled else ""
