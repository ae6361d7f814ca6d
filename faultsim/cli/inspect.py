"""``faultsim inspect``: the tensors faults can strike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from faultsim.cli.commands import Inspect
from faultsim.cli.skipped import skipped_lines
from faultsim.errors import ConfigError

if TYPE_CHECKING:
    from faultsim.workload import Batch, Workload

SEEN = 4
"""Samples that go through the model, where a batch can be cut."""


def run(command: Inspect) -> int:
    """Prints one row a tensor."""
    from faultsim.campaign.subject import make_workload
    from faultsim.space import FaultSpace

    work = make_workload(command)
    space = FaultSpace(
        work.model,
        command.target,
        command.bits,
        command.include or None,
        command.exclude or None,
        inputs=_batch(work).inputs if command.target != "weights" else None,
        run=work.run,
        integers=command.integers,
    )
    name = command.model if command.workload is None else command.workload
    table = Table(title=f"{escape(name)}: {len(space):,} bits in {len(space.sites)} tensors")
    table.add_column("tensor", overflow="fold")
    for heading in ("dtype", "shape", "bits", "share"):
        table.add_column(heading, justify="right")
    for site, chosen in zip(space.sites, space.bits, strict=True):
        bits = site.words * len(chosen)
        shape = "×".join(map(str, site.shape)) or "scalar"
        shape += f", {site.steps} steps" if site.steps else ""
        table.add_row(site.name, site.dtype, shape, f"{bits:,}", f"{bits / len(space):.2%}")
    console = Console()
    console.print(table)
    for name, reason in space.whole.items():
        console.print(f"struck as a whole: {escape(name)}, for {reason}", soft_wrap=True)
    for line in skipped_lines(space.skipped):
        console.print(line, soft_wrap=True)
    if command.replay:
        from faultsim.cli.replayed import print_replay

        print_replay(console, work, space, _batch(work))
    return 0


def _batch(work: Workload) -> Batch:
    """A first, small batch."""
    batches = work.read("test", SEEN, SEEN)
    if not batches:
        raise ConfigError(f"{work.name} has no test {work.unit}")
    return batches[0]
