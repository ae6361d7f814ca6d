"""Watches a golden forward pass: which module calls which, and who reads and changes what."""

from __future__ import annotations

import time
import weakref
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils.weak import WeakTensorKeyDictionary

from faultsim import trees
from faultsim.run.dispatch import Dispatch
from faultsim.run.replay.calls import NEVER, Call, Calls
from faultsim.run.replay.forwards import Forward, other_forwards
from faultsim.run.replay.state import changed, state_of
from faultsim.run.replay.values import can_be_kept, nbytes

INPUTS = 0
"""Number of the storages of the inputs."""

clock = time.process_time
"""Of the ticks, in seconds: processor time, which neighbours on the machine hardly change."""


def watch(
    model: nn.Module,
    modules: Mapping[str, nn.Module],
    inputs: Any,
    seen: Callable[[int, Any], None] = lambda position, output: None,
    *,
    run: Callable[[Any], Any] | None = None,
) -> tuple[Any, Calls]:
    """Runs the model once, without gradients.

    Args:
        model: Any module.
        modules: Those below it whose calls are watched.
        inputs: Of one batch, a tree of tensors.
        seen: Called with the position of each call and its output, when it ends.
        run: Inputs to output, of the model; by default calls it.

    Returns:
        The output, and what was seen.
    """
    weights = dict(_storages(model))  # now, for a model may replace some
    tracer = _Tracer(weights, modules, inputs, seen)
    with torch.no_grad(), other_forwards(modules, tracer.around), tracer:
        output = run(inputs) if run is not None else model(inputs)
    tracer.read(output)
    calls = tuple(opened.closed() for opened in tracer.opened)
    reads, seconds = dict(_first_reads(weights, tracer)), tuple(tracer.seconds)
    return output, Calls(calls, reads, seconds, tracer.spoils_inputs)


@dataclass(eq=False)
class _Opened:
    """A call while it is watched."""

    module: str
    enter: int
    parent: _Opened | None = None
    exit: int = NEVER
    bytes: int | None = None
    again: str = ""
    returns: set[int] = field(default_factory=set)
    argument: int | None = None
    storages: tuple[int, ...] = ()
    owns: bool = True
    readers: list[_Opened] = field(default_factory=list)
    values: list[_Value] = field(default_factory=list)

    def closed(self) -> Call:
        writes = [write for value in self.values for write in value.writes]
        written = any(self in write.call.around() for write in writes)
        spoilers = [w.call for v in self.values for w in v.writes if self._is_spoilt(v, w)]
        apart = any(w.tick >= self.exit for w in writes) and not self.owns
        spoilt = min((call.gone for call in spoilers), default=NEVER)
        return Call(
            self.module,
            self.enter,
            self.exit,
            outer=self.parent.gone if self.parent else NEVER,
            last=max((reader.gone for reader in self._all_readers(written)), default=0),
            bytes=self.bytes,
            again=self.again,
            argument=self.argument,
            writes=written,
            spoilt=self.exit if apart else spoilt,
            storages=() if self.argument is not None else self.storages,
        )

    @property
    def gone(self) -> int:
        """The cut from which on its code is not run: it is skipped, or a call around it is."""
        if not self.again:
            return self.exit
        return self.parent.gone if self.parent else NEVER

    def _all_readers(self, written: bool) -> list[_Opened]:
        """What is written into an argument is there for those who read it under other names."""
        if not written or self.argument is None:
            return self.readers
        known = self.values[0].returned
        if self in known[0].around():  # not handed in by a call: others may hold views of it
            return [self.around()[-1]]
        return [reader for call in known for reader in call.readers]

    def keep_open(self, why: str) -> None:
        """It is run again, and so are those around it, which must not be skipped then."""
        for call in self.around():
            call.again = call.again or why

    def bore(self, birth: _Opened | None) -> bool:
        """Whether a value that was made in another call was made within this one."""
        return birth is not None and self in birth.around()

    def around(self) -> list[_Opened]:
        """This call and those around it, the innermost first."""
        return [self, *(self.parent.around() if self.parent else ())]

    def _is_spoilt(self, value: _Value, write: _Write) -> bool:
        """Whether a run that skips the writer would not see what it wrote."""
        chain, home = write.call.around(), self._home()
        if write.tick < self.exit or home not in chain:
            return False  # or after the call around it, where nobody is handed its output
        below = [call for call in chain[: chain.index(home)] if not call.again]
        return not all(call in value.returned and call.argument is not None for call in below)

    def _home(self) -> _Opened:
        """The nearest call around it that is not run again; the root, at last."""
        outer = self.parent
        while outer is not None and outer.again and outer.parent is not None:
            outer = outer.parent
        return outer or self


@dataclass(eq=False)
class _Value:
    """A tensor that a call was given or returned: all that returned it, and all that changed it."""

    returned: list[_Opened] = field(default_factory=list)
    writes: list[_Write] = field(default_factory=list)


@dataclass(frozen=True)
class _Write:
    tick: int
    call: _Opened


class _Tracer(Dispatch):
    """Sees modules through their ``forward``, operators through torch's dispatcher.

    What a module is given counts as read by it: it may read memory past the dispatcher.

    Attributes:
        opened: The calls, in the order they begin.
        seconds: The time of each tick.
        reads: By storage of a weight, the tick of the first operator that read it.
        spoils_inputs: Whether anything wrote to the inputs.
    """

    def __init__(
        self,
        weights: dict[str, int],
        modules: Mapping[str, nn.Module],
        inputs: Any,
        seen: Callable[[int, Any], None],
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.opened: list[_Opened] = []
        self.seconds = [clock()]
        self.reads = dict.fromkeys(weights.values(), NEVER)
        self.spoils_inputs = False
        self._watching = True
        self._modules, self._seen = modules, seen
        self._inputs = {_storage(tensor) for tensor in trees.tensors(inputs)}
        self._inside = _Opened("", 0)
        self._born: dict[int, tuple[StorageWeakRef, _Opened]] = {}
        self._values: Any = WeakTensorKeyDictionary()
        self._sharing: defaultdict[int, list[Any]] = defaultdict(list)
        self._number: dict[int, int] = dict.fromkeys(self._inputs, INPUTS)
        self._numbers = 1

    def around(self, name: str, forward: Forward) -> Forward:
        module = self._modules[name]

        def watched(*args: Any, **kwargs: Any) -> Any:
            call, position = _Opened(name, self._tick(), self._inside), len(self.opened)
            self.opened.append(call)
            self._inside = call
            self._values_of((args, kwargs))
            self.read((args, kwargs))
            before = state_of(module)
            output = forward(*args, **kwargs)
            if changed(before, state_of(module)):
                call.keep_open(f"{name} changes its own attributes")
            call.exit, self._inside = self._tick(), call.parent or call
            self._note(call, (args, kwargs), output)
            self._watching = False  # what is done with the output is not the model's doing
            self._seen(position, output)
            self._watching = True
            return output

        return watched

    def _tick(self) -> int:
        self.seconds.append(clock())
        return len(self.seconds) - 1

    def _note(self, call: _Opened, given: Any, output: Any) -> None:
        call.bytes = nbytes(output) if can_be_kept(output) else None
        if call.bytes is None:
            call.again = call.again or "its output holds what cannot be kept as a copy"
        if isinstance(output, torch.Tensor):
            same = (at for at, tensor in enumerate(trees.tensors(given)) if tensor is output)
            call.argument = next(same, None)
        call.values = self._values_of(output)
        call.returns = {_storage(tensor) for tensor in trees.tensors(output)}
        call.owns = call.argument is not None or all(map(call.bore, self._births(call.returns)))
        call.storages = tuple(self._number[_storage(t)] for t in trees.tensors(output))
        for value in call.values:
            value.returned.append(call)

    def _values_of(self, tree: Any) -> list[_Value]:
        found = []
        for tensor in trees.tensors(tree):
            if tensor not in self._values:
                self._number_storage(_storage(tensor))
                self._values[tensor] = _Value()
                self._sharing[_storage(tensor)].append(weakref.ref(tensor))
            found.append(self._values[tensor])
        return found

    def _number_storage(self, storage: int) -> None:
        """Anew unless a tensor that was seen before lives on in this memory."""
        if storage not in self._inputs and next(self._living(storage), None) is None:
            self._sharing[storage].clear()
            self._number[storage], self._numbers = self._numbers, self._numbers + 1

    def _living(self, storage: int) -> Iterator[torch.Tensor]:
        for reference in self._sharing.get(storage, ()):
            tensor = reference()
            if tensor is not None and _storage(tensor) == storage:
                yield tensor

    def _births(self, storages: set[int]) -> Iterator[_Opened | None]:
        return map(self._birth, storages)

    def _birth(self, storage: int) -> _Opened | None:
        """The call that made it; what lay at this address before and is gone does not count."""
        reference, call = self._born.get(storage, (None, None))
        gone = reference is None or reference.expired()  # type: ignore[no-untyped-call]
        return None if gone else call

    def _left(self, storage: int) -> None:
        """Runs those again that left what is read now elsewhere than in their outputs."""
        around, birth = self._inside.around(), self._birth(storage)
        for call in birth.around() if birth is not None else ():
            if call in around:
                return
            if storage not in call.returns:
                call.again = call.again or f"{call.module} leaves a value where others find it"

    def read(self, tree: Any) -> None:
        """Notes that the call that is under way reads some tensors."""
        for tensor in trees.tensors(tree):
            self._left(_storage(tensor))
            if tensor in self._values:
                for producer in self._values[tensor].returned:
                    producer.readers.append(self._inside)
            if self.reads.get(_storage(tensor), 0) == NEVER:
                self.reads[_storage(tensor)] = len(self.seconds) - 1

    def _write(self, tree: Any) -> None:
        for tensor in trees.tensors(tree):
            self.spoils_inputs |= _storage(tensor) in self._inputs
            for other in self._living(_storage(tensor)):
                self._values[other].writes.append(_Write(len(self.seconds) - 1, self._inside))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if not self._watching:
            return func(*args, **kwargs)
        self.read((args, kwargs))
        result = func(*args, **kwargs)
        given = {_storage(tensor) for tensor in trees.tensors((args, kwargs))}
        for tensor in trees.tensors(result):
            if _storage(tensor) not in given:
                storage: Any = tensor.untyped_storage()
                reference = StorageWeakRef(storage)  # type: ignore[no-untyped-call]
                self._born[_storage(tensor)] = reference, self._inside
        for at, argument in enumerate(func._schema.arguments):
            if argument.alias_info is not None and argument.alias_info.is_write:
                self._write(args[at] if at < len(args) else kwargs.get(argument.name))
        return result


def _first_reads(weights: dict[str, int], tracer: _Tracer) -> Iterator[tuple[str, int]]:
    """The first operator that read a weight, or the first call of its owner if that is earlier.

    A kernel outside torch's dispatcher may read it too, but only who owns the weight passes it on.
    """
    entered = {call.module: call.enter for call in reversed(tracer.opened)}
    first = dict(tracer.reads)
    for name, storage in weights.items():
        owner = name.rpartition(".")[0]
        while owner and owner not in entered:
            owner = owner.rpartition(".")[0]
        first[storage] = min(first[storage], entered.get(owner, 0))
    for name, storage in weights.items():
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
