"""The report in a few sentences."""

from __future__ import annotations

from collections.abc import Sequence

from faultsim.campaign.objective import Objective
from faultsim.campaign.summary import CellSummary
from faultsim.config.operators import struck
from faultsim.report import estimates, words
from faultsim.report.campaigns import RecordedCampaign
from faultsim.report.figures.shares import condition
from faultsim.report.ranking import warning
from faultsim.stats import Estimate

MOST = 12  # of a study of three data sets those of all


def findings(campaigns: Sequence[RecordedCampaign]) -> list[tuple[str, str]]:
    """Label and sentence of each campaign.

    The label is empty where there is one campaign.
    """
    found = []
    for run in campaigns:
        sentence = _sentence(run)
        if sentence:
            found.append(
                (run.label if len(campaigns) > 1 else "", sentence[0].upper() + sentence[1:])
            )
    return found[:MOST]


def _sentence(run: RecordedCampaign) -> str | None:
    if run.mode == "worst-case":
        return _searched(run)
    return _estimated(run) or _random(run) or _most_harmful(run)


def _searched(run: RecordedCampaign) -> str | None:
    """The fewest flips that the search reports, beside as many at random."""
    cells = [cell for cell in run.cells if cell.cell["curve"] == "worst-case"]
    if not cells:
        return None
    worst = min(cells, key=lambda cell: int(cell.cell["flips"]))
    flips, objective = worst.cell["flips"], run.objective
    told = f"{struck(str(run.config['op']), flips)} found by search "
    told += f"{'takes' if flips == 1 else 'take'} test "
    told += f"{objective.title} from {objective.text(run.worth, 1)} to "
    told += objective.text(worst.accuracy.value, 1) + _perturbed(run)
    alike = [c for c in run.cells if c.cell == {"curve": "random", "flips": flips}]
    left = (_of(objective, cell.accuracy) for cell in alike)
    return told + "".join(f"; as many at random leave {text}" for text in left) + "."


def _estimated(run: RecordedCampaign) -> str | None:
    found = run.summary.estimate if run.summary else None
    return None if found is None else estimates.sentence(run, found)


def _random(run: RecordedCampaign) -> str | None:
    """The most flips or events, the bit-error rate or time, that a random campaign tried."""
    if run.mode != "random" or not run.cells:
        return None
    cell = max(run.cells, key=lambda cell: cell.cell.get("flips", cell.cell.get("events", 0)))
    told, objective = _perturbed(run), run.objective
    if objective.name is not None:
        return _of_task(run, cell)
    return (
        f"under {_faults(run, cell)} mean test accuracy is {_share(cell.accuracy)}, "
        f"from {objective.text(run.worth, 1)} without{' faults' + told if told else ''}; "
        f"{objective.text(cell.lowest, 1)} in the worst of {cell.trials:,} trials."
    )


def _most_harmful(run: RecordedCampaign) -> str | None:
    """The condition of most SDC and DUE, and whether another may be it."""
    if not run.cells:
        return None
    cell = max(run.cells, key=lambda one: one.rates["sdc"].value + one.rates["due"].value)
    unit, trials = run.objective.unit, f"{cell.trials:,} trial{'s' * (cell.trials > 1)}"
    what = condition(run, cell.cell) or "the faults given"
    told = f"with {what}, " if len(run.cells) == 1 else f"most harm is done with {what}: "
    told += f"{_share(cell.rates['sdc'])} of {unit} are corrupted silently, "
    told += f"{_share(cell.rates['due'])} with a detected error, in {trials}"
    told += f"; {_share(cell.any_sdc)} of these have at least one silent corruption."
    doubt = warning(run)
    return f"{told} {doubt}" if doubt else told


def _of_task(run: RecordedCampaign, cell: CellSummary) -> str:
    """Of a task that is no classification: corrupted samples, its events, then its score."""
    objective, rates = run.objective, cell.rates
    told = f"under {_faults(run, cell)} {_share(rates['sdc'])} of {objective.unit} are corrupted "
    told += f"silently, {_share(rates['due'])} with a detected error"
    told += "".join(f"; {name} {_share(rate)}" for name, rate in cell.events.items())
    if objective.key:
        told += f"; mean {objective.title} is {_of(objective, cell.accuracy)}, from "
        told += f"{objective.text(run.worth, 1)} without; {objective.text(cell.lowest, 1)} in the "
        told += f"worst of {cell.accuracy.n:,} trials in which it is finite"
    return f"{told}."


def _of(objective: Objective, estimate: Estimate) -> str:
    """A mean of what counts."""
    if objective.share or estimate.low is None or estimate.high is None:
        return _share(estimate) if objective.share else objective.text(estimate.value)
    return f"{objective.text(estimate.value)} [{estimate.low:.4g}, {estimate.high:.4g}]"


def _perturbed(run: RecordedCampaign) -> str:
    """Of perturbed images, whose golden accuracy is not the clean one's."""
    return f", under {words.images(run)}" if run.config.get("perturb") else ""


def _faults(run: RecordedCampaign, cell: CellSummary) -> str:
    model = run.config.get("fault_model")
    if "hours" in cell.cell:
        return f"the events of fault model {model} in {cell.cell['hours']:g} hours"
    if "events" in cell.cell:
        events = cell.cell["events"]
        return f"{events:,} event{'s' * (events > 1)} of fault model {model}"
    if "ber" in cell.cell:
        return f"a bit-error rate of {cell.cell['ber']:g}"
    return struck(str(run.config["op"]), cell.cell["flips"]).replace(" ", " random ", 1)


def _share(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.1%}"
    return f"{estimate.value:.1%} [{100 * estimate.low:.1f}–{100 * estimate.high:.1f}%]"
