"""What the runs of a figure are measured by, in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from faultsim.report.campaigns import HARMED, RecordedCampaign
from faultsim.report.table import Table

DROPS = "mean accuracy drop, percentage points"
CORRUPTED = "share with SDC or DUE, %"
HARM = "mean harm, percentage points"


def told(text: str, runs: Sequence[RecordedCampaign]) -> str:
    """A title or caption that is true of the runs it speaks of.

    Args:
        text: With names in braces: ``{samples}``, ``{objective}``, ``{Objective}``, ``{harm}``,
            ``{outputs}``, ``{sdc}``.
        runs: Those in the figure.
    """
    classes = any(run.objective.name is None for run in runs)
    others = any(run.objective.name is not None for run in runs)
    return text.format(
        samples=_either(run.objective.unit for run in runs) or "samples",
        objective=_either(run.objective.title for run in runs) or "accuracy",
        Objective="Objective" if others else "Accuracy",
        outputs="outputs" if others else "predictions",
        harm=_harm(classes, others),
        sdc=_sdc(classes, others),
    )


def _harm(classes: bool, others: bool) -> str:
    harmed = "share of samples with SDC or DUE"
    if classes and others:
        return f"drop of test accuracy, of tasks other than classification {harmed},"
    return harmed if others else "drop of test accuracy"


def _sdc(classes: bool, others: bool) -> str:
    prediction = "the prediction differs from the golden run"
    if classes and others:
        return f"{prediction}, or the output is corrupted in what its task looks at"
    return "the output is corrupted in what the task looks at" if others else prediction


def _either(names: Iterable[str]) -> str:
    return " or ".join(dict.fromkeys(names))


def harm_label(table: Table) -> str:
    """Of an axis of harm in percentage points.

    Args:
        table: With a column ``measure``.
    """
    measures = table.values("measure")
    if HARMED not in measures:
        return DROPS
    return CORRUPTED if len(measures) == 1 else HARM
