"""Which pass of a model a hook is in, whatever the way in."""

from __future__ import annotations

import functools
import inspect
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from copy import copy
from functools import partial
from types import FunctionType, MethodType
from typing import Any

import torch
from torch import nn

from faultsim.targets.hooks import ForwardHooks
from faultsim.targets.inputs import UNKNOWN, sizes_of

ROOT = "(root)"
Around = Callable[[Callable[..., Any], Any, Any], Any]

NONE, PART, PASS = range(3)
"""What is running: nothing; a part of the model, or another of its methods; its forward."""


class PassHooks(ForwardHooks):
    """Forward hooks that know the pass they are in.

    A pass is one run of the model's ``forward``, be it called through the model or directly. Where
    none is running it is one run of another method of the model (``m.encode(x)``), or of a module
    below it that is called on its own.

    Attributes:
        sizes: The numbers of samples that the pass may have.
        batch: Those of the batch that is run, where they are known; several rows of a pass may be
            one of its samples, as beams are.
        passes: How many there were.
        outermost: Number of the pass around all others that run, as ``generate`` is of many.
        steps: How many runs of the model's ``forward`` there were in this run of a batch.
        ended: Called when a run of the model's ``forward`` has returned.
        raised: Whether a pass has raised; cleared by whoever asks.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self._model = model
        self.sizes = self.batch = UNKNOWN
        self.raised = False
        self.passes = self.outermost = self.steps = 0
        self.ended: Callable[[], None] = lambda: None
        self._calls: Counter[str] = Counter()
        self._entries: list[_Entry] = []
        self._depth = NONE

    def register(self) -> None:
        """Places the hooks."""
        raise NotImplementedError

    def enter(self, names: Iterable[str]) -> None:
        """Watches the model's methods, and the modules that are called so or stand above those."""
        for method in _methods(type(self._model)):  # type: ignore[arg-type]
            kind = PASS if method == "forward" else PART
            self.wrap(self._model, method, partial(self.around, kind))
        modules = dict(self._model.named_modules())
        for name in dict.fromkeys(above for each in names for above in with_those_above(each)):
            if name in modules:
                self.wrap(modules[name], "forward", partial(self.around, PART))

    def wrap(self, module: nn.Module, method: str, around: Around) -> None:
        """Has ``around(function, args, kwargs)`` run a method of a module."""
        entry = _Entry(module, method, around)
        self._entries.append(entry)  # first: an interrupt may come between
        entry.place()

    @property
    def step(self) -> int | None:
        """Number of the forward pass within the run of a batch; None outside of one."""
        return self.steps - 1 if self._depth == PASS else None

    def numbered(self, name: str) -> str:
        """The name of a module's next call: ``name``, ``name@1`` and so on within a pass."""
        call, self._calls[name] = self._calls[name], self._calls[name] + 1
        return f"{name}@{call}" if call else name

    def begin(self, arguments: Any) -> None:
        """A pass begins."""
        self._calls.clear()
        self.sizes = sizes_of(arguments)
        self.passes += 1

    def new_run(self) -> None:
        """The next batch is run."""
        self.steps, self.batch = 0, UNKNOWN

    def leave(self) -> None:
        """A pass ends, or is left by an exception."""

    def around(self, kind: int, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Runs a method, as a pass if it is one."""
        if self._depth >= kind:
            return function(*args, **kwargs)
        outer, self._depth = self._depth, kind
        around = self.batch if outer == NONE else self.sizes
        self.steps += kind == PASS
        if outer == NONE:
            self.outermost = self.passes + 1
        try:
            self.begin((args, kwargs))
            self.sizes = self.sizes.within(around, fed=outer == NONE)
            result = function(*args, **kwargs)
        except BaseException:
            self.raised = True
            raise
        finally:
            self._depth = outer
            self.leave()
        if kind == PASS:
            self.ended()
        return result

    def remove(self) -> None:
        """Takes the hooks off; may be called again, after an interrupt or for nothing."""
        super().remove()
        for entry in reversed(self._entries):
            entry.take_off()
        self._calls.clear()


class _Entry:
    """A method of a module, which hooks run their way. Copies of the module lack it."""

    def __init__(self, module: nn.Module, name: str, around: Around) -> None:
        self._place = vars(module)
        self._module, self._name = module, name
        self._before = self._place.get(name)
        self._function = getattr(module, name)
        self._around: Around | None = around
        functools.update_wrapper(self, self._function, updated=())

    def place(self) -> None:
        self._place[self._name] = self  # past nn.Module's slow __setattr__

    def take_off(self) -> None:
        self._around = None  # first: somebody may have wrapped this
        if self._place.get(self._name) is self:
            before = self._before
            while isinstance(before, _Entry) and before._around is None:
                before = before._before  # of others that were taken off meanwhile
            if before is None:
                self._place.pop(self._name, None)
            else:
                self._place[self._name] = before

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._around is None:
            return self._function(*args, **kwargs)
        return self._around(self._function, args, kwargs)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        module = memo.get(id(self._module), self._module)
        if isinstance(self._function, MethodType):
            return MethodType(self._function.__func__, module)
        return copy(self._function)

    def __reduce__(self) -> Any:
        return getattr, (self._module, self._name)


@functools.lru_cache
def _methods(kind: type[nn.Module]) -> tuple[str, ...]:
    """The public methods of a model that are its own, ``forward`` among them."""
    found: dict[str, None] = {"forward": None}
    for base in kind.__mro__:
        if base in nn.Module.__mro__:  # others may come after it, as mixins that generate do
            continue
        for name, value in vars(base).items():
            plain = isinstance(value, FunctionType) and not name.startswith("_")
            if plain and not _is_lazy(value) and not hasattr(nn.Module, name):
                found[name] = None
    return tuple(found)


def _is_lazy(function: FunctionType) -> bool:
    """Whether a call returns before anything is run."""
    return inspect.isgeneratorfunction(function) or inspect.iscoroutinefunction(function)


def with_those_above(name: str) -> Iterator[str]:
    """A module's name and those of the modules around it, without the model's own."""
    parts = [] if name == ROOT else name.split(".")
    return (".".join(parts[:length]) for length in range(1, len(parts) + 1))


def version(tensor: torch.Tensor) -> int | None:
    """How often a tensor was changed in place; None where torch does not count."""
    return None if tensor.is_inference() else tensor._version
