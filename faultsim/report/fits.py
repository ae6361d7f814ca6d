"""Failures in time of campaigns that know how often events happen."""

from __future__ import annotations

from collections.abc import Sequence

from faultsim.campaign.findings import FitPartRecord, FitRecord
from faultsim.report.campaigns import RecordedCampaign
from faultsim.report.table import ESTIMATE, Row, Table

COLUMNS = ("layer", "bits", "outcome", *ESTIMATE)


def fit_sections(runs: Sequence[RecordedCampaign]) -> list[tuple[str, str, Table]]:
    """Label, how often events happen, and FIT of all, then of each layer."""
    found = []
    for run in runs:
        told = run.summary.fit if run.summary else None
        if told is not None:
            rows = _rows("all", told.whole)
            for layer, part in told.layers.items():
                rows += _rows(layer, part)
            found.append((run.label, _sentence(run, told), Table(COLUMNS, rows)))
    return found


def _sentence(run: RecordedCampaign, told: FitRecord) -> str:
    what = run.config.get("fault_model")
    events = "upsets of a bit" if what is None else f"events of fault model {what}"
    return (
        f"{told.fit_per_mbit:g} {events} in 10⁹ hours and Mbit (2²⁰ bits), in "
        f"{told.whole.bits:,} bits of {run.config['target']}."
    )


def _rows(layer: str, part: FitPartRecord) -> list[Row]:
    return [
        {
            "layer": layer,
            "bits": part.bits,
            "outcome": name,
            "value": float(rate.value) if rate.n else None,
            "low": rate.low,
            "high": rate.high,
            "n": rate.n,
            "interval": rate.method,
        }
        for name, rate in part.rates.items()
    ]
