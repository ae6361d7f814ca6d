"""A fault set on a model: struck, and undone whatever came between."""

from __future__ import annotations

from threading import get_ident

from torch import nn

from faultsim.errors import InjectionError
from faultsim.faults import FaultSet
from faultsim.kinds import When
from faultsim.ops import Patch
from faultsim.targets.activations import ActivationFaults
from faultsim.targets.cache import CacheFaults
from faultsim.targets.model_inputs import InputFaults
from faultsim.targets.module_inputs import ModuleInputFaults
from faultsim.targets.operations import OperationFaults
from faultsim.targets.states import StateFaults
from faultsim.targets.transient import TransientFaults
from faultsim.targets.weights import hold

TRANSIENT: tuple[type[TransientFaults], ...] = (
    OperationFaults,  # first, so that it does not see what the others do around a pass
    ActivationFaults,
    StateFaults,
    InputFaults,
    ModuleInputFaults,
    CacheFaults,
)


class Armed:
    """The faults of one set on one model, from :meth:`strike` to :meth:`undo`.

    All that will be struck or hooked is held here before any of it is touched, and undoing again
    does nothing. So whatever interrupts the one or the other, undoing once more leaves the model as
    it was.

    Attributes:
        thread: The one that arms them.
        transient: Those that strike during a forward pass.
        released: Whether they are to be undone as soon as nothing is armed on top of them.
    """

    def __init__(self, model: nn.Module, faults: FaultSet, when: When = "after") -> None:
        """Looks up what the faults name; nothing is touched.

        Raises:
            FaultError: A tensor or module is missing, or a tensor has another dtype or shape.
            InjectionError: A tensor that cannot be struck in place, or a kind of site that nothing
                here strikes.
        """
        self.thread = get_ident()
        self.released = False
        weights = faults.of_kind("weights")
        self._holders = hold(model, weights.sites)
        self._patch = Patch([holder.tensor for holder in self._holders], weights.table)
        self.transient: list[TransientFaults] = []
        if len(weights) < len(faults):
            self.transient = _transient(model, faults, when)
        self._begun = False

    def strike(self) -> None:
        """Places the hooks and strikes the weights."""
        self._begun = True
        for faults in self.transient:
            faults.register()
        self._patch.strike()
        for holder in self._holders:
            holder.commit()

    def undo(self) -> None:
        """Removes the hooks and writes the words back that are still as they were struck."""
        if not self._begun:
            return
        for faults in self.transient:
            faults.remove()
        for holder in self._holders:
            holder.release()
        self._patch.restore()

    def check_undone(self) -> None:
        """Raises InjectionError if a word is not what it was, because somebody else wrote to it.

        A CUDA device is waited for only where a write is likely: where autograd saw one, or in
        train mode, in which BatchNorm writes unseen.
        """
        for holder in self._holders:
            if holder.moved():
                raise InjectionError(
                    f"{holder.site.name} got new storage while faults were armed (.half(), .to() "
                    "or an optimiser?): the faults may live on in the copy, so reload the weights"
                )
        changed = self._patch.changed(wait=any(holder.trains for holder in self._holders))
        if changed is not None:
            tensor, index = changed
            raise InjectionError(
                f"{self._holders[tensor].site.name}[{index}] was written while its fault was armed "
                "(an optimiser step, BatchNorm in train mode?) and keeps what it was given; "
                "disarm before the model is updated, or reload the weights"
            )


def _transient(model: nn.Module, faults: FaultSet, when: When) -> list[TransientFaults]:
    kinds = {faults.sites[number].kind for number in set(faults.site.tolist())} - {"weights"}
    unknown = kinds - {make.kind for make in TRANSIENT}
    if unknown:
        raise InjectionError(
            f"nothing strikes sites of kind {min(unknown)!r}: use "
            f"{' or '.join(['weights', *(make.kind for make in TRANSIENT)])}"
        )
    return [make(model, faults, when) for make in TRANSIENT if make.kind in kinds]
