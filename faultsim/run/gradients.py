"""Gradients of a task's loss, by which searches rank what faults might strike."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

from faultsim import trees
from faultsim.errors import ConfigError
from faultsim.faults import FaultSet
from faultsim.injector import Injector
from faultsim.targets.activations import OutputHooks
from faultsim.targets.passes import PassHooks
from faultsim.targets.steps import key_of
from faultsim.workload import Batch, Task, Workload
from faultsim.workload.failures import NOT_ITS_OWN, cause
from faultsim.workload.task import name_of

Watch = Callable[[nn.Module], PassHooks]
Visit = Callable[[str, torch.Tensor], torch.Tensor]
Seer = Callable[[nn.Module, Visit], PassHooks]


class Gradients:
    """Gradients on one batch. What is not finite in them becomes 0 or the largest finite number."""

    def __init__(self, workload: Workload, batch: Batch) -> None:
        """Remembers what to run.

        Args:
            workload: The model and its task.
            batch: On the model's device.

        Raises:
            ConfigError: The task has no loss.
        """
        if getattr(type(workload.task), "loss", None) is Task.loss:
            raise ConfigError(
                f"the task {name_of(workload.task)} has no loss, by whose gradient worst-case ranks"
            )
        self._workload, self._batch = workload, batch

    def of_weights(self, faults: FaultSet) -> dict[str, torch.Tensor]:
        """The gradient of every floating-point parameter that the loss depends on.

        Args:
            faults: Armed meanwhile.
        """
        leaves = _parameters(self._workload.model)
        with _differentiable(leaves), Injector(self._workload.model, faults):
            found = self._taken(self._loss(self._batch.inputs), leaves)
        return {name: grad.nan_to_num() for name, grad in found.items()}

    def of_outputs(
        self, faults: FaultSet, watch: Watch | None = None, seen_by: Seer = OutputHooks
    ) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        """Every module output that the loss depends on, by site, with its gradient.

        Those of a later pass of the same run have the names of
        :func:`faultsim.targets.steps.key_of`.

        Args:
            faults: Armed meanwhile.
            watch: Called once they are armed, to see what else modules are given; what it returns
                is removed at the end.
            seen_by: Hooks that show other tensors than outputs, such as those of a cache.
        """
        model, outputs = self._workload.model, dict[str, torch.Tensor]()
        edges: dict[str, GradientEdge] = {}
        inputs, leaves = self._with_gradient()

        def visit(name: str, tensor: torch.Tensor) -> torch.Tensor:
            if tensor.requires_grad:  # a module may change it in place later
                key = key_of(name, seen.step)
                outputs[key], edges[key] = tensor.detach().clone(), get_gradient_edge(tensor)
            return tensor

        with _differentiable(leaves), Injector(model, faults):
            seen = seen_by(model, visit)
            hooks: list[PassHooks] = [seen]
            hooks += [] if watch is None else [watch(model)]
            try:
                for hook in hooks:
                    hook.register()
                grads = self._taken(self._loss(inputs), edges)
            finally:
                for hook in hooks:
                    hook.remove()
        return {name: (outputs[name], grad.nan_to_num()) for name, grad in grads.items()}

    def _with_gradient(self) -> tuple[Any, dict[str, torch.Tensor]]:
        """The inputs to differentiate by; parameters where no input is a real number."""

        def leaf(_: str, tensor: torch.Tensor) -> torch.Tensor:
            return tensor.detach().requires_grad_() if tensor.is_floating_point() else tensor

        inputs = trees.map_tensors(self._batch.inputs, leaf)
        real = any(tensor.is_floating_point() for tensor in trees.tensors(inputs))
        return inputs, {} if real else _parameters(self._workload.model)

    def _loss(self, inputs: Any) -> torch.Tensor:
        with torch.enable_grad():
            loss = self._workload.task.loss(self._workload.run(inputs), self._batch)
        if not loss.requires_grad:
            raise ConfigError(
                f"the loss of {self._workload.name} has no gradient: worst-case needs a forward "
                "pass that records one"
            )
        return loss

    def _taken(
        self, loss: torch.Tensor, leaves: Mapping[str, torch.Tensor] | Mapping[str, GradientEdge]
    ) -> dict[str, torch.Tensor]:
        if not leaves:
            raise ConfigError(
                f"worst-case ranks by gradient, but {self._workload.name} has nothing of floating "
                "point to take one of"
            )
        try:
            grads = torch.autograd.grad(loss, list[Any](leaves.values()), allow_unused=True)
        except NOT_ITS_OWN:
            raise
        except Exception as error:  # of a user's model, whose gradient may never have been taken
            raise ConfigError(f"the model has no gradient: {cause(error)}") from error
        pairs = zip(leaves, grads, strict=True)
        return {name: grad for name, grad in pairs if grad is not None}


def _parameters(model: nn.Module) -> dict[str, torch.Tensor]:
    return {n: p for n, p in model.named_parameters() if p.is_floating_point()}


@contextmanager
def _differentiable(leaves: dict[str, torch.Tensor]) -> Iterator[None]:
    """Lets parameters require grad for a while."""
    before = {name: leaf.requires_grad for name, leaf in leaves.items()}
    try:
        for leaf in leaves.values():
            leaf.requires_grad_(True)
        yield
    finally:
        for name, leaf in leaves.items():
            leaf.requires_grad_(before[name])
