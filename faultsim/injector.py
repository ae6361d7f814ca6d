"""Arms faults on a model and restores it, bit for bit."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from contextlib import suppress
from types import TracebackType
from typing import Any, get_args
from weakref import WeakKeyDictionary

from torch import nn

from faultsim.errors import FaultError, InjectionError, shown
from faultsim.faults import Fault, FaultSet
from faultsim.faults.columns import listed_faults
from faultsim.kinds import When
from faultsim.space import FaultSpace
from faultsim.table import html_facts
from faultsim.targets.armed import Armed

Faults = FaultSet | Fault | Iterable[Fault]


def inject(model: nn.Module, faults: Faults, *, when: When = "after") -> Injector:
    """A context in which ``model`` carries ``faults``.

    Weights are corrupted in place in the model's own storage; activations and the hidden states
    of scans through hooks. On exit, on any exception and on KeyboardInterrupt the saved words are
    written back. The autograd version of every struck weight is raised, so a backward pass through
    a graph recorded before raises instead of using other values; leaves that require grad are
    struck all the same.

    A struck word that somebody writes meanwhile (an optimiser step, BatchNorm in train mode) keeps
    what it was given, and leaving the context raises :class:`InjectionError`. To train under
    faults, compute gradients inside and step the optimiser outside. A copy or pickle that is made
    of the model inside carries the faults for good.

    Args:
        model: The module whose tensors the faults name.
        faults: As ``FaultSpace.sample`` or ``FaultSet.from_json`` make them; or a fault or several,
            which may name their weights: ``Fault("fc.weight", (3, 17), bit=30)``.
        when: Whether faults in what a module returns or is given strike ``"after"`` the user's own
            hooks there, which then never see them, or ``"before"``: a protection in a hook, as a
            clamp, sees the fault. It is of the hooks that are there on arming, of one module
            or of all. Elsewhere no hook comes between: weights are struck at rest, states inside
            the scan, the model's output as its ``forward`` returns.

    Returns:
        An :class:`Injector`, to be used in a ``with`` statement.

    Raises:
        FaultError: Another ``when``.
    """
    return Injector(model, faults, when=when)


class Injector:
    """Faults on one model, armed between :meth:`arm` and :meth:`disarm` or inside ``with``.

    Nested injectors on one model unwind last in, first out, and belong to one thread. An injector
    that is armed and forgotten is disarmed, with a ResourceWarning, once nothing refers to it. So
    is one that an interrupt catches on the doorstep of ``with``, where no code of its own runs: in
    the instruction that calls ``__exit__``, or after :meth:`arm` returned.

    Attributes:
        model: The module struck.
        faults: The faults.
    """

    def __init__(self, model: nn.Module, faults: Faults, *, when: When = "after") -> None:
        if when not in get_args(When):
            raise FaultError(f"faults strike after or before the user's hooks, not {shown(when)}")
        self.model = model
        self.faults = placed(model, faults)
        self._when = when
        self._armed: Armed | None = None
        self._stack: list[Armed] = []  # of the model, once armed

    def __repr__(self) -> str:
        state = "armed" if self._armed in self._stack else "not armed"
        return f"Injector({type(self.model).__name__}, {self.faults!r}, {state})"

    def _repr_html_(self) -> str:
        title = repr(self).replace(f", {self.faults!r}", "")
        return html_facts(title, {}) + self.faults._repr_html_()

    def arm(self) -> None:
        """Strikes the weights and hooks what is struck during a forward pass.

        Raises:
            FaultError: A tensor is missing, or has another dtype or shape. Nothing is touched.
            InjectionError: Already armed, another thread has armed faults on the model, or it has
                words that cannot be struck. Nothing is touched.
        """
        if self._armed in self._stack:
            raise InjectionError("this injector is armed already; disarm it first")
        armed = Armed(self.model, self.faults, self._when)
        self._stack = _ARMED.setdefault(self.model, [])
        try:
            _push(self._stack, armed)
            self._armed = armed
            armed.strike()
        except BaseException:
            _release(self._stack, armed)
            raise

    def disarm(self) -> None:
        """Writes the saved words back and removes the hooks; a second call does nothing.

        Raises:
            InjectionError: Another injector was armed later and still is. Or the model is disarmed,
                but a word was written meanwhile, or a tensor's storage was replaced (``.half()``,
                ``.to()``, an optimiser).
        """
        armed = self._armed
        if armed is None:
            return
        if armed in self._stack and _last(self._stack, armed.thread) is not armed:
            raise InjectionError("nested injectors must be disarmed last in, first out")
        self._release()
        self._armed = None
        armed.check_undone()

    def advance(self, samples: int) -> None:
        """Says that so many samples have passed through, for faults in one sample of many."""
        if self._armed is not None:
            for faults in self._armed.transient:
                faults.offset += samples

    def feed(self, inputs: Any) -> Any:
        """The inputs of a batch with the armed faults in inputs, in copies of what is struck.

        For a batch that goes through the model on a way of its own (``model.generate``, the
        ``forward`` of a workload). From the first call on, faults in inputs strike here alone, and
        no longer what the model's ``forward`` is given.

        Args:
            inputs: As the fault space was given them.

        Raises:
            InjectionError: A fault in every sample that this batch lacks.
        """
        for faults in self._armed.transient if self._armed else ():
            inputs = faults.feed(inputs)
        return inputs

    def __enter__(self) -> Injector:
        self.arm()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            armed = self._armed
            self.disarm()
        except InjectionError as problem:
            if error is None:
                raise
            warnings.warn(str(problem), RuntimeWarning, stacklevel=2)  # the first error passes on
        except BaseException:
            self._release()
            raise
        if error is None and armed is not None:
            for faults in armed.transient:
                faults.check_fired()

    def __del__(self) -> None:
        if getattr(self, "_armed", None) in getattr(self, "_stack", ()):  # it may be half made
            self._release()
            warnings.warn(
                f"faults on {type(self.model).__name__} were armed and forgotten; they are disarmed"
                " now: use `with`, or call disarm()",
                ResourceWarning,
                stacklevel=2,
                source=self,
            )

    def __getstate__(self) -> dict[str, Any]:
        """Of an injector to be copied or pickled; raises InjectionError while it is armed."""
        if self._armed in self._stack:
            raise InjectionError("an armed injector cannot be copied or pickled; disarm it first")
        return {**self.__dict__, "_armed": None, "_stack": []}

    def _release(self) -> None:
        if self._armed is not None:
            try:
                _release(self._stack, self._armed)
            except BaseException:  # a half-restored model is worse than a late interrupt
                _release(self._stack, self._armed)
                raise


_ARMED: WeakKeyDictionary[nn.Module, list[Armed]] = WeakKeyDictionary()
"""What is armed on each model, the last on top; all but the first one's thread are on the way out.

Every change is a single call that no other thread can come between.
"""


def _push(stack: list[Armed], armed: Armed) -> None:
    stack.append(armed)  # before looking: of two threads that do so, one finds itself second
    if stack[0].thread != armed.thread:
        raise InjectionError(
            "another thread has faults armed on this model; disarm them first, or give each thread "
            "a model of its own"
        )


def _release(stack: list[Armed], armed: Armed) -> None:
    """Undoes faults, as soon as none are on top of them; may be called again."""
    armed.released = True
    while (last := _last(stack, armed.thread)) is not None and last.released:
        last.undo()
        with suppress(ValueError):  # forgotten ones may be collected in another thread
            stack.remove(last)


def _last(stack: list[Armed], thread: int) -> Armed | None:
    for armed in reversed(stack):
        if armed.thread == thread:
            return armed
    return None


def placed(model: nn.Module, faults: Faults) -> FaultSet:
    """The faults as a set; those that only name a weight are looked up in the model."""
    if isinstance(faults, FaultSet):
        return faults
    listed = listed_faults(faults)
    named = any(isinstance(fault.site, str) for fault in listed)
    return FaultSet.of(listed, FaultSpace(model, integers=True) if named else ())
