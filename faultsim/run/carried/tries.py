"""A weight tried: a fault in it is carried and struck for real, and both must agree."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from faultsim import trees
from faultsim.dtypes import FORMATS
from faultsim.formats import signed
from faultsim.run.carried.pass_ import CarriedPass
from faultsim.run.carried.probe import Plan
from faultsim.run.carried.storage import Memory, Struck, Undo, joined, settle, struck
from faultsim.run.golden import on_cpu
from faultsim.targets.layouts import LARGE, differs
from faultsim.targets.untouched import untouched
from faultsim.workload import Workload


class Tries:
    """Tries the weights of one model on a few samples."""

    def __init__(self, workload: Workload, plan: Plan, ledger: list[Undo]) -> None:
        """Runs nothing.

        Args:
            workload: Its model is in eval mode.
            plan: How faults are carried through it.
            ledger: As for :func:`~faultsim.run.carried.storage.struck`.
        """
        self._workload, self._plan, self._ledger = workload, plan, ledger
        self._golden: Any = None

    def why_not(self, name: str, tensor: torch.Tensor) -> str:
        """Why faults in a weight are not carried; "" if both ways agree."""
        draw = sum(map(ord, name))
        samples = [(draw + n) % LARGE for n, _ in enumerate(_bits(tensor))]
        pairs = zip(samples, _bits(tensor), strict=True)
        faults = {sample: _one_word(tensor, draw, bit, sample) for sample, bit in pairs}
        with torch.no_grad(), untouched(self._workload.model):
            if self._golden is None:
                self._golden = on_cpu(self._workload.run(self._plan.few))
            return self._tried(faults)

    def _tried(self, faults: dict[int, Struck]) -> str:
        plan = self._plan
        patch = joined(list(faults.values()))
        numbers = plan.readers[patch.memory.address]
        readings = {number: plan.readings[number] for number in numbers}
        patches = {patch.memory.address: patch}
        carried = CarriedPass(plan.funcs, readings, patches, LARGE, self._ledger)
        try:
            output = on_cpu(carried.run(partial(self._workload.run, plan.few)))
        except Exception:
            return "a pass that carried a fault in it failed"
        real = {sample: self._real(part) for sample, part in faults.items()}
        if not _agree(self._golden, output, real):
            return "carried and armed, a fault in it had other effects"
        return ""

    def _real(self, part: Struck) -> Any:
        """The output with the fault in the model; None where it fails."""
        try:
            with struck([part], self._ledger):
                return on_cpu(self._workload.run(self._plan.few))
        except Exception:
            return None
        finally:
            settle(self._ledger)


def _agree(golden: Any, carried: Any, real: dict[int, Any]) -> bool:
    """Whether the samples have the effects of their faults, and the others none."""
    ones, mine = (list(trees.tensors(tree)) for tree in (golden, carried))
    others = {sample: list(trees.tensors(output)) for sample, output in real.items()}
    if any(len(found) != len(ones) for found in (mine, *others.values())):
        return False
    for at, (was, now) in enumerate(zip(ones, mine, strict=True)):
        wanted = was.clone()
        if any(
            leaf.shape != was.shape for leaf in (now, *(found[at] for found in others.values()))
        ):
            return False
        for sample, found in others.items():
            wanted[sample] = found[at][sample]
        if bool(differs(wanted, now).any()):
            return False
    return True


def _bits(tensor: torch.Tensor) -> Sequence[int]:
    """Of a float, a flip that changes it a little, and one so much that no coupling hides it."""
    fmt = FORMATS.get(tensor.dtype)
    if fmt is None or not fmt.is_float:
        return [0]
    exponent = fmt.fields["exponent"]
    return [exponent.start, exponent.stop - 1]


def _one_word(tensor: torch.Tensor, draw: int, bit: int, sample: int) -> Struck:
    """One of a tensor's words, a bit of it flipped."""
    memory = Memory(tensor)
    steps = zip(tensor.shape, tensor.stride(), strict=True)
    place = tensor.storage_offset() + sum((draw % n) * s for n, s in steps)
    mask = signed(1 << bit, 8 * tensor.element_size())
    new = memory.words[place : place + 1] ^ mask
    return Struck(memory, np.array([sample]), np.array([place]), new)
