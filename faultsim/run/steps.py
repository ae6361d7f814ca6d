"""How many forward passes every run has, where runs have several."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from faultsim.space import FaultSpace
from faultsim.targets.passes import PassHooks
from faultsim.workload import Batch, Workload

FEWER = "not every batch runs the model so often: generate as many tokens of each"


class PassCounter(PassHooks):
    """Counts the forward passes of a model."""

    def register(self) -> None:
        self.enter(())


def common_steps(
    workload: Workload, batches: Iterable[Batch], space: FaultSpace, device: torch.device
) -> FaultSpace:
    """The space without the steps that some batches do not come to, so that faults reach them all.

    Runs every batch once, unless nothing in the space has steps that are forward passes.

    Args:
        workload: The model, on ``device``.
        batches: All that trials run.
        space: Found on the first of them.
        device: Where it runs.

    Returns:
        The space, or a smaller one whose ``skipped`` says what was left out.
    """
    most = max((site.steps for site in space.sites if site.kind != "states"), default=0)
    if not most:
        return space
    fewest = min((_steps(workload, batch.to(device)) for batch in batches), default=most)
    if fewest >= most:
        return space
    kept = space.until(fewest)
    kept.skipped = {**space.skipped, f"step {fewest} and later": FEWER}
    return kept


def _steps(workload: Workload, batch: Batch) -> int:
    hooks = PassCounter(workload.model)
    try:
        with torch.no_grad():
            hooks.register()
            workload.run(batch.inputs)
    finally:
        hooks.remove()
    return hooks.steps
