"""Whether a golden run is one that trials can be compared with."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from faultsim.errors import ConfigError
from faultsim.run.engine import WholePass
from faultsim.run.golden import Golden, golden_output, on_cpu
from faultsim.workload import Workload
from faultsim.workload.outputs import compare

REPEATED = 8
"""Batches at each end that run a second time: all of a small set, and of a large one enough to show
what changes from pass to pass, with the number of the batch or with its size."""


def check_sound(workload: Workload, golden: Golden, device: torch.device) -> None:
    """Refuses a golden run that is not finite, or that a second pass does not repeat bit for bit.

    The second pass runs all of the model, so what replay recorded is checked by it too.

    Args:
        workload: The model and its task.
        golden: Its golden run.
        device: Where the model runs.

    Raises:
        ConfigError: One line that counts the samples and names the remedy.
    """
    for finding in _findings(workload, golden, device):
        raise ConfigError(f"{finding}; --allow-unsound (allow_unsound=True) runs it all the same")


def _findings(workload: Workload, golden: Golden, device: torch.device) -> Iterator[str]:
    found = _not_finite(workload, golden)
    if found:
        yield (
            f"the golden run is not finite in {found} of {golden.size} {workload.unit}, which "
            "every trial would count as detected errors: look for NaN in the weights and inputs"
            f"{_false_alarms(workload)}"
        )
    differing, seen = _not_repeated(workload, golden, device)
    if differing:
        yield (
            f"the model does not repeat itself: two passes without faults differ in {differing} "
            f"of {seen} {workload.unit}: turn its randomness off (dropout, sampling), or seed it "
            "in the forward pass"
        )


def _false_alarms(workload: Workload) -> str:
    """Where else such numbers may come from: what a protection detects has none."""
    names = getattr(workload.around, "names", ())
    return f", or false alarms of {', '.join(names)} (bounds too narrow for them?)" if names else ""


def _not_finite(workload: Workload, golden: Golden) -> int:
    missing = 0
    for batch, output in zip(golden.batches, golden.outputs, strict=True):
        samples = workload.task.samples(output, batch.size)
        missing += int((~compare(samples, samples).finite).sum())
    return missing


def _not_repeated(workload: Workload, golden: Golden, device: torch.device) -> tuple[int, int]:
    """Samples that differ in a second pass, and how many were tried."""
    engine, differing, seen = WholePass(workload, device), 0, 0
    count = len(golden.batches)
    with torch.no_grad():
        for number in sorted({*range(min(count, REPEATED)), *range(count)[-REPEATED:]}):
            batch, was = golden.batches[number], golden.outputs[number]
            again = on_cpu(golden_output(workload, batch, engine, number))
            pair = (workload.task.samples(each, batch.size) for each in (was, again))
            differing += int((~compare(*pair).same).sum())
            seen += batch.size
    return differing, seen
