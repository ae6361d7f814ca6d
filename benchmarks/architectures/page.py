"""The table as a page, from the record alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

Entry = Mapping[str, Any]

INTRODUCTION = """\
# Architectures

Made by `make architectures`; what was measured is `benchmarks/results/architectures.json`. Weights
are random, configurations, images and batches small: of the columns, size changes the time alone.

- **covered**: share of the parameters that weight faults can strike; *sites* are tensors of weights
  (buffers and quantised words included) and outputs of modules.
- **restored**: one bit in every weight site was flipped at once, and each site did change;
  afterwards, and after all the campaigns of the row, every parameter, buffer and packed weight is
  the same bit for bit.
- **lines**: what is written besides `run_campaign(config, …)`, see [below](#what-is-written).
- **replay**: campaigns in weights / in activations write the same journals, byte for byte, with
  replay and without.
- **time**: CPU time of a trial with replay over one without, of faults in weights / in activations:
  the median over equal faults drawn at random, the two run in turn.
- **modes**: random in weights and in activations, layer-wise, bit-wise, exhaustive, inputs and
  module-inputs as targets, worst-case in weights and in activations (these but for random
  in the smallest tensor; a few rows were recorded when the searches were wider): how many of them
  ran.

Parameters of quantised modules that are kept beside the packed words (biases) are in neither the
total nor the share. What is listed in `benchmarks/architectures/` and has no row here is not
measured yet: `python -m benchmarks.architectures --missing`.
"""

HEADER = (
    "| architecture | parameters | covered | sites: weights, activations | restored | lines "
    "| replay | time | modes |\n|---|---|---|---|---|---|---|---|---|"
)


def page(record: Mapping[str, Any]) -> str:
    """The text of ``docs/architectures.md``."""
    entries: Mapping[str, Entry] = record["architectures"]
    parts = [INTRODUCTION, measured_with(record), *tables(entries)]
    notes = [note for name, entry in entries.items() for note in notes_of(name, entry)]
    if notes:
        parts += ["## What is not covered, or does not run", "\n".join(notes)]
    if record["missing"]:
        left = [f"- {name}: {why}" for name, why in record["missing"].items()]
        parts += ["## Left out", "\n".join(left)]
    parts += ["## What is written", *snippets(entries)]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def measured_with(record: Mapping[str, Any]) -> str:
    """Versions, and how busy the machine was."""
    packages = ", ".join(f"{name} {number}" for name, number in record["versions"].items())
    loads = [entry["load"] for entry in record["architectures"].values()]
    busy = f" The load of the machine was {min(loads)} to {max(loads)} meanwhile." if loads else ""
    return f"{len(loads)} architectures, with {packages}; one thread of a CPU.{busy}"


def tables(entries: Mapping[str, Entry]) -> list[str]:
    """One a family."""
    families: defaultdict[str, list[str]] = defaultdict(list)
    for name, entry in entries.items():
        families[entry["family"]].append(row(name, entry))
    return [f"## {name}\n\n{HEADER}\n" + "\n".join(rows) for name, rows in families.items()]


def row(name: str, entry: Entry) -> str:
    """The line of an architecture."""
    ran = [*entry["equal"].values(), *entry["modes"].values()]
    sites = f"{entry['weight_sites']}, {number(entry['activation_sites'])}"
    cells = [
        name, f"{entry['parameters']:,}", share(entry["covered"]), sites, yes(entry["restored"]),
        str(entry["lines"]), " / ".join(map(yes, entry["equal"].values())),
        " / ".join(map(number, entry["time"].values())),
        f"{sum(isinstance(found, bool) for found in ran)} of {len(ran)}",
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def share(value: float) -> str:
    """In percent, and never 100 where something is missing."""
    return "100 %" if value == 1 else f"{min(100 * value, 99.99):.2f} %"


def number(value: Any) -> str:
    """A measured number; words are in the notes."""
    if isinstance(value, float):
        return f"{value:.2f}"
    return "–" if isinstance(value, str) else str(value)


def yes(value: Any) -> str:
    """Of a check; words are in the notes."""
    return {True: "yes", False: "**no**"}.get(value, "–")


def notes_of(name: str, entry: Entry) -> list[str]:
    """What the row of an architecture has no room for."""
    reasons: defaultdict[str, list[str]] = defaultdict(list)
    for tensor, why in entry["not_covered"].items():
        if "integer buffer" not in why:
            reasons[why].append(tensor)
    said = [f"`{names[0]}`{more(names)}: {why}" for why, names in reasons.items()]
    for group in ("equal", "time", "modes"):
        said += [f"{key}: {why}" for key, why in entry[group].items() if isinstance(why, str)]
    if isinstance(entry["activation_sites"], str):
        said.append(f"activations: {entry['activation_sites']}")
    return [f"- {name}: {what}" for what in dict.fromkeys(said)]


def more(names: list[str]) -> str:
    """How many besides the first."""
    return f" and {len(names) - 1} more" if len(names) > 1 else ""


def snippets(entries: Mapping[str, Entry]) -> list[str]:
    """What users write, and for which architectures it is that."""
    uses: defaultdict[str, list[str]] = defaultdict(list)
    for name, entry in entries.items():
        uses[entry["code"]].append(name)
    ordered = sorted(uses.items(), key=lambda use: (entries[use[1][0]]["lines"], use[1][0]))
    return [
        f"{entries[names[0]]['lines']} lines: {', '.join(names)}\n\n```python\n{code}\n```"
        for code, names in ordered
    ]
