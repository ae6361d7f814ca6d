"""What a model reads where, found by running it on a few samples: who can carry faults, and how."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from faultsim import trees
from faultsim.run.carried.operators import Operator, Operators, Seen, Shape, name_of, nothing
from faultsim.run.carried.reading import Reading
from faultsim.run.carried.storage import memory_of
from faultsim.targets.inputs import Arguments, arguments_of, readings
from faultsim.targets.layouts import (
    CONSTANT,
    LARGE,
    SMALL,
    Layout,
    differs,
    find_layouts,
    golden_pass,
)
from faultsim.workload.failures import cause

Run = Callable[[Any], Any]


class Refused(Exception):
    """Why a model can carry no faults, in a few words."""


@dataclass
class Plan:
    """How faults are carried through one model.

    Attributes:
        funcs: The operators of a pass.
        readings: By number, those that read weights or what is made of them.
        readers: By address of a weight's storage, the numbers of those that depend on it.
        alone: By address of a weight's storage, why its faults cannot be carried.
        axes: By operator, where what it returns has its samples.
        few: The batch that the model was tried on.
    """

    funcs: list[Any]
    readings: dict[int, Reading]
    readers: dict[int, list[int]]
    alone: dict[int, str]
    axes: list[tuple[int | None, ...]]
    few: Any


def probe(model: nn.Module, inputs: Any, run: Run) -> Plan:
    """Runs a model on two and on three samples; it is as before.

    Args:
        model: On its device.
        inputs: Of a batch of two samples or more.
        run: Inputs to output.

    Raises:
        Refused: No fault can be carried through it.
    """
    found, failed = "", "the inputs hold no samples that could be told apart"
    for samples in readings(arguments_of(model, inputs, run)):
        if samples.shared:
            continue
        few = [samples.take([n % samples.size for n in range(size)]) for size in (LARGE, SMALL)]
        try:
            return _Probe(model, run, few[0], few[1]).plan()
        except Refused as reason:
            found = found or str(reason)
        except Exception as error:  # of the model, which does not run on batches read so
            failed = f"the model fails on {LARGE} samples: {cause(error)}"
    raise Refused(found or failed)


class _Probe:
    def __init__(self, model: nn.Module, run: Run, large: Arguments, small: Arguments) -> None:
        self._model, self._run, self._large = model, run, large
        self._seen: Seen = nothing
        tensors = (*model.parameters(), *model.buffers())
        self._weights = [a for a in dict.fromkeys(map(memory_of, tensors)) if a]
        self._outputs: list[Any] = []
        self._log, self._small_log = self._watched(large), self._watched(small)
        self.alone: dict[int, str] = {}

    def _watched(self, batch: Arguments) -> list[Operator]:
        hooks = Operators(self._weights)
        golden_pass(self._model, batch, hooks, self._run)
        return hooks.found

    def plan(self) -> Plan:
        log = self._log
        if [op.func for op in log] != [op.func for op in self._small_log]:
            raise Refused("its operators depend on the number of samples")
        _check_decisions(log, len(self._weights))
        reads, derives = self._reads()
        varying = self._varying(derives)
        layouts = self._layouts(reads, derives)
        readings_: dict[int, Reading] = {}
        for number, roots in reads.items():
            reading, reason = self._reading(number, number in derives, layouts, varying)
            if reading is not None:
                readings_[number] = reading
            for root in roots if reason else ():
                self.alone.setdefault(self._weights[root], reason)
        readers: dict[int, list[int]] = defaultdict(list)
        for number in readings_:
            for root in reads[number]:
                readers[self._weights[root]].append(number)
        for address in self._weights:
            if address not in readers:
                self.alone.setdefault(address, "no operator was seen to read it")
        sizes = zip(log, self._small_log, strict=True)
        axes = [tuple(map(_axis, op.shapes, small.shapes)) for op, small in sizes]
        few, funcs = self._large.args[0], [op.func for op in log]
        return Plan(funcs, readings_, dict(readers), self.alone, axes, few)

    def _reads(self) -> tuple[dict[int, frozenset[int]], set[int]]:
        """By operator, the weights that it reads; and which make values of weights alone."""
        roots: dict[int, frozenset[int]] = {n: frozenset({n}) for n in range(len(self._weights))}
        reads: dict[int, frozenset[int]] = {}
        derives: set[int] = set()
        for number, (op, small) in enumerate(zip(self._log, self._small_log, strict=True)):
            known = [roots[value] for value in op.reads if value in roots]
            if not known:
                for value in op.makes:
                    roots.pop(value, None)
                continue
            mine = frozenset().union(*known)
            if any(value in roots for value in op.written):
                self._leave(mine, f"{op.func} changes it in the pass")
            elif not op.makes:
                self._leave(mine, f"{op.func} reads it for Python")
            elif not set(op.makes) <= set(op.reads) or op.written:  # else views
                reads[number] = mine
                if op.shapes != small.shapes:
                    continue
                derives.add(number)
                roots |= dict.fromkeys(op.makes, mine)
                if op.written:
                    self._leave(mine, f"{op.func} changes in place what is made of it")
        return reads, derives

    def _leave(self, roots: frozenset[int], reason: str) -> None:
        for root in roots:
            self.alone.setdefault(self._weights[root], reason)

    def _varying(self, derives: set[int]) -> set[int]:
        """Operators whose values should be of weights alone, and are not the same for others."""
        only, golden, varying = frozenset(derives), dict[str, torch.Tensor](), set[int]()

        def keep(name: str, tensor: torch.Tensor) -> None:
            golden[name] = tensor.detach().clone()

        def compare(name: str, tensor: torch.Tensor) -> None:
            was = golden.get(name)
            if was is None or was.shape != tensor.shape or bool(differs(was, tensor).any()):
                varying.add(int(name.split()[0]))

        samples = next(s for s in readings(self._large) if not s.shared)
        others = samples.take([*range(1, samples.size), 0], 0)
        for batch, seen in ((self._large, keep), (others, compare)):
            hooks = Operators(self._weights, _outputs_only(seen), only)
            golden_pass(self._model, batch, hooks, self._run)
        return varying

    def _layouts(self, reads: Mapping[int, Any], derives: set[int]) -> dict[str, Layout | str]:
        only = frozenset(reads) - derives
        shapes: dict[str, tuple[int, ...]] = {}

        def shape(name: str, tensor: torch.Tensor) -> None:
            shapes[name] = tuple(tensor.shape)

        def run(inputs: Any) -> Any:
            output = self._run(inputs)
            for at, leaf in enumerate(trees.tensors(output)):
                self._seen(f"output {at}", leaf)
            return output

        def watch(seen: Seen) -> Any:
            self._seen = seen
            return Operators(self._weights, seen, only)

        golden_pass(self._model, self._large, watch(shape), run)
        found = find_layouts(self._model, self._large, shapes, watch, run)
        for name, layout in found.items():
            if name.startswith("output") and not isinstance(layout, Layout):
                raise Refused(f"samples of its output cannot be told apart: {layout}")
        return found

    def _reading(
        self,
        number: int,
        derives: bool,
        layouts: Mapping[str, Layout | str],
        varying: set[int],
    ) -> tuple[Reading | None, str]:
        op = self._log[number]
        if derives:
            reason = f"{op.func} mixes samples" if number in varying else ""
            return Reading((), (), derives=True), reason
        sides = []
        for side, count in (("in", len(op.reads)), ("out", len(op.makes))):
            names = [name_of(number, op.func, side, at) for at in range(count)]
            sides.append([layouts.get(name, "it is not seen") for name in names])
        for layout, shape in zip(sides[1], op.shapes, strict=True):
            if not isinstance(layout, Layout) and 0 not in shape:
                return None, f"samples of {op.func} cannot be told apart: {layout}"
        plain = [
            tuple(layout if isinstance(layout, Layout) else None for layout in side)
            for side in sides
        ]
        unclear = any(isinstance(given, str) and given != CONSTANT for given in sides[0])
        return Reading(plain[0], plain[1], apart=not unclear), ""


def _axis(shape: Shape, other: Shape) -> int | None:
    """Which dimension follows the number of samples; None where none does."""
    return next((n for n, (a, b) in enumerate(zip(shape, other, strict=False)) if a != b), None)


def _outputs_only(seen: Seen) -> Seen:
    def shown(name: str, tensor: torch.Tensor) -> None:
        if name.split()[-1].startswith("out"):
            seen(name, tensor)

    return shown


def _check_decisions(log: list[Operator], weights: int) -> None:
    """Raises Refused where Python or a shape depends on values that weights change."""
    changed = set(range(weights))
    for op in log:
        if not changed & set(op.reads):
            changed -= set(op.makes)
            continue
        loose = torch.Tag.dynamic_output_shape in op.func.tags
        if (loose or not op.makes) and not set(op.reads) <= set(range(weights)):
            raise Refused(f"{op.func} decides by values that weights change")
        changed |= set(op.makes)
