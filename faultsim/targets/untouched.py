"""A golden pass that leaves the model, its inputs and the random numbers as they were."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from faultsim import trees


@contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Undoes meanwhile what forward passes leave behind in a model, without gradients.

    Buffers (BatchNorm's statistics, a cache), attributes, lists and dictionaries of every module,
    and torch's random numbers on the CPU and on the model's devices. Parameters are not copied.

    Args:
        model: Any module.
    """
    devices = sorted({t.device.index or 0 for t in _tensors(model) if t.device.type == "cuda"})
    states = [_State(module) for module in model.modules()]
    # Inference mode hides what is changed in place.
    with torch.random.fork_rng(devices), torch.inference_mode(False), torch.no_grad():
        try:
            try:
                yield
            finally:
                _restore(states)
        except BaseException:
            _restore(states)  # once more: an interrupt may have come between
            raise


def _restore(states: list[_State]) -> None:
    for state in states:
        state.restore()


def _tensors(model: nn.Module) -> Iterator[torch.Tensor]:
    yield from model.parameters()
    yield from model.buffers()


class _State:
    """What a module holds beside its children: attributes, what containers hold, tensors."""

    def __init__(self, module: nn.Module) -> None:
        self._own = vars(module)
        self._before = dict(self._own)
        containers = (value for value in self._own.values() if isinstance(value, (dict, list, set)))
        self._containers = [(value, value.copy()) for value in containers]
        held = {id(t): t for t in trees.tensors(self._before) if _can_change(t)}
        self._tensors = [(tensor, tensor.detach().clone()) for tensor in held.values()]

    def restore(self) -> None:
        for container, before in self._containers:
            _refill(container, before)
        _refill(self._own, self._before)
        for tensor, words in self._tensors:
            if tensor.shape != words.shape:  # an observer's, which had none before the first pass
                tensor.data = words.clone()
            elif not torch.equal(tensor, words):
                with torch.inference_mode(tensor.is_inference()):
                    tensor.data.copy_(words)


def _can_change(tensor: torch.Tensor) -> bool:
    plain = tensor.layout == torch.strided and not tensor.is_meta and not tensor.is_quantized
    return plain and not isinstance(tensor, nn.Parameter) and type(tensor) is torch.Tensor


def _refill(container: Any, before: Any) -> None:
    """Makes a container hold what it held, if it does not."""
    if _same(container, before):
        return
    container.clear()
    container.extend(before) if isinstance(container, list) else container.update(before)


def _same(one: Any, other: Any) -> bool:
    if len(one) != len(other):
        return False
    if isinstance(one, set):
        return bool(one == other)
    if isinstance(one, dict):
        pairs = zip(one.items(), other.items(), strict=True)
        return all(a == b and x is y for (a, x), (b, y) in pairs)
    return all(x is y for x, y in zip(one, other, strict=True))
