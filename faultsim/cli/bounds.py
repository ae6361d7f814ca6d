"""``faultsim bounds``: what activations are like without faults, for range restriction."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from faultsim.cli.commands import Bounds
from faultsim.errors import ConfigError


def run(command: Bounds) -> int:
    """Writes the file and says how many layers it has."""
    from faultsim.campaign.subject import make_workload
    from faultsim.files import write_json
    from faultsim.models.loading import evaluating
    from faultsim.protections.protected import rehearse
    from faultsim.protections.ranges import extremes_of

    work = make_workload(command)
    batches = work.read(command.split, command.batch_size, command.limit)
    if not batches:
        raise ConfigError(f"{work.name} has no {command.split} {work.unit}")
    model = evaluating(work.model)
    found = extremes_of(model, partial(rehearse, work, batches), command.layers)
    ends = {n: _ends(float(a), float(b), command.margin) for n, (a, b) in found.items()}
    path = Path(command.out)
    write_json(path, ends)
    console, samples = Console(), sum(batch.size for batch in batches)
    told = f"Bounds of {len(ends)} layers, from {samples:,} {command.split} {work.unit}: {path}"
    console.print(escape(told), soft_wrap=True)
    return 0


def _ends(low: float, high: float, margin: float) -> list[float]:
    room = margin * (high - low)
    return [low - room, high + room]
