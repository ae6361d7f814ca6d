"""Where trials of a model may begin, on the screen."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from faultsim.models.loading import evaluating
from faultsim.run import engine
from faultsim.run.replay import Prefix, decisions, saving
from faultsim.space import FaultSpace
from faultsim.workload import Batch, Workload


def print_replay(console: Console, work: Workload, space: FaultSpace, batch: Batch) -> None:
    """Prints the cuts, what they save on average over the fault space, and where there is none.

    Args:
        console: Where to.
        work: The workload; its model is put in eval mode.
        space: The faults.
        batch: What goes through the model while it is watched.
    """
    evaluating(work.model)
    prefix = Prefix(
        work.model,
        batch.inputs,
        batch.size,
        run=work.run,
        size=batch.size,
        measured=engine.MEASURED,
    )
    bits = [site.words * len(chosen) for site, chosen in zip(space.sites, space.bits, strict=True)]
    saved = saving(prefix, zip(space.sites, bits, strict=True))
    table = Table(title=f"replay: {len(prefix.cuts)} cuts; a trial saves {saved:.1%} of a pass")
    table.add_column("after module", overflow="fold")
    table.add_column("saves", justify="right")
    table.add_column("no cut, since", overflow="fold")
    for each in decisions(prefix):
        share = "" if each.saved is None else f"{each.saved:.1%}"
        table.add_row(escape(each.module), share, escape(each.why))
    console.print(table)
    prefix.prepare(space.sample(1, seed=0), prefix.inputs(0, batch.inputs))
    for what, why in prefix.lost.items():
        console.print(escape(f"Not replayed: {what}, since {why}"), soft_wrap=True)
