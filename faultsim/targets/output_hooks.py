"""What modules return, seen and replaced through forward hooks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.utils.weak import WeakTensorKeyDictionary

from faultsim import trees
from faultsim.kinds import When
from faultsim.targets.in_place import InPlace
from faultsim.targets.passes import PASS, ROOT, PassHooks, version

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
        self._in_place = InPlace(model)

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
        self._in_place.begin(arguments)

    def leave(self) -> None:
        """Takes back what was struck in tensors that outlive the pass."""
        self._in_place.take_back()

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
            result = self._in_place.write(tensor, result)
        self._seen[result] = version(result)
        return result

    def _was_changed(self, tensor: torch.Tensor, before: int | None) -> bool:
        """Whether a module changed what it was given; taken for granted where nobody counts."""
        if before is None:
            return not self._in_place.is_theirs(tensor)
        return version(tensor) != before

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
