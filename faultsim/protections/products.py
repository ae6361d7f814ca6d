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
from faultsim.protections.sums import Gaps
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
    say what it must be, so that faults in these go undetected: in weights, and in activations that
    were struck after they were produced. To see those, a checksum would have to go from who
    produced a tensor to who reads it, through whatever else is computed between: that is a
    protection of memory, which this is not.

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
        wanted = [code for path, code in _codes(model).items() if self._wants(path, code.module)]
        new = [code for code in wanted if not code.looked_into]
        for code in new:
            code.looked_into = code.rehearsing = True
        rehearse()
        for code in new:
            code.looked_into, code.rehearsing = bool(code.usual), False
        found = [code for code in wanted if code.looked_into]
        for code in found:
            code.recompute |= self._recompute
            vars(code.module)[BESIDE] = code.checks
        if not found:
            where = f" in the code of {self._pattern}" if self._pattern else ""
            raise ConfigError(f"{self.name} finds no product outside of layers{where}")

    def _wants(self, path: str, module: nn.Module) -> bool:
        named = self._pattern is None or fnmatchcase(path or ROOT, self._pattern)
        return named and not _home(module).startswith(NOT_SEEN)


def _codes(model: nn.Module) -> dict[str, Code]:
    """By name of a module, its code; what stands there already, of a protection before, stays."""
    held = vars(model).get("forward")
    checks = held.checks if isinstance(held, Code) else ProductChecks()
    found = {}
    for path, module in model.named_modules():
        if _runs(module):
            held = vars(module).get("forward")
            found[path] = held if isinstance(held, Code) else Code(module, checks)
    return found


class Code:
    """The ``forward`` of a module: products are checked in what it calls itself, or are not.

    Not being a hook, it runs inside of what faults are armed around, and sees what these changed.

    Attributes:
        module: Whose ``forward`` it is.
        checks: Of all code of its model.
        looked_into: Whether its products are checked.
        rehearsing: Whether this is the golden run that says what rounding does.
        recompute: Whether a product whose sums differ is computed once more.
        usual: By name of a product, what rounding may do, as a share of the operands' magnitudes.
    """

    def __init__(self, module: nn.Module, checks: ProductChecks) -> None:
        self.module, self.checks = module, checks
        self.looked_into = self.rehearsing = self.recompute = False
        self.usual: dict[str, float] = {}
        self._function = module.forward
        functools.update_wrapper(self, self._function, updated=())
        vars(module)["forward"] = self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.checks.run(self, self._function, args, kwargs)

    def gaps(self, call: partial[Any], result: Any) -> Gaps | None:
        """How far the sums of a product are apart, where they can be held against anything."""
        gaps = gaps_of(call.func, call.args, call.keywords, result)
        if gaps is None or not self.rehearsing:
            return gaps
        name = product(call.func) or ""
        self.usual[name] = max(MARGIN * float(gaps.ratio.max()), self.usual.get(name, 0.0))
        return None

    def wrong(self, call: partial[Any], gaps: Gaps) -> torch.Tensor:
        """Where they are further apart than rounding leads."""
        return gaps.wrong(self.usual.get(product(call.func) or "", math.inf))


class ProductChecks(Guard):
    """Checks the products of one model, in the code that is looked into."""

    def __init__(self) -> None:
        super().__init__()
        self._code: Code | None = None

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
        code = self._code
        if code is None or product(function) is None:
            return function(*args, **kwargs)
        self._code = None  # once, however many modes see it
        try:
            result = function(*args, **kwargs)
            call = partial(function, *args, **kwargs)
            return _unseen(partial(self._checked, code, call, result))
        finally:
            self._code = code

    def _checked(self, code: Code, call: partial[Any], result: Any) -> Any:
        gaps = code.gaps(call, result)
        if gaps is None:
            return result
        wrong = code.wrong(call, gaps)
        if code.recompute and bool(wrong.any()):
            result = call()
            gaps = code.gaps(call, result)
            wrong = wrong if gaps is None else code.wrong(call, gaps)
        self.alarm(wrong.reshape(len(wrong), -1).any(1) if wrong.ndim else wrong[None])
        return result


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
