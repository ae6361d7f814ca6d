"""Checksums of products that no layer computes: ``a @ b``, ``einsum``, attention, ``F.linear``."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.overrides import _get_current_function_mode

from faultsim.errors import ConfigError
from faultsim.protections.alarms import BESIDE, Guard
from faultsim.protections.product_sums import gaps_of, product
from faultsim.protections.protection import Rehearsal
from faultsim.targets.closed import check_seen
from faultsim.targets.function_mode import FunctionMode, between
from faultsim.targets.operation_hooks import LEAVES
from faultsim.targets.passes import ROOT

NOT_SEEN = (*LEAVES, "faultsim.protections.")
"""Where code comes from whose products are no bare ones: layers, and what protects these."""

MARGIN = 16
"""How many times the rounding of a golden run is no alarm: that of other inputs may be more."""


class BareProducts:
    """The results of products in a model's own code must sum up to what their operands say.

    Products are seen as Python calls them, wherever an ``operations`` fault may strike: the sum is
    taken of what the model is handed, after the fault. It is the operands of this very call that
    say what it must be, so that faults in these, weights among them, go undetected.

    What rounding can do at worst hides whole results of a long product. What it did in a golden run
    is far less, and :data:`MARGIN` times that is what no alarm is raised for.
    """

    def __init__(self, name: str, pattern: str | None = None, *, recompute: bool = False) -> None:
        """Nothing is summed yet.

        Args:
            name: As the command line knows it.
            pattern: Of names of modules in whose code products are checked, ``(root)`` for the
                model's; None for all.
            recompute: Whether a product whose sums differ is computed once more before an alarm is
                raised: what struck in passing is gone then.
        """
        self.name, self._pattern, self._recompute = name, pattern, recompute

    def apply(self, model: nn.Module, rehearse: Rehearsal) -> None:
        """See :class:`~faultsim.protections.Protection`."""
        check_seen(model)
        checks = ProductChecks(self._recompute)
        placed = [Code(path, each, checks) for path, each in model.named_modules() if _runs(each)]
        for code in placed:
            code.looked_into = self._wanted(code)
        rehearse()
        seen = checks.rehearsed()
        for code in placed:
            code.looked_into = code.path in seen
            if code.looked_into:
                vars(code.module)[BESIDE] = checks
        if not seen:
            where = f" in the code of {self._pattern}" if self._pattern else ""
            raise ConfigError(f"{self.name} finds no product outside of layers{where}")

    def _wanted(self, code: Code) -> bool:
        named = self._pattern is None or fnmatchcase(code.path or ROOT, self._pattern)
        return named and not _home(code.module).startswith(NOT_SEEN)


class Code:
    """The ``forward`` of a module: products are checked in what it calls itself, or are not.

    Not being a hook, it runs inside of what faults are armed around, and sees what these changed.

    Attributes:
        path: The module's name.
        module: Whose ``forward`` it is.
        looked_into: Whether its products are checked.
    """

    def __init__(self, path: str, module: nn.Module, checks: ProductChecks) -> None:
        self.path, self.module, self.looked_into = path, module, False
        self._function, self._checks = module.forward, checks
        functools.update_wrapper(self, self._function, updated=())
        vars(module)["forward"] = self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._checks.run(self, self._function, args, kwargs)


class ProductChecks(Guard):
    """Checks the products of one model; until it has rehearsed, up to the worst rounding."""

    def __init__(self, recompute: bool) -> None:
        super().__init__()
        self._recompute = recompute
        self._code: Code | None = None
        self._rehearsing = True
        self._usual: dict[tuple[str, str], float] = {}

    def rehearsed(self) -> set[str]:
        """Ends the golden run; names of the modules whose own code computes products."""
        self._rehearsing = False
        return {path for path, _ in self._usual}

    def run(self, code: Code, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Runs the code of a module."""
        outer, self._code = self._code, code if code.looked_into else None
        try:
            return self._run(function, args, kwargs)
        finally:
            self._code = outer

    def _run(self, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        first = _get_current_function_mode()  # type: ignore[no-untyped-call]
        own = isinstance(first, _Mode) and first.checks is self
        if self._code is None:  # layers go other ways, to other last bits, where a mode is on
            return first.pause(function, args, kwargs) if own else function(*args, **kwargs)
        # what came to stand before this one since would strike what it has checked
        return function(*args, **kwargs) if own else _Mode(self).run(function, args, kwargs)

    def called(self, function: Any, args: Any, kwargs: Any) -> Any:
        """Calls a function of torch, and checks what it returns if that is a product."""
        code, name = self._code, product(function)
        if code is None or name is None:
            return function(*args, **kwargs)
        self._code = None  # once, however many modes see it
        try:
            result = function(*args, **kwargs)
            call = partial(function, *args, **kwargs)
            return _unseen(partial(self._checked, (code.path, name), call, result))
        finally:
            self._code = code

    def _checked(self, place: tuple[str, str], call: partial[Any], result: Any) -> Any:
        gaps = gaps_of(call.func, call.args, call.keywords, result)
        if gaps is None:
            return result
        if self._rehearsing:
            most = MARGIN * float(gaps.ratio.max())
            self._usual[place] = max(most, self._usual.get(place, 0.0))
            return result
        wrong = gaps.wrong(self._usual.get(place, math.inf))
        if self._recompute and bool(wrong.any()):
            return self._again(place, call)
        self._tell(wrong)
        return result

    def _again(self, place: tuple[str, str], call: partial[Any]) -> Any:
        result = call()
        gaps = gaps_of(call.func, call.args, call.keywords, result)
        if gaps is not None:
            self._tell(gaps.wrong(self._usual.get(place, math.inf)))
        return result

    def _tell(self, wrong: torch.Tensor) -> None:
        self.alarm(wrong.reshape(len(wrong), -1).any(1) if wrong.ndim else wrong[None])


class _Mode(FunctionMode):
    def __init__(self, checks: ProductChecks) -> None:
        super().__init__(checks.called)
        self.checks = checks


def _unseen(act: Callable[[], Any]) -> Any:
    """Acts, and no mode sees the functions of torch that it calls."""
    unseen = torch._C.DisableTorchFunction()
    return between(unseen.__enter__, act, lambda: unseen.__exit__(None, None, None))


def _runs(module: nn.Module) -> bool:
    scripted = isinstance(module, torch.jit.ScriptModule)
    return not scripted and type(module).forward is not nn.Module.forward


def _home(module: nn.Module) -> str:
    return f"{getattr(type(module).forward, '__module__', '')}."
