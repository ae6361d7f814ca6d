"""Real numbers beside the words of a model that autograd does not know, to take gradients by."""

from __future__ import annotations

import torch
from torch import nn

from faultsim.ops.rank_bytes import BYTES
from faultsim.run.quantised import Opened
from faultsim.run.reals import Reals
from faultsim.targets.packed import Packed
from faultsim.targets.tensors import packed_weights

Leaves = dict[str, torch.Tensor]


def bytes_of(model: nn.Module) -> Leaves:
    """Tensors of one byte a word, by name."""
    named = (*model.named_parameters(), *model.named_buffers())
    return {n: t for n, t in named if t.dtype in BYTES and type(t) in (torch.Tensor, nn.Parameter)}


def shadow(model: nn.Module, reals: Reals) -> Leaves:
    """Real numbers for every such word, which require grad, by the name of its site."""
    leaves: Leaves = {}
    for name, tensor in bytes_of(model).items():
        leaves[name] = _leaf(tensor)
        reals.follow(tensor, leaves[name])
    for path, packed in packed_weights(model):
        names = packed.weights()
        if names and all(isinstance(packed.parts.get(name), torch.Tensor) for name in names):
            leaves |= _open(path, packed, reals)
    return leaves


def _leaf(words: torch.Tensor) -> torch.Tensor:
    return words.detach().float().requires_grad_()


def _open(path: str, packed: Packed, reals: Reals) -> Leaves:
    """The words, scales, zero points and biases of a packed object of torch."""
    parts = {name: _leaf(part) for name, part in packed.parts.items() if not isinstance(part, str)}
    opened = Opened(packed.object, [], [])
    for name, weight in packed.weights().items():
        words, scale = parts[name], parts[f"{name}:scale"]
        zero_point = parts.get(f"{name}:zero_point", torch.zeros(()))
        opened.weights.append(_real(weight, words, scale, zero_point))
        opened.biases.append(parts.get(name.replace("weight", "bias")))
    reals.open(opened)
    return {f"{path}.{name}" if path else name: leaf for name, leaf in parts.items()}


def _real(
    weight: torch.Tensor, words: torch.Tensor, scale: torch.Tensor, zero_point: torch.Tensor
) -> torch.Tensor:
    """What a quantised weight stands for, from its parts."""
    if scale.ndim == 0:
        return (words - zero_point) * scale
    size = [-1 if axis == weight.q_per_channel_axis() else 1 for axis in range(weight.ndim)]
    return (words - zero_point.expand(len(scale)).view(size)) * scale.view(size)
