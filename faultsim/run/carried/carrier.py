"""Carries faults in weights through one model, as far as that was seen to be exact."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from faultsim import trees
from faultsim.faults import FaultSet
from faultsim.formats import FORMATS, signed
from faultsim.run.carried.again import Reading
from faultsim.run.carried.costs import Costs
from faultsim.run.carried.pass_ import CarriedPass, Diverged
from faultsim.run.carried.probe import Plan, Refused, probe
from faultsim.run.carried.storage import (
    Memory,
    Struck,
    memory_of,
    settle,
    struck,
    struck_words,
)
from faultsim.run.golden import on_cpu
from faultsim.targets.layouts import LARGE, differs
from faultsim.targets.untouched import untouched
from faultsim.targets.weights import Holder, hold
from faultsim.workload import Batch, Workload
from faultsim.workload.outputs import identical, shapes


class Carrier:
    """Carries faults in weights through one model.

    Attributes:
        refused: Why none can be carried, "" if some can.
        alone: By name of a weight, why its faults are not carried; of those that were asked for.
    """

    def __init__(self, workload: Workload, inputs: Any) -> None:
        """Probes the model; each weight is tried once.

        Args:
            workload: Its model is in eval mode.
            inputs: Of a batch, on the model's device.
        """
        self._workload, self.refused = workload, ""
        self.alone: dict[str, str] = {}
        self._ledger: list[Struck] = []
        self._holders: dict[Any, Holder] = {}
        self._readings: dict[Any, dict[int, Reading]] = {}
        self._signature: Any = None
        self._plan: Plan | None = None
        try:
            self._plan = probe(workload.model, inputs, workload.run)
            self._try_all(self._plan)
        except Refused as reason:
            self.refused = str(reason)

    def prepare(self, inputs: Any, batch: Batch, golden: Any) -> None:
        """Finds out once for batches of a size what operators cost, by a golden pass.

        Args:
            inputs: Of the batch, on the device.
            batch: It.
            golden: Its golden output, on the CPU.
        """
        self._signature = (batch.size, shapes(inputs))
        if self._plan is None or self._signature in self._readings:
            return
        costs = Costs(self._plan.funcs, self._plan.readings, batch.size)
        try:
            with untouched(self._workload.model), costs:
                output = self._workload.run(inputs)
            output = on_cpu(output)
        except Diverged:
            self._readings[self._signature] = {}
            return
        same = identical(golden, output)
        self._readings[self._signature] = costs.readings if same else {}

    def carries(self, faults: FaultSet) -> bool:
        """Whether faults can be carried in batches of the size prepared."""
        if self._plan is None or not self._readings[self._signature]:
            return False
        return all(self._carries(site) for site, _ in faults.by_site())

    def _carries(self, site: Any) -> bool:
        assert self._plan is not None
        holder = self._holder(site)
        reason = "its words are packed" if holder.packed else ""
        address = memory_of(holder.tensor)
        if not reason and address not in self._plan.readers:
            reason = self._plan.alone.get(address, "no operator was seen to read it")
        reason = reason or self._plan.alone.get(address, "")
        if reason:
            self.alone[site.name] = reason
        return not reason

    def _holder(self, site: Any) -> Holder:
        if site not in self._holders:
            self._holders[site] = hold(self._workload.model, [site])[0]
        return self._holders[site]

    def run(self, inputs: Any, size: int, faults: Mapping[int, FaultSet]) -> Any:
        """The output of one pass.

        Args:
            inputs: Of a batch prepared.
            size: Its samples.
            faults: By sample, what it carries.

        Raises:
            Diverged: The pass did other than was planned.
        """
        parts = {
            sample: struck_words([self._holder(site) for site, _ in each.by_site()], each)
            for sample, each in faults.items()
        }
        return self._pass(inputs, size, parts, self._readings[self._signature])

    def _pass(
        self,
        inputs: Any,
        size: int,
        parts: Mapping[int, Sequence[Struck]],
        readings: Mapping[int, Reading],
    ) -> Any:
        plan = self._plan
        assert plan is not None
        hit = {part.memory.address for each in parts.values() for part in each}
        numbers = {number for address in hit for number in plan.readers[address]}
        wanted = {number: readings[number] for number in numbers}
        carried = CarriedPass(plan.funcs, wanted, parts, size, self._ledger)
        try:
            try:
                with carried:
                    output = self._workload.run(inputs)
            finally:
                settle(self._ledger)
        except BaseException:
            settle(self._ledger)  # once more: an interrupt may have come between
            raise
        carried.finish()
        return output

    def _try_all(self, plan: Plan) -> None:
        """Strikes each weight once both ways on a few samples, and trusts those that agree."""
        with torch.no_grad(), untouched(self._workload.model):
            golden = on_cpu(self._workload.run(plan.few))
            for name, tensor in self._tensors():
                address = memory_of(tensor)
                if address in plan.readers and address not in plan.alone:
                    self._try(plan, golden, tensor, sum(map(ord, name)))

    def _tensors(self) -> Iterator[tuple[str, torch.Tensor]]:
        yield from self._workload.model.named_parameters()
        yield from self._workload.model.named_buffers()

    def _try(self, plan: Plan, golden: Any, tensor: torch.Tensor, draw: int) -> None:
        for bit in _bits(tensor):
            self._try_bit(plan, golden, _one_word(tensor, draw, bit), draw % LARGE)

    def _try_bit(self, plan: Plan, golden: Any, part: Struck, sample: int) -> None:
        try:
            carried = on_cpu(self._pass(plan.few, LARGE, {sample: [part]}, plan.readings))
        except Exception:
            plan.alone[part.memory.address] = "a pass that carried a fault in it failed"
            return
        try:
            with struck([part], self._ledger):
                real = on_cpu(self._workload.run(plan.few))
        except Exception:
            real = None
        finally:
            settle(self._ledger)
        if not _agree(golden, carried, real, sample):
            plan.alone[part.memory.address] = "carried and armed, a fault in it had other effects"


def _agree(golden: Any, carried: Any, real: Any, sample: int) -> bool:
    """Whether a pass is one with faults in a sample, and without them in the others."""
    leaves = [list(trees.tensors(tree)) for tree in (golden, carried, real)]
    if len({len(each) for each in leaves}) > 1:
        return False
    for was, mine, other in zip(*leaves, strict=True):
        if not was.shape == mine.shape == other.shape:
            return False
        wanted = was.clone()
        wanted[sample] = other[sample]
        if bool(differs(wanted, mine).any()):
            return False
    return True


def _bits(tensor: torch.Tensor) -> list[int]:
    """Of a float, a flip that changes it a little, and one so much that no coupling hides it."""
    fmt = FORMATS.get(tensor.dtype)
    if fmt is None or not fmt.is_float:
        return [0]
    exponent = fmt.fields["exponent"]
    return [exponent.start, exponent.stop - 1]


def _one_word(tensor: torch.Tensor, draw: int, bit: int) -> Struck:
    """One of a tensor's words, a bit of it flipped."""
    memory = Memory(tensor)
    steps = zip(tensor.shape, tensor.stride(), strict=True)
    place = tensor.storage_offset() + sum((draw % n) * s for n, s in steps)
    places = torch.tensor([place], device=tensor.device)
    mask = signed(1 << bit, 8 * tensor.element_size())
    return Struck(memory, places, memory.words[places] ^ mask)
