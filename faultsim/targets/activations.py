"""Faults in the outputs of modules, through forward hooks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.utils.weak import WeakTensorKeyDictionary

from faultsim import trees
from faultsim.errors import FaultError, InjectionError
from faultsim.faults import OPS, Site
from faultsim.formats import FORMATS
from faultsim.kinds import When
from faultsim.ops import apply_
from faultsim.ops.words import overlaps
from faultsim.targets.closed import check_open
from faultsim.targets.inputs import Run, Sizes, arguments_of
from faultsim.targets.layouts import Seen, find_layouts, golden_pass
from faultsim.targets.passes import PASS, ROOT, PassHooks, version
from faultsim.targets.samples import strikes
from faultsim.targets.steps import Sites, Words, key_of
from faultsim.targets.transient import TransientFaults, module_of
from faultsim.targets.words import words_of

Visit = Callable[[str, torch.Tensor], torch.Tensor]


class OutputHooks(PassHooks):
    """Calls ``visit(site name, tensor)`` for every value that modules of a model return.

    A module's second call within one pass of the model is ``name@1``; the elements of a nested
    output are ``name:path``. A tensor that a container merely passes on from a child is visited
    once, under the child's name; one that a module changed in place is a value of its own. What
    functions compute inside a module is not seen until a module returns it.

    Attributes:
        ran: Names of the modules that ran.
        without: Sites that held no tensor.
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
            visit: Returns the tensor to hand on: the one given, or its replacement. The replacement
                of a tensor that was changed in place is written into it, for its other holders.
            only: Names of the modules to hook; None for all.
            when: Whether the other forward hooks of a module come first. The model's own output
                is seen as its ``forward`` returns, always before the model's hooks.
        """
        super().__init__(model)
        self._visit, self._only, self._first = visit, only, when == "before"
        self.ran: set[str] = set()
        self.without: set[str] = set()
        self._seen: Any = WeakTensorKeyDictionary()
        self._given: dict[str, Any] = {}
        self._theirs: set[int] = set()
        self._owed: list[tuple[torch.Tensor, int | None, torch.Tensor]] = []

    def register(self) -> None:
        """Places the hooks."""
        self.enter(self._only or ())
        for name, module in self._model.named_modules():
            wanted = self._only is None or name in self._only
            if name and wanted and not isinstance(module, torch.jit.ScriptModule):
                self.before(module, self._before_hook(name))
                self.after(module, self._after_hook(name), first=self._first)

    def around(self, kind: int, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Runs a method; the model's own output is seen here, where no way leads past."""
        if kind != PASS or not (self._only is None or ROOT in self._only):
            return super().around(kind, function, args, kwargs)

        def seen(*args: Any, **kwargs: Any) -> Any:
            given = _versions((args, kwargs))
            return self._outputs(ROOT, given, function(*args, **kwargs))

        return super().around(kind, seen, args, kwargs)

    def begin(self, arguments: Any) -> None:
        super().begin(arguments)
        self._seen.clear()
        self._theirs = {_storage(tensor) for tensor in trees.tensors(arguments)}

    def leave(self) -> None:
        """Takes back what was struck in the caller's own tensors."""
        while self._owed:
            tensor, then, words = self._owed.pop()
            if version(tensor) == then:
                with torch.no_grad():
                    tensor.detach().copy_(words)

    def _before_hook(self, name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: Any, kwargs: Any) -> None:
            self._given[name] = _versions((args, kwargs))

        return hook

    def _after_hook(self, name: str) -> Callable[..., Any]:
        def hook(module: nn.Module, args: Any, output: Any) -> Any:
            return self._outputs(name, self._given.pop(name, {}), output)

        return hook

    def _outputs(self, name: str, given: Any, output: Any) -> Any:
        self.ran.add(name)
        site = self.numbered(name)
        if next(trees.tensors(output), None) is None:
            self.without.add(site)
        return trees.map_tensors(
            output, lambda path, tensor: self._leaf(_joined(site, path), tensor, given)
        )

    def _leaf(self, name: str, tensor: torch.Tensor, given: Any) -> torch.Tensor:
        now = version(tensor)
        if now is not None and self._seen.get(tensor) == now:
            return tensor
        result = self._visit(name, tensor)
        if result is not tensor and tensor in given and self._was_changed(tensor, given[tensor]):
            result = self._written(tensor, result)
        self._seen[result] = version(result)
        return result

    def _was_changed(self, tensor: torch.Tensor, before: int | None) -> bool:
        """Whether a module changed what it was given; taken for granted where nobody counts."""
        if before is None:
            return _storage(tensor) not in self._theirs
        return version(tensor) != before

    def _written(self, tensor: torch.Tensor, struck: torch.Tensor) -> torch.Tensor:
        """The tensor with the struck words in it, where all who hold it find them.

        Under autograd it is given other memory, for the module may have saved its output.
        """
        if torch.is_grad_enabled() and tensor.requires_grad and not tensor._is_view():
            tensor.data = struck.detach()
            return tensor
        words = tensor.detach().clone() if _storage(tensor) in self._theirs else None
        with torch.no_grad():
            tensor.detach().copy_(struck)  # a view among several may not be written itself
        if words is not None:
            self._owed.append((tensor, version(tensor), words))
        return tensor

    def remove(self) -> None:
        """Takes the hooks off; may be called again, after an interrupt or for nothing."""
        super().remove()
        self.leave()
        self._seen.clear()
        self._given.clear()


def _versions(tree: Any) -> Any:
    versions = WeakTensorKeyDictionary()
    for tensor in trees.tensors(tree):
        versions[tensor] = version(tensor)
    return versions


def _joined(site: str, path: str) -> str:
    return f"{site}:{path}" if path else site


def _storage(tensor: torch.Tensor) -> int:
    try:
        return tensor.untyped_storage().data_ptr()
    except (RuntimeError, NotImplementedError):  # sparse and such
        return 0


class Targets(NamedTuple):
    """What a golden pass found.

    Attributes:
        sites: In the order they are computed.
        skipped: What can be no site, with the reason.
        whole: Sites whose samples cannot be told apart, with the reason.
    """

    sites: list[Site]
    skipped: dict[str, str]
    whole: dict[str, str]


def activation_sites(model: nn.Module, inputs: Any, run: Run | None = None) -> Targets:
    """The activations of one golden forward pass, in the order they are computed.

    A few more passes, of two and three samples, find where each output holds its samples
    (:mod:`faultsim.targets.layouts`). An output in which they cannot be told apart is indexed as a
    whole (``per_sample`` is False). Where a run has several forward passes, a site holds the words
    of all of them (:mod:`faultsim.targets.steps`).

    Args:
        model: Run as it is, without gradients; it is as before.
        inputs: One batch: a tensor, a tuple of arguments, a mapping of keyword arguments; of trees.
        run: How ``inputs`` go through the model, if not so.

    Raises:
        FaultError: No inputs were given, or the calls of the model's modules cannot be seen.
    """
    check_open(model)
    batch = arguments_of(model, inputs, run)
    sites = Sites("activations")

    def visit(name: str, tensor: torch.Tensor) -> torch.Tensor:
        words = output_words(tensor)
        if isinstance(words, str):
            sites.skipped[name] = words
        else:
            sites.see(name, hooks.step, Words(FORMATS[words.dtype].name, tuple(words.shape)))
        return tensor

    hooks = OutputHooks(model, visit)
    golden_pass(model, batch, hooks, run)
    skipped = sites.skipped
    skipped |= dict.fromkeys(sorted(hooks.without), "it returns no tensor")
    known = {module_of(name) for name in (*sites.names, *skipped)}
    skipped |= no_sites(model, hooks.ran, known, "it returns a tensor that is no value of its own")
    layouts = find_layouts(model, batch, sites.shapes, lambda seen: _watched(model, seen), run)
    sites.place(layouts, hooks.steps)
    return Targets(sites.sites, skipped, sites.whole)


def _watched(model: nn.Module, seen: Seen) -> PassHooks:
    hooks = OutputHooks(model, showing(lambda name, words: seen(key_of(name, hooks.step), words)))
    return hooks


def showing(seen: Seen) -> Visit:
    """A visit that shows the words of each tensor that has some, and hands it on."""

    def visit(name: str, tensor: torch.Tensor) -> torch.Tensor:
        words = output_words(tensor)
        if not isinstance(words, str):
            seen(name, words)
        return tensor

    return visit


def output_words(tensor: torch.Tensor) -> torch.Tensor | str:
    """The words of a module's output; why there are none."""
    plain = tensor.detach()
    if plain.layout == torch.strided and not plain.is_quantized and not plain.is_nested:
        plain = plain.resolve_conj().resolve_neg()
        plain = plain.clone() if overlaps(plain) else plain  # a fault strikes a copy in any case
    return words_of(plain)


def no_sites(model: nn.Module, ran: set[str], known: set[str], why: str) -> dict[str, str]:
    """Modules without children that might have a value of their own, and why none was seen.

    Args:
        model: The root.
        ran: Names of the modules that ran.
        known: Names of those that have one.
        why: What is said of the others that ran.
    """
    found = {}
    for name, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            found[name] = "it is scripted: Python does not see it run"
        elif name and name not in known and not any(module.children()) and _can_run(module):
            found[name] = why if name in ran else "it did not run in the golden pass"
    return found


def _can_run(module: nn.Module) -> bool:
    return type(module).forward is not nn.Module.forward


class TensorFaults(TransientFaults):
    """The faults in tensors that a pass computes or is given, armed on a model.

    Each struck tensor is copied first, so that nothing that aliases it (an input, a parameter, a
    cached value, a tensor saved for backward) ever changes.
    """

    def _visit(
        self,
        name: str,
        tensor: torch.Tensor,
        offset: int | None = None,
        sizes: Sizes | None = None,
    ) -> torch.Tensor:
        """The tensor to hand on; ``offset`` and ``sizes`` unless they are those of the pass."""
        if name not in self._faults:
            return tensor
        site, faults = self._faults[name]
        now = self._now(site, faults)
        if not len(now):
            return tensor
        struck = tensor.resolve_conj().resolve_neg() if tensor.is_complex() else tensor
        struck = self._copy(struck)
        words = words_of(struck)
        if isinstance(words, str):
            raise InjectionError(f"{name} cannot be struck: {words}")
        if words.dtype != site.format.dtype:
            raise FaultError(f"{name} is {words.dtype} here, but its faults are for {site.dtype}")
        shape = tuple(words.shape)
        rows, index = strikes(
            site,
            faults[now],
            shape,
            self.offset if offset is None else offset,
            self._hooks.sizes if sizes is None else sizes,
        )
        rows = now[rows]
        for number, op in enumerate(OPS):
            chosen = faults.op[rows] == number
            if chosen.any():
                part = faults[rows[chosen]]
                operand = part.operand if op == "replace" else part.mask
                apply_(words, index[chosen], op, operand)
        self._mark(name, rows)
        return struck

    def _copy(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.clone()


class ActivationFaults(TensorFaults):
    """The activation faults of a set, armed on a model; what was changed in place is struck so."""

    kind = "activations"

    def _hooks_on(self, model: nn.Module) -> PassHooks:
        return OutputHooks(model, self._visit, self._modules(), self._when)
