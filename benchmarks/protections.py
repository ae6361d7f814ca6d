"""The protection study of several data sets as one table and one figure.

for set in breastmnist pneumoniamnist retinamnist; do
  faultsim bounds --data $set --layers head --margin 0.25 --out head.json
  faultsim protect --data $set --mode random --flips 1 --bits exponent --trials 800 --limit 32 \
    --batch-size 32 --threads 1 --out STUDY/$set --protections secded parity-zero radar \
    weight-range ranger ranger,nan-guard tmr nan-guard:head range-alarm=head.json
  faultsim campaign --data $set --mode random --flips 1 --bits exponent --trials 800 --limit 32 \
    --batch-size 32 --threads 1 --out HARD/$set/campaign
  faultsim harden HARD/$set/campaign --protection secded --budget 0.05 --out HARD/$set/harden
done
python -m benchmarks.protections STUDY HARD
faultsim report STUDY --figures FIGURES --format svg
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from faultsim.campaign.protections_record import RECORD, Paid, read_protections

EVENTS = ("sdc", "due")


def share(of: dict[str, Any] | Any) -> str:
    """A rate or a change in percent, with its interval."""
    value, low, high = (100 * (x or 0.0) for x in (of.value, of.low, of.high))
    return f"{value:.2f} [{low:.2f}, {high:.2f}]"


def row(name: str, paid: Paid) -> str:
    changes = {change.rate: change for change in paid.changes}
    told = []
    for event in EVENTS:
        change = changes[event]
        counts = f"{change.removed} / {change.introduced} / {change.left}"
        told += [share(change.second), share(change.difference), counts]
    cost = paid.cost
    return f"| {' | '.join([name, paid.name, *told, f'{cost.time:.2f}', f'{cost.memory:.3f}'])} |"


def rows(study: Path) -> Iterator[str]:
    """The bare model of each data set, then each protection."""
    for place in sorted(path.parent for path in study.rglob(RECORD)):
        found = read_protections(place).found
        bare = {change.rate: share(change.first) for change in found[0].changes}
        yield f"| {place.name} | none | {bare['sdc']} | | | {bare['due']} | | | 1 | 1 |"
        yield from (row(place.name, paid) for paid in found)


def choices(hard: Path) -> Iterator[str]:
    """What ``faultsim harden`` chose for each data set, and what fresh faults said."""
    for path in sorted(hard.rglob("hardening.json")):
        told = json.loads(path.read_text(encoding="utf-8"))
        chosen = [layer["name"] for layer in told["layers"] if layer["chosen"]]
        fresh, whole = read_protections(path.parent / "fresh").found
        cost, change = fresh.cost, next(c for c in fresh.changes if c.rate == told["rate"])
        every = next(c for c in whole.changes if c.rate == told["rate"])
        yield (
            f"| {path.parent.parent.name} | {len(chosen)} of {len(told['layers'])} | "
            f"{100 * told['harm']:.2f} | {100 * told['predicted']:+.2f} | {share(change.first)} | "
            f"{share(change.difference)} | {share(every.difference)} | {cost.time:.3f} | "
            f"{cost.memory:.3f} | {'yes' if told['holds'] else 'no'} |"
        )


if __name__ == "__main__":
    print(*rows(Path(sys.argv[1])), "", *choices(Path(sys.argv[2])), sep="\n")
