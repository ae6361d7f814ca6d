"""The flags of a long help, in groups of what they are about."""

from __future__ import annotations

import re

GROUPS = {
    "what is run": "model checkpoint data data-root size workload limit perturb attack-model "
    "protect protections",
    "what is struck": "target bits include exclude integers granularity when op operand",
    "how faults are chosen": "mode flips trials ber fault-model events hours fit-per-mbit "
    "faults seed",
    "searching": "beam choose-by direction target-class source-class target-samples stealthy "
    "reach allow-nonfinite",
    "estimating": "margin relative confidence rate by part-margin max-trials pilot",
    "how it runs": "threads batch-size device no-replay workers shard executor address",
    "what is recorded": "out resume observe config allow-unsound json",
}
LONG = 20
"""Flags from which a help has groups."""

BOX = re.compile(r"^╭─ options ─+╮\n(.*?)^╰─+╯\n", re.MULTILINE | re.DOTALL)


def grouped(text: str) -> str:
    """A help with a box for each group; a short one, or of another form, as it is."""
    box = BOX.search(text)
    entries = _entries(box[1]) if box else []
    if box is None or len(entries) < LONG:
        return text
    width = len(box[0].splitlines()[0])
    groups: dict[str, list[str]] = {"options": [], **{name: [] for name in GROUPS}}
    for entry in entries:
        groups[_group(entry)].append(entry)
    boxes = (_box(name, own, width) for name, own in groups.items() if own)
    return text[: box.start()] + "".join(boxes) + text[box.end() :]


def _entries(body: str) -> list[str]:
    """The lines of each flag; long choices go on where a line begins, as flags do."""
    return re.findall(r"^│ -.*?\n(?:│ [^-].*?\n)*", body, re.MULTILINE)


def _group(entry: str) -> str:
    name = re.match(r"│ --([a-z-]+)", entry)
    found = (group for group, names in GROUPS.items() if name and name[1] in names.split())
    return next(found, "options")


def _box(name: str, entries: list[str], width: int) -> str:
    top = f"╭─ {name} ".ljust(width - 1, "─")
    return f"{top}╮\n{''.join(entries)}╰{'─' * (width - 2)}╯\n"
