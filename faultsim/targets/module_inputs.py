"""Faults in what modules are given, through forward pre-hooks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from faultsim import trees
from faultsim.dtypes import FORMATS
from faultsim.kinds import When
from faultsim.targets.activations import (
    Targets,
    TensorFaults,
    no_sites,
    output_words,
    showing,
)
from faultsim.targets.closed import check_open
from faultsim.targets.given import joined, map_arguments
from faultsim.targets.inputs import Arguments, Run, arguments_of
from faultsim.targets.layouts import Seen, Shape, differs, find_layouts, golden_pass
from faultsim.targets.output_hooks import OutputHooks, Visit
from faultsim.targets.passes import PassHooks, version
from faultsim.targets.steps import Sites, Words, key_of
from faultsim.targets.transient import module_of
from faultsim.targets.words import words_of

IN = "(in)"
"""Stands in the name of a site between the module and the path of what it is given."""


class GivenHooks(PassHooks):
    """Calls ``visit(site name, tensor)`` for every tensor that modules of a model are given.

    ``name:(in)`` is the only argument of a module, ``name:(in).1`` the second of several,
    ``name:(in).mask`` the one by that keyword, and so on inside of nested ones; a module's second
    call within one pass of the model is ``name@1:(in)``. The model's own arguments are not seen.

    What ``visit`` returns goes to that module alone: whoever else holds the tensor keeps it. But a
    module that changes it in place changes it for all of them, so what becomes of the replacement
    is then written into the tensor.

    Attributes:
        ran: Names of the modules that ran.
    """

    def __init__(
        self,
        model: nn.Module,
        visit: Visit,
        only: set[str] | None = None,
        when: When = "after",
    ) -> None:
        """Prepares the hooks; :meth:`register` places them.

        Args:
            model: The root; call numbers restart whenever it runs.
            visit: Returns the tensor to hand on: the one given, or its replacement.
            only: Names of the modules to hook; None for all.
            when: Whether the other forward pre-hooks of a module come first.
        """
        super().__init__(model)
        self._visit, self._only, self._first = visit, only, when == "before"
        self.ran: set[str] = set()
        self._replaced: defaultdict[str, list[list[_Replaced]]] = defaultdict(list)

    def register(self) -> None:
        """Places the hooks."""
        self.enter(self._only or ())
        for name, module in self._model.named_modules():
            wanted = self._only is None or name in self._only
            if name and wanted and not isinstance(module, torch.jit.ScriptModule):
                self.before(module, self._before_hook(name), first=self._first)
                self.after(module, self._after_hook(name), first=True)

    def begin(self, arguments: Any) -> None:
        super().begin(arguments)
        self._replaced.clear()

    def _before_hook(self, name: str) -> Callable[..., Any]:
        def hook(module: nn.Module, args: Any, kwargs: Any) -> Any:
            self.ran.add(name)
            site, replaced = f"{self.numbered(name)}:{IN}", list[_Replaced]()

            def leaf(path: str, tensor: torch.Tensor, _: int | None) -> torch.Tensor:
                result = self._visit(joined(site, path), tensor)
                if result is not tensor:
                    replaced.append(_Replaced.of(tensor, result))
                return result

            given = map_arguments(Arguments(args, kwargs), leaf)
            self._replaced[name].append(replaced)
            return tuple(given)

        return hook

    def _after_hook(self, name: str) -> Callable[..., Any]:
        def hook(module: nn.Module, args: Any, output: Any) -> Any:
            calls = self._replaced[name]
            changed = [each for each in (calls.pop() if calls else ()) if each.was_changed()]
            for each in changed:
                each.tensor.copy_(each.result)
            own = {id(each.result): each.tensor for each in changed}
            return trees.map_tensors(output, lambda _, tensor: own.get(id(tensor), tensor))

        return hook

    def remove(self) -> None:
        """Takes the hooks off; may be called again, after an interrupt or for nothing."""
        super().remove()
        self._replaced.clear()


@dataclass(frozen=True, eq=False)
class _Replaced:
    """A tensor that others hold as well, and what a module is given in its place.

    Attributes:
        tensor: The one that was to be given.
        result: Its replacement.
        version: How often that was changed by then; None where torch does not count.
        words: A copy of it, where torch does not.
    """

    tensor: torch.Tensor
    result: torch.Tensor
    version: int | None
    words: torch.Tensor | None

    @classmethod
    def of(cls, tensor: torch.Tensor, result: torch.Tensor) -> _Replaced:
        now = version(result)
        return cls(tensor, result, now, result.clone() if now is None else None)

    def was_changed(self) -> bool:
        if self.words is None:
            return version(self.result) != self.version
        return bool(differs(_words(self.words), _words(self.result)).any())


def _words(tensor: torch.Tensor) -> torch.Tensor:
    words = words_of(tensor)
    return tensor if isinstance(words, str) else words


class _WithOutputs(GivenHooks):
    """Sees what modules return as well, which shows where samples lie."""

    def __init__(self, model: nn.Module, given: Visit, seen: Seen) -> None:
        super().__init__(model, given)
        self._seen = seen
        self._outputs = OutputHooks(model, showing(self._returned))

    def _returned(self, name: str, words: torch.Tensor) -> None:
        self._seen(key_of(name, self._outputs.step), words)

    def register(self) -> None:
        super().register()
        self._outputs.register()

    def remove(self) -> None:
        super().remove()
        self._outputs.remove()


def module_input_sites(model: nn.Module, inputs: Any, run: Run | None = None) -> Targets:
    """What the modules are given in one golden forward pass, in the order of their calls.

    A value that several modules are given is a site of each of them: a fault strikes what that
    module alone is given. Samples are found as for
    :func:`faultsim.targets.activations.activation_sites`; what modules return shows them too. Where
    a run has several forward passes, a site holds the words of all of them
    (:mod:`faultsim.targets.steps`).

    Args:
        model: Run as it is, without gradients; it is as before.
        inputs: One batch: a tensor, a tuple of arguments, a mapping of keyword arguments; of trees.
        run: How ``inputs`` go through the model, if not so.

    Raises:
        FaultError: No inputs were given, or the calls of the model's modules cannot be seen.
    """
    check_open(model)
    batch = arguments_of(model, inputs, run)
    sites = Sites("module-inputs")
    outputs: dict[str, Shape] = {}

    def given(name: str, tensor: torch.Tensor) -> torch.Tensor:
        words = output_words(tensor)
        if isinstance(words, str):
            sites.skipped[name] = words
        else:
            sites.see(name, hooks.step, Words(FORMATS[words.dtype].name, tuple(words.shape)))
        return tensor

    hooks = _WithOutputs(
        model, given, lambda name, words: outputs.update({name: tuple(words.shape)})
    )
    golden_pass(model, batch, hooks, run)
    known = {module_of(name) for name in (*sites.names, *sites.skipped)}
    without = no_sites(model, hooks.ran, known, "it is given no tensor")
    shapes = {**outputs, **sites.shapes}
    layouts = find_layouts(model, batch, shapes, lambda seen: _watched(model, seen), run)
    sites.place(layouts, hooks.steps)
    skipped = {**sites.skipped, **{f"{name}:{IN}": reason for name, reason in without.items()}}
    return Targets(sites.sites, skipped, sites.whole)


def _watched(model: nn.Module, seen: Seen) -> PassHooks:
    def given(name: str, words: torch.Tensor) -> None:
        seen(key_of(name, hooks.step), words)

    hooks = _WithOutputs(model, showing(given), seen)
    return hooks


class ModuleInputFaults(TensorFaults):
    """The faults of a set in what modules are given, armed on a model."""

    kind = "module-inputs"

    def _hooks_on(self, model: nn.Module) -> PassHooks:
        return GivenHooks(model, self._visit, self._modules(), self._when)
