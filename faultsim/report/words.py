"""What the page says of runs, figures and numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from html import escape
from typing import Any

from faultsim.config.operators import struck
from faultsim.report.campaigns import RecordedCampaign
from faultsim.report.labels import model_and_data
from faultsim.report.perturbations import RecordedPerturbation
from faultsim.report.protections import RecordedProtections
from faultsim.report.table import Table

ROUNDING = 1e-12  # what arithmetic leaves of a difference of equal numbers
Run = RecordedCampaign | RecordedPerturbation | RecordedProtections


def plural(name: str, n: int) -> str:
    """The name of so many things: of "comparison of protections" the first word takes the s."""
    head, of, rest = name.partition(" of ")
    return f"{head}{'s' if n > 1 else ''}{of}{rest}"


def text(value: Any) -> str:
    """A value as a cell of a table shows it."""
    if value is None or value == [] or value == "":
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float) and not math.isfinite(value):
        return "not finite"
    if isinstance(value, float) and abs(value) < ROUNDING:
        return "0"
    if isinstance(value, float):
        return f"{value:.4f}" if 1e-3 <= abs(value) < 10 else f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(text, value))
    if isinstance(value, Mapping):
        return "; ".join(f"{key}: {text(item)}" for key, item in value.items())
    return str(value)


def breakable(value: Any) -> str:
    """A value as a cell shows it: it may break between the parts of a name, not in an interval."""
    parted = re.sub(r"\.(?=[A-Za-z_]|\d+[.\[])", ".<wbr>", escape(text(value)))
    return re.sub(r"(?<= )\[[^]]*\]", r'<span class="whole">\g<0></span>', parted)


def sortable(value: Any) -> bool:
    """Whether a cell has a number that a table can be sorted by."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value)


def faults(run: RecordedCampaign) -> str:
    """How much was struck in a trial."""
    config = run.config
    if config["ber"] is not None:
        return f"bit-error rate {config['ber']:g}"
    model = config.get("fault_model")
    if model is not None and config["hours"] is not None:
        return f"events of {model} in {config['hours']:g} hours"
    if model is not None:
        counts = ", ".join(map(str, config["events"]))
        return f"{counts} event{'' if config['events'] == [1] else 's'} of {model}"
    if run.mode == "estimate":
        return "1, on one sample"
    if run.mode in ("exhaustive", "from-file"):
        return "every bit, one at a time" if run.mode == "exhaustive" else str(config["faults"])
    *others, last = config["flips"]
    return "".join(f"{count}, " for count in others) + struck(config["op"], last)


def images(run: RecordedCampaign) -> str:
    """What the campaign did to the images."""
    perturb, attacked = run.config.get("perturb"), run.config.get("attack_model")
    faulty = " against the faulty model" if attacked == "faulty" else ""
    return f"{perturb}{faulty}" if perturb else "clean"


def settings(run: Run) -> str:
    """Model, data and settings in one line, for captions."""
    told = [model_and_data(run)]
    if isinstance(run, RecordedCampaign):
        bits = "" if run.config["bits"] == "all" else f", bits {run.config['bits']}"
        told += [
            f"{run.golden.n:,} test {run.objective.unit}",
            f"{run.mode}, {run.config['op']} in {run.config['target']}{bits}",
        ]
        told += [f"under {images(run)}"] if run.config.get("perturb") else []
        told += [f"task {task}"] if (task := run.task) else []
    elif isinstance(run, RecordedProtections):
        bits = "" if run.config["bits"] == "all" else f", bits {run.config['bits']}"
        told.append(f"{run.trials:,} trials, {run.config['op']} in {run.config['target']}{bits}")
    elif "images" in run.manifest["data"]:
        told.append(f"{run.manifest['data']['images']:,} test images")
    if "seed" in run.config:
        told.append(f"seed {run.config['seed']}")
    return "; ".join(told)


def sampling(table: Table) -> str:
    """What n is in a figure, and how its intervals were made."""
    counts = sorted(n for n in table.values("n") if n)
    if not counts:
        return ""
    span = f"{counts[0]:,}" if counts[0] == counts[-1] else f"{counts[0]:,} to {counts[-1]:,}"
    rows = [row for row in table.rows if row["n"]]
    made = dict.fromkeys(row["interval"] for row in rows if row["low"] is not None)
    bare = dict.fromkeys(row["interval"] for row in rows if row["low"] is None)
    told = f"n = {span}. "
    told += f"95 % intervals: {', '.join(made)}. " if made else ""
    return told + (f"Without interval: {', '.join(bare)}." if bare else "")
