"""``faultsim inspect``: the tensors faults can strike."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from faultsim.cli.commands import Inspect
from faultsim.cli.skipped import skipped_lines


def run(command: Inspect) -> int:
    """Prints one row a tensor."""
    from faultsim.campaign.subject import load_subject
    from faultsim.space import FaultSpace

    model, data = load_subject(command)
    space = FaultSpace(
        model,
        command.target,
        command.bits,
        command.include or None,
        command.exclude or None,
        inputs=data.test.images[:1] if command.target != "weights" else None,
        integers=command.integers,
    )
    table = Table(
        title=f"{escape(command.model)}: {len(space):,} bits in {len(space.sites)} tensors"
    )
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
    return 0
