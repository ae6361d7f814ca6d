"""Sees the functions that a model's code calls between its modules, while a forward pass runs."""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn

from faultsim import trees
from faultsim.targets.function_mode import FunctionMode, between
from faultsim.targets.in_place import InPlace, storage_of
from faultsim.targets.passes import PASS, ROOT, PassHooks, version
from faultsim.targets.transient import module_of

Visit = Callable[[str, torch.Tensor], torch.Tensor]

LEAVES = ("torch.nn.", "torch.ao.nn.", "faultsim.ops.")
"""Where modules without children come from whose functions are not seen: what they compute is their
activation, or a state. As ``torch.fx`` has it, but that a layer made of layers is looked into."""

_ATTRIBUTE = ("__get__", "__set__", "__delete__")
_FACTORY = re.compile(r"new_\w+|\w+_like")
_DUNDER = re.compile(r"__[ir]?(sub|div|pow|mod|floordiv|matmul|lshift|rshift|and|or|xor)__")


class OperationHooks(PassHooks):
    """Calls ``visit(site name, tensor)`` for every tensor that functions of torch return.

    Functions, methods and operators are seen as Python calls them (``torch.overrides``), in the
    ``forward`` of a module and of what that calls, but for modules it calls, which have their own.
    ``layer1.0:add@2`` is the result of the second addition within a call of ``layer1.0``, in place
    or not; ``layer1.0@1:add@2`` that in its second call within one pass of the model; and an
    element of a nested result ends in ``.0`` and so on. A function that calls others is one
    operation (``softmax``, ``multi_head_attention_forward``). Hooks of modules are not seen.

    The replacement of a tensor that was changed in place is written into it, for its other holders.
    """

    def __init__(self, model: nn.Module, visit: Visit, only: set[str] | None = None) -> None:
        """Prepares the hooks; :meth:`register` places them.

        Args:
            model: The root; call numbers restart whenever it runs.
            visit: Returns the tensor to hand on: the one given, or its replacement.
            only: Names of the sites to visit; None for all.
        """
        super().__init__(model)
        self._visit = visit
        self._calls_seen = None if only is None else {_call_of(site) for site in only}
        self._modules = None if only is None else {module_of(site) for site in only}
        self._in_place = InPlace(model)
        self._mode = FunctionMode(self._called)
        self._frame: _Frame | None = None
        self._given: list[torch.Tensor] = []
        self._versions: list[int | None] = []

    def register(self) -> None:
        """Places the hooks."""
        for name, module in self._model.named_modules():
            if isinstance(module, torch.jit.ScriptModule):
                continue
            if name and self._looks_into(name, module):
                self.wrap(module, "forward", partial(self._inside, name))
            self.wrap(module, "_call_impl", self._outside)
        self.enter(self._modules or ())

    def _looks_into(self, name: str, module: nn.Module) -> bool:
        return not is_leaf(module) if self._modules is None else name in self._modules

    def around(self, kind: int, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Runs a method; a pass is seen from within."""
        if kind == PASS and self._looks_into(ROOT, self._model):
            function = partial(self._inside, ROOT, function)
            return super().around(kind, lambda *a, **k: function(a, k), args, kwargs)
        return super().around(kind, function, args, kwargs)

    def begin(self, arguments: Any) -> None:
        super().begin(arguments)
        self._in_place.begin(arguments)

    def leave(self) -> None:
        """Takes back what was struck in tensors that outlive the pass."""
        self._in_place.take_back()

    def _inside(self, name: str, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Runs the ``forward`` of a module, whose functions are seen."""
        outer, self._frame = self._frame, _Frame(self.numbered(name))
        try:
            return self._mode.run(function, args, kwargs)
        finally:
            self._frame = outer

    def _outside(self, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Runs the call of a module, whose hooks are not seen."""
        outer, self._frame = self._frame, None
        try:
            return function(*args, **kwargs)
        finally:
            self._frame = outer

    def _called(self, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        frame, name = self._frame, operation(function)
        if frame is None or name is None:
            return function(*args, **kwargs)
        site = frame.numbered(name)
        if self._calls_seen is not None and site not in self._calls_seen:
            return function(*args, **kwargs)
        given = list(trees.tensors((args, kwargs)))
        if not given:
            return function(*args, **kwargs)
        versions = list(map(version, given))
        result = function(*args, **kwargs)
        self._given, self._versions = given, versions
        written = given[0] if result is None and name == "setitem" else result
        unseen = torch._C.DisableTorchFunction()  # what is done here is not the model's doing
        seen = between(
            unseen.__enter__,
            lambda: trees.map_tensors(written, partial(self._leaf, site)),
            lambda: unseen.__exit__(None, None, None),
        )
        self._given = []
        return None if result is None else seen

    def _leaf(self, site: str, path: str, tensor: torch.Tensor) -> torch.Tensor:
        result = self._visit(f"{site}.{path}" if path else site, tensor)
        if result is not tensor and any(tensor is argument for argument in self._given):
            return self._in_place.write(tensor, result)
        return result

    def is_value(self, tensor: torch.Tensor) -> bool:
        """Whether the operation under way has computed a tensor, which is no view of another."""
        storage = storage_of(tensor)
        for argument, before in zip(self._given, self._versions, strict=True):
            if argument is tensor or (storage and storage_of(argument) == storage):
                return before is not None and version(argument) != before
        return True

    def remove(self) -> None:
        """Takes the hooks off; may be called again, after an interrupt or for nothing."""
        super().remove()
        self._in_place.take_back()
        self._given = []


class _Frame:
    """A call of a module, and how often it has called each function."""

    def __init__(self, site: str) -> None:
        self._site = site
        self._calls: Counter[str] = Counter()

    def numbered(self, name: str) -> str:
        self._calls[name] += 1
        return f"{self._site}:{name}@{self._calls[name]}"


def is_leaf(module: nn.Module) -> bool:
    """Whether a module is looked at from outside only."""
    return f"{type(module).__module__}.".startswith(LEAVES) and not any(module.children())


def _call_of(site: str) -> str:
    """The name of a site without the path inside of a nested result."""
    call, _, rest = site.rpartition("@")
    return f"{call}@{rest.partition('.')[0]}"


def operation(function: Any) -> str | None:
    """The name of an operation; None for what computes nothing, such as attributes.

    One name for the function, the method and the operator, in place or not: ``add`` for
    ``torch.add(x, y)``, ``x.add_(y)`` and ``x += y``; and for the overloads of ``torch.ops``.
    """
    return _name(str(getattr(function, "__name__", "")))


@functools.lru_cache(maxsize=1024)
def _name(name: str) -> str | None:
    if not name or name in _ATTRIBUTE or _FACTORY.fullmatch(name):
        return None
    dunder = _DUNDER.fullmatch(name)
    return dunder[1] if dunder else name.partition(".")[0].strip("_")
