"""Strikes weights, gradients and optimiser states at given steps of the user's own loop."""

from __future__ import annotations

from collections.abc import Container
from itertools import chain
from types import TracebackType
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from faultsim.errors import FaultError, InjectionError, did_you_mean, shown
from faultsim.faults import FaultSet
from faultsim.formats import BitSpec
from faultsim.injector import Injector
from faultsim.space import FaultSpace
from faultsim.targets.armed import Armed
from faultsim.targets.patterns import Patterns
from faultsim.training_faults.draws import Chosen, Drawn, Given, Source
from faultsim.training_faults.memory import MEMORIES, Memory, expected, held


def while_training(
    model: nn.Module,
    optimizer: Optimizer,
    faults: Given | None = None,
    *,
    target: Memory = "weights",
    flips: int | None = None,
    ber: float | None = None,
    steps: Container[int] | None = None,
    bits: BitSpec = "all",
    include: Patterns = None,
    exclude: Patterns = None,
    op: str = "flip",
    seed: int = 0,
    lasting: bool = True,
) -> TrainingFaults:
    """A context in which a training loop runs under faults.

    A step is one call of ``optimizer.step``, counted from 0 on entry, or of
    :meth:`TrainingFaults.skip`, where the loop leaves the update out. Weights are struck before the
    first forward pass of a step that records gradients; gradients and optimiser states right before
    the optimiser reads them. What was struck in memory stays so, until the training itself writes
    it anew. With ``lasting=False`` the struck weights get their words back before the update, so
    that gradients are computed under faults and given to sound weights, as in training for
    robustness to random bit errors (Stutz et al., "Bit Error Robustness for Energy-Efficient DNN
    Accelerators", MLSys 2021).

    Example:
        >>> with faultsim.while_training(model, optimizer, ber=1e-6, seed=1) as faults:
        ...     for images, labels in loader:
        ...         optimizer.zero_grad()
        ...         loss_of(model(images), labels).backward()
        ...         optimizer.step()
        >>> faults.struck[0]  # (step, FaultSet)

    Args:
        model: What is trained.
        optimizer: Of torch; its ``step`` is called without a closure.
        faults: By step, or a function of the step that returns faults or None. Instead, faults are
            drawn at each step with ``flips`` or ``ber``.
        target: ``"weights"`` (floating buffers included, unless they are to be given back),
            ``"gradients"`` (``fc.weight.grad``) or ``"optimizer"``, its states
            (``fc.weight.exp_avg``), which there are from the second step on.
        flips: How many distinct bits are drawn at a step, uniformly.
        ber: With which probability each bit is struck at a step.
        steps: The steps at which faults are drawn (``range(100, 200)``, ``{7}``); None for all.
        bits: Bits to strike, as for :class:`~faultsim.FaultSpace`.
        include: Name patterns to keep.
        exclude: Name patterns to leave out.
        op: ``flip``, ``stuck-at-0`` or ``stuck-at-1``.
        seed: Fixes the faults of every step.
        lasting: Whether weights stay struck.

    Returns:
        A context.

    Raises:
        FaultError: The arguments do not fit each other, or name what is not there.
    """
    if target not in MEMORIES:
        known = f"{', '.join(MEMORIES)}{did_you_mean(str(target), MEMORIES)}"
        raise FaultError(f"unknown target {shown(target)}: use one of {known}")
    if not lasting and target != "weights":
        raise FaultError(f"{target} are read once and not given back: leave lasting out")
    if faults is not None:
        if not (flips is None and ber is None and steps is None):
            raise FaultError("given faults have steps of their own: leave flips, ber and steps out")
        return TrainingFaults(model, optimizer, target, Chosen(faults), lasting)

    def space_of(memory: nn.Module) -> FaultSpace:
        space = FaultSpace(memory, bits=bits, include=include, exclude=exclude)
        return space if lasting else _learnt(space, model)

    drawn = Drawn(space_of, steps, flips, ber, op, seed)
    return TrainingFaults(model, optimizer, target, drawn, lasting)


def _learnt(space: FaultSpace, model: nn.Module) -> FaultSpace:
    """The part in parameters: a pass writes buffers, which then cannot be given back."""
    names = {name for name, _ in model.named_parameters()}
    return space.filter(lambda site, bit: site.name.partition(":")[0] in names)


class TrainingFaults:
    """Faults on a training, inside ``with``; made by :func:`while_training`.

    Attributes:
        struck: What has been struck so far: steps with their faults.
    """

    def __init__(
        self, model: nn.Module, optimizer: Optimizer, target: Memory, source: Source, lasting: bool
    ) -> None:
        self.struck: list[tuple[int, FaultSet]] = []
        self._model, self._optimizer, self._target = model, optimizer, target
        self._source, self._lasting = source, lasting
        self._step, self._due = 0, True
        self._armed: Injector | None = None
        self._hooks: list[RemovableHandle] = []

    def __enter__(self) -> TrainingFaults:
        if self._hooks:
            raise InjectionError("these faults strike a training already: make others for this one")
        self._source.begin(expected(self._model, self._optimizer, self._target))
        self._step, self._due = 0, True
        self._hooks = [
            self._optimizer.register_step_pre_hook(self._before_update),
            self._optimizer.register_step_post_hook(self._after_update),
            self._model.register_forward_pre_hook(self._before_pass),
        ]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks = []
        if self._armed is not None:
            self._armed.__exit__(kind, error, trace)  # which lets the first error pass on

    def skip(self) -> None:
        """Ends a step whose update the loop leaves out, as for gradients that are not finite.

        Of ``torch.amp.GradScaler``, which leaves it out by itself, that is where
        ``scaler.update()`` has lowered its scale.
        """
        self._give_back()
        self._step += 1
        self._due = True

    def _before_pass(self, module: nn.Module, args: Any) -> None:
        if self._target == "weights" and self._due and torch.is_grad_enabled():
            self._strike(self._model)
            self._due = False

    def _before_update(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        if len(args) > 1 or kwargs.get("closure") is not None:  # the first is the optimiser
            raise InjectionError(
                "no faults with a closure: the optimiser runs passes of its own within a step"
            )
        if self._target != "weights":
            self._strike(held(self._model, self._optimizer, self._target))
            return
        if self._due and self._source.at(self._step, self._model) is not None:
            raise InjectionError(
                f"step {self._step}: faults were due, but the model was not called with gradients "
                "before the update"
            )
        self._give_back()

    def _after_update(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        self.skip()

    def _give_back(self) -> None:
        armed, self._armed = self._armed, None
        if armed is not None:
            armed.__exit__(None, None, None)  # says which faults did not fire

    def _strike(self, memory: nn.Module) -> None:
        faults = self._source.at(self._step, memory)
        if faults is None:
            return
        if not self._lasting:
            self._armed = Injector(memory, faults)
            self._armed.arm()
        else:
            self._check(faults, memory)
            Armed(memory, faults).strike()
        self.struck.append((self._step, faults))

    def _check(self, faults: FaultSet, memory: nn.Module) -> None:
        passing = [site for site in faults.sites if site.kind != "weights"]
        if passing:
            raise FaultError(f"{passing[0].kind} do not last: give lasting=False")
        there = {name for name, _ in chain(memory.named_parameters(), memory.named_buffers())}
        missing = [site.name for site in faults.sites if site.name not in there]
        if missing and self._target != "weights":
            raise InjectionError(
                f"step {self._step}: there is no {missing[0]} to be struck: it has no gradient"
            )
