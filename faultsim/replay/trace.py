"""Watches a golden forward pass: which module calls which, and who reads what."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from faultsim import trees
from faultsim.replay.calls import NEVER, Call, Calls
from faultsim.replay.forwards import Forward, open_modules, other_forwards
from faultsim.replay.values import can_be_kept, nbytes


def trace_calls(model: nn.Module, images: torch.Tensor) -> Calls:
    """Runs the model once, without gradients.

    Args:
        model: Any module.
        images: A few; all that passes between modules is held in memory meanwhile.
    """
    tracer = _Tracer(dict(_storages(model)))
    with torch.no_grad(), other_forwards(open_modules(model), tracer.around), tracer:
        output = model(images)
    tracer.read(output)
    calls = tuple(opened.closed() for opened in tracer.opened)
    return Calls(calls, dict(_first_reads(model, tracer)), tuple(tracer.seconds))


@dataclass(eq=False)
class _Opened:
    """A call while it is watched."""

    module: str
    enter: int
    parent: _Opened | None = None
    exit: int = NEVER
    readers: list[_Opened] = field(default_factory=list)
    bytes: int | None = None

    def closed(self) -> Call:
        outer = self.parent.exit if self.parent else NEVER
        last = max((reader.exit for reader in self.readers), default=0)
        return Call(self.module, self.enter, self.exit, outer, last, self.bytes)


class _Tracer(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees modules through their ``forward``, operators through torch's dispatcher.

    What a module is given counts as read by it: it may read memory past the dispatcher.

    Attributes:
        opened: The calls, in the order they begin.
        seconds: The time of each tick.
        reads: By storage of a weight, the tick of the first operator that read it.
    """

    def __init__(self, storages: dict[str, int]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.opened: list[_Opened] = []
        self.seconds = [time.perf_counter()]
        self.reads = dict.fromkeys(storages.values(), NEVER)
        self._inside = _Opened("", 0)
        self._producers: dict[int, list[_Opened]] = {}
        self._alive: list[Any] = []  # an id is only unique among the living

    def around(self, name: str, forward: Forward) -> Forward:
        def watched(*args: Any, **kwargs: Any) -> Any:
            call = _Opened(name, self._tick(), self._inside)
            self.opened.append(call)
            self._inside = call
            self.read((args, kwargs))
            output = forward(*args, **kwargs)
            call.exit, self._inside = self._tick(), call.parent or call
            self._note(call, output)
            return output

        return watched

    def _tick(self) -> int:
        self.seconds.append(time.perf_counter())
        return len(self.seconds) - 1

    def _note(self, call: _Opened, output: Any) -> None:
        self._alive.append(output)
        call.bytes = nbytes(output) if can_be_kept(output) else None
        for tensor in trees.tensors(output):
            self._producers.setdefault(id(tensor), []).append(call)

    def read(self, tree: Any) -> None:
        """Notes that the call that is under way reads some tensors."""
        for tensor in trees.tensors(tree):
            for producer in self._producers.get(id(tensor), ()):
                producer.readers.append(self._inside)
            if self.reads.get(_storage(tensor), 0) == NEVER:
                self.reads[_storage(tensor)] = len(self.seconds) - 1

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.read((args, kwargs or {}))
        return func(*args, **(kwargs or {}))


def _first_reads(model: nn.Module, tracer: _Tracer) -> Iterator[tuple[str, int]]:
    """The first operator that read a weight, or the first call of its owner if that is earlier.

    A kernel outside torch's dispatcher may read it too, but only who owns the weight passes it on.
    """
    entered = {call.module: call.enter for call in reversed(tracer.opened)}
    storages = dict(_storages(model))
    first = dict(tracer.reads)
    for name, storage in storages.items():
        owner = name.rpartition(".")[0]
        while owner and owner not in entered:
            owner = owner.rpartition(".")[0]
        first[storage] = min(first[storage], entered.get(owner, 0))
    for name, storage in storages.items():
        yield name, first[storage]


def _storages(model: nn.Module) -> Iterator[tuple[str, int]]:
    """Every name of every weight, with its storage."""
    for name, tensor in model.named_parameters(remove_duplicate=False):
        yield name, _storage(tensor)
    for name, buffer in model.named_buffers(remove_duplicate=False):
        yield name, _storage(buffer)


def _storage(tensor: torch.Tensor) -> int:
    try:
        return tensor.untyped_storage().data_ptr()
    except (RuntimeError, NotImplementedError):  # sparse and such
        return 0
