"""Gradients of a task's loss, by which searches rank what faults might strike."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

import torch
from torch import nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

from faultsim import trees
from faultsim.errors import ConfigError
from faultsim.faults import FaultSet
from faultsim.injector import Injector
from faultsim.kinds import When
from faultsim.ops.rank_bytes import BYTES
from faultsim.run.reals import Reals
from faultsim.run.shadows import gains, shadow
from faultsim.run.subclasses import dequantised
from faultsim.targets.cache_hooks import CacheHooks
from faultsim.targets.model_inputs import map_inputs, of_samples
from faultsim.targets.module_inputs import GivenHooks
from faultsim.targets.operation_hooks import OperationHooks
from faultsim.targets.output_hooks import OutputHooks
from faultsim.targets.passes import PassHooks
from faultsim.targets.steps import key_of
from faultsim.workload import Batch, Task, Workload
from faultsim.workload.failures import NOT_ITS_OWN, cause
from faultsim.workload.task import name_of

Watch = Callable[[nn.Module], PassHooks]
Value = tuple[torch.Tensor, torch.Tensor]
"""A tensor, and the gradient of the loss."""

Values = dict[str, Value]
"""By site."""

Key = TypeVar("Key")

UNCACHED = (
    "worst-case cannot rank a kv-cache here: generate records no gradient, and a teacher's one "
    "pass is given no cache; let the forward go on step by step with gradients, or choose another "
    "mode"
)


class Gradients:
    """Gradients on one batch. What is not finite in them becomes 0 or the largest finite number."""

    def __init__(self, workload: Workload, batch: Batch, when: When = "after") -> None:
        """Remembers what to run.

        Args:
            workload: The model and its task.
            batch: On the model's device.
            when: Whether faults strike after the user's own hooks of a module, or before.

        Raises:
            ConfigError: The task has no loss.
        """
        if getattr(type(workload.task), "loss", None) is Task.loss:
            raise ConfigError(
                f"the task {name_of(workload.task)} has no loss, by whose gradient worst-case ranks"
            )
        self._workload, self._batch, self._when = workload, batch, when

    def of_weights(self, faults: FaultSet) -> dict[str, torch.Tensor]:
        """The gradient of every floating-point parameter that the loss depends on.

        That of words of one byte is by their values, float32, straight through what the model does
        with them in integers; that of words inside a quantised subclass is of each bit,
        (\\*shape, 8), by how much its flip raises the loss.

        Args:
            faults: Armed meanwhile.
        """
        model = self._workload.model
        leaves, reals = _parameters(model), Reals()
        with _differentiable(leaves), self._armed(faults) as injector, ExitStack() as stack:
            shadows = shadow(model, reals)
            if shadows:
                stack.enter_context(reals)
                leaves = {**leaves, **shadows}
            found = self._taken(self._loss(injector.feed(self._batch.inputs)), leaves)
            found = {name: grad.nan_to_num() for name, grad in found.items()}
            return {**found, **gains(model, found)}

    def of_inputs(self, faults: FaultSet, names: Collection[str]) -> Values:
        """Every input that the loss depends on, by site, with its gradient.

        Args:
            faults: Armed meanwhile.
            names: Of the sites. Of a list of samples, what all of them have is stacked.
        """
        leaves: dict[tuple[str, int], torch.Tensor] = {}

        def leaf(name: str, tensor: torch.Tensor, sample: int | None) -> torch.Tensor:
            if name not in names or not tensor.is_floating_point():
                return tensor
            leaves[name, sample or 0] = own = tensor.detach().requires_grad_()
            return own

        with self._armed(faults) as injector:
            inputs = map_inputs(injector.feed(self._batch.inputs), leaf, names)
            grads = self._taken(self._loss(inputs), leaves)
        found: defaultdict[str, list[Value]] = defaultdict(list)
        for key, grad in grads.items():
            found[key[0]].append((leaves[key].detach(), grad.nan_to_num()))
        return {n: _stacked(rows) if of_samples(n) else rows[0] for n, rows in found.items()}

    def of_module_inputs(self, faults: FaultSet) -> Values:
        """Everything that modules are given and the loss depends on, by site, with its gradient.

        That of a value that several modules are given is the share of each.

        Args:
            faults: Armed meanwhile.
        """
        seen = _Seen()

        def own(name: str, tensor: torch.Tensor) -> torch.Tensor:
            return seen(name, tensor.clone()) if tensor.requires_grad else tensor

        return self._watched(faults, seen, [lambda m: GivenHooks(m, own, when=self._when)])

    def of_caches(self, faults: FaultSet) -> Values:
        """Everything in caches that the loss depends on, by site, with its gradient.

        Args:
            faults: Armed meanwhile.

        Raises:
            ConfigError: No pass is given a cache and records a gradient.
        """
        seen = _Seen()

        def own(name: str, tensor: torch.Tensor) -> torch.Tensor:
            if torch.is_grad_enabled() and tensor.is_floating_point() and not tensor.requires_grad:
                tensor = tensor.detach().requires_grad_().clone()  # which may be written to
            return seen(name, tensor)

        try:
            return self._watched(faults, seen, [lambda model: CacheHooks(model, own)])
        except ConfigError as error:
            raise error if seen.edges else ConfigError(UNCACHED) from None

    def of_operations(self, faults: FaultSet) -> Values:
        """Every result of a function that the loss depends on, by site, with its gradient.

        Args:
            faults: Armed meanwhile.
        """
        seen = _Seen()
        return self._watched(faults, seen, [lambda model: OperationHooks(model, seen)])

    def of_outputs(self, faults: FaultSet, watch: Watch | None = None) -> Values:
        """Every module output that the loss depends on, by site, with its gradient.

        Those of a later pass of the same run have the names of
        :func:`faultsim.targets.steps.key_of`.

        Args:
            faults: Armed meanwhile.
            watch: Called once they are armed, to see what else modules are given; what it returns
                is removed at the end.
        """
        seen = _Seen()
        outputs = [lambda model: OutputHooks(model, seen, when=self._when)]
        return self._watched(faults, seen, [*outputs, *([watch] if watch else [])])

    def _watched(self, faults: FaultSet, seen: _Seen, watches: Iterable[Watch]) -> Values:
        """What was seen in a pass under faults, with the gradients.

        Those of words of one byte are by their values, straight through what is done with integers.
        """
        model = self._workload.model
        inputs, leaves = self._with_gradient()
        with _differentiable(leaves), self._armed(faults) as injector, ExitStack() as stack:
            if shadow(model, seen.reals):
                stack.enter_context(seen.reals)
            hooks = [watch(model) for watch in watches]
            seen.passes = hooks[0]
            try:
                for hook in hooks:
                    hook.register()
                grads = self._taken(self._loss(injector.feed(inputs)), seen.edges)
            finally:
                for hook in hooks:
                    hook.remove()
        return {name: seen.value(name, grad.nan_to_num()) for name, grad in grads.items()}

    def _armed(self, faults: FaultSet) -> Injector:
        return Injector(self._workload.model, faults, when=self._when)

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
                "the loss of the task has no gradient: worst-case needs a forward "
                "pass that records one"
            )
        return loss

    def _taken(
        self, loss: torch.Tensor, leaves: Mapping[Key, torch.Tensor] | Mapping[Key, GradientEdge]
    ) -> dict[Key, torch.Tensor]:
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


class _Seen:
    """What a pass computes, and the edges by which its gradients are taken.

    Attributes:
        passes: Tells which pass of the run it is.
        reals: What stands for tensors that autograd does not know.
    """

    passes: PassHooks

    def __init__(self) -> None:
        self.reals = Reals()
        self.edges: dict[str, GradientEdge] = {}
        self._values: dict[str, torch.Tensor] = {}

    def __call__(self, name: str, tensor: torch.Tensor) -> torch.Tensor:
        real: torch.Tensor | None = tensor
        if tensor.is_quantized or tensor.dtype in BYTES:
            real = self.reals.standing_for(tensor)
        if real is not None and real.requires_grad:
            # a copy, for a module may change it in place later
            key = key_of(name, self.passes.step)
            self._values[key], self.edges[key] = tensor.detach().clone(), get_gradient_edge(real)
        return tensor

    def value(self, name: str, slope: torch.Tensor) -> Value:
        """The words of what was seen, and the gradient of the loss by what these stand for."""
        tensor = self._values[name]
        if not tensor.is_quantized:
            return tensor, slope
        return tensor.int_repr(), slope * tensor.q_scale()


def _stacked(rows: list[Value]) -> Value:
    """Those of several samples in one: what all of them have."""
    sizes = zip(*(value.shape for value, _ in rows), strict=True)
    least = tuple(slice(min(each)) for each in sizes)
    values, slopes = zip(*rows, strict=True)
    return torch.stack([v[least] for v in values]), torch.stack([s[least] for s in slopes])


def _parameters(model: nn.Module) -> dict[str, torch.Tensor]:
    named = model.named_parameters()
    return {
        name: parameter
        for name, parameter in named
        if parameter.is_floating_point()
        and parameter.dtype not in BYTES
        and dequantised(parameter) is None
    }


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
