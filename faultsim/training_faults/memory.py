"""What a training holds in memory besides the model, in the form of one, so that it can be struck.

A gradient is called ``fc.weight.grad``, a state of an optimiser ``fc.weight.exp_avg``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, get_args

import torch
from torch import nn
from torch.optim import Optimizer

Memory = Literal["weights", "gradients", "optimizer"]
"""Parameters; their gradients as the optimiser is about to read them; what it keeps of each."""

MEMORIES: tuple[str, ...] = get_args(Memory)


def held(model: nn.Module, optimizer: Optimizer, target: Memory) -> nn.Module:
    """The tensors of a target as they are now, as the buffers of modules."""
    if target == "weights":
        return model
    found = _gradients(model) if target == "gradients" else _states(model, optimizer)
    return _as_module(found)


def expected(model: nn.Module, optimizer: Optimizer, target: Memory) -> nn.Module:
    """The same before a backward pass: a gradient has the shape and dtype of its parameter."""
    if target != "gradients":
        return held(model, optimizer, target)
    return _as_module((f"{name}.grad", p.detach()) for name, p in _trained(model))


def _trained(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    return ((name, p) for name, p in model.named_parameters() if p.requires_grad)


def _gradients(model: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    return ((f"{name}.grad", p.grad) for name, p in _trained(model) if p.grad is not None)


def _states(model: nn.Module, optimizer: Optimizer) -> Iterator[tuple[str, torch.Tensor]]:
    for name, parameter in _trained(model):
        for key, value in optimizer.state.get(parameter, {}).items():
            if isinstance(value, torch.Tensor):
                yield f"{name}.{key}", value


def _as_module(tensors: Iterable[tuple[str, torch.Tensor]]) -> nn.Module:
    root = nn.Module()
    for name, tensor in tensors:
        *path, leaf = name.split(".")
        owner = root
        for part in path:
            if part not in owner._modules:
                owner.add_module(part, nn.Module())
            owner = owner.get_submodule(part)
        owner.register_buffer(leaf, tensor)
    return root
