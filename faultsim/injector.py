"""Arms faults on a model and restores it, bit for bit."""

from __future__ import annotations

from types import TracebackType
from weakref import WeakKeyDictionary

from torch import nn

from faultsim.errors import InjectionError
from faultsim.faults import FaultSet
from faultsim.ops import Patch
from faultsim.targets.activations import ActivationFaults
from faultsim.targets.states import StateFaults
from faultsim.targets.transient import TransientFaults
from faultsim.targets.weights import Holder

TRANSIENT: tuple[type[TransientFaults], ...] = (ActivationFaults, StateFaults)
_ARMED: WeakKeyDictionary[nn.Module, list[Injector]] = WeakKeyDictionary()


def inject(model: nn.Module, faults: FaultSet) -> Injector:
    """A context in which ``model`` carries ``faults``.

    Weights are corrupted in place in the model's own storage; activations and the hidden states
    of scans through hooks. On exit, on any exception and on KeyboardInterrupt the saved words are
    written back. The autograd version of every struck weight is raised, so a backward pass through
    a graph recorded before raises instead of using other values; leaves that require grad are
    struck all the same.

    Args:
        model: The module whose tensors the faults name.
        faults: As ``FaultSpace.sample`` or ``FaultSet.from_json`` make them.

    Returns:
        An :class:`Injector`, to be used in a ``with`` statement.
    """
    return Injector(model, faults)


class Injector:
    """Faults on one model, armed between :meth:`arm` and :meth:`disarm` or inside ``with``.

    Nested injectors on one model unwind last in, first out.

    Attributes:
        model: The module struck.
        faults: The faults.
    """

    def __init__(self, model: nn.Module, faults: FaultSet) -> None:
        self.model = model
        self.faults = faults
        self._holders: list[Holder] = []
        self._patch: Patch | None = None
        self._hooked: list[TransientFaults] = []
        self._stack: list[Injector] = []  # of the model, once armed

    def arm(self) -> None:
        """Strikes the weights and hooks what is struck during a forward pass.

        Raises:
            FaultError: A tensor is missing, or has another dtype or shape. Nothing is touched.
            InjectionError: Already armed.
        """
        if self in self._stack:
            raise InjectionError("this injector is armed already; disarm it first")
        faults = self.faults.of_kind("weights")
        self._holders = [Holder(self.model, site) for site in faults.sites]
        self._patch = Patch([holder.tensor for holder in self._holders], faults.table)
        self._stack = _ARMED.setdefault(self.model, [])
        self._stack.append(self)
        self._hooked = []
        try:
            if len(faults) < len(self.faults):
                kinds = {site.kind for site in self.faults.sites}
                for make in TRANSIENT:
                    if make.kind in kinds:
                        self._hooked.append(make(self.model, self.faults))
                        self._hooked[-1].register()
            self._patch.strike()
        except BaseException:
            self.disarm()
            raise

    def disarm(self) -> None:
        """Writes the saved words back and removes the hooks; a second call does nothing.

        Raises:
            InjectionError: Another injector was armed later and still is, or a tensor's storage
                was replaced meanwhile (``.half()``, ``.to()``, an optimiser).
        """
        if self not in self._stack:
            return
        if self._stack[-1] is not self:
            raise InjectionError("nested injectors must be disarmed last in, first out")
        interrupt: KeyboardInterrupt | None = None
        while self in self._stack:
            try:
                self._undo()
            except KeyboardInterrupt as error:  # finish first: a half-restored model is worse
                interrupt = error
        if interrupt is not None:
            raise interrupt

    def _undo(self) -> None:
        for faults in self._hooked:
            faults.remove()
        if self._patch is not None:
            self._patch.restore()
        moved = [holder.site.name for holder in self._holders if holder.moved()]
        self._holders, self._patch = [], None
        self._stack.pop()
        if moved:
            raise InjectionError(
                f"{moved[0]} got new storage while faults were armed (.half(), .to() or an "
                "optimiser?): the faults may live on in the copy, so reload the weights"
            )

    def advance(self, samples: int) -> None:
        """Says that so many samples have passed through, for faults in one sample of many."""
        for faults in self._hooked:
            faults.offset += samples

    def __enter__(self) -> Injector:
        self.arm()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.disarm()
        if kind is None:
            for faults in self._hooked:
                faults.check_fired()
