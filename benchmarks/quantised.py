"""Linear layers whose weights are words of eight bits, or of four, two in a byte.

Symmetric, with one scale a layer (Krishnamoorthi, arXiv 1806.08342); words are two's complement.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import nn
from torch.nn.functional import linear
from torch.utils._pytree import tree_map


class Words(nn.Module):
    """A linear layer of quantised weights."""

    bits: ClassVar[int]
    words: ClassVar[str] = "weight"
    """The name of what faults strike, within the layer."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        most = (1 << self.bits - 1) - 1
        real = layer.weight.detach()
        scale = real.abs().max() / most
        self.hold((real / scale).round().to(torch.int8), scale)
        self.bias = nn.Parameter(layer.bias.detach().clone(), requires_grad=False)

    def hold(self, values: torch.Tensor, scale: torch.Tensor) -> None:
        """Stores (out, in) int8 values."""
        raise NotImplementedError

    def values(self) -> torch.Tensor:
        """(out, in) int8, what the words stand for but for the scale."""
        raise NotImplementedError

    def flip(self, index: int, mask: int) -> None:
        """Flips bits of one word, in place."""
        raise NotImplementedError

    def real(self) -> torch.Tensor:
        """(out, in) float32, the weights."""
        return self.values().float() * self.scale


class Int8Linear(Words):
    """A word a byte."""

    bits = 8
    struck_integers = ("weight",)

    def hold(self, values: torch.Tensor, scale: torch.Tensor) -> None:
        self.register_buffer("weight", values)
        self.register_buffer("scale", scale)

    def values(self) -> torch.Tensor:
        return self.weight

    def flip(self, index: int, mask: int) -> None:
        self.weight.view(torch.uint8).view(-1)[index] ^= mask

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return linear(x, self.real(), self.bias)


class Int4(torch.Tensor):
    """Two words a byte, the first of a pair in the high bits."""

    @staticmethod
    def __new__(cls, packed: torch.Tensor, scale: torch.Tensor) -> Int4:
        rows, columns = packed.shape
        return torch.Tensor._make_wrapper_subclass(cls, (rows, 2 * columns), dtype=scale.dtype)

    def __init__(self, packed: torch.Tensor, scale: torch.Tensor) -> None:
        self.packed, self.scale = packed, scale

    def __tensor_flatten__(self) -> tuple[list[str], None]:
        return ["packed", "scale"], None

    @classmethod
    def __tensor_unflatten__(cls, inner: Any, context: Any, size: Any, stride: Any) -> Int4:
        return cls(inner["packed"], inner["scale"])

    def values(self) -> torch.Tensor:
        pairs = torch.stack([self.packed >> 4, self.packed & 15], -1).flatten(1)
        return (pairs ^ 8).to(torch.int8) - 8

    def dequantize(self) -> torch.Tensor:
        return self.values().float() * self.scale

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.detach.default:
            return cls(args[0].packed, args[0].scale)
        opened = tree_map(
            lambda t: t.dequantize() if isinstance(t, Int4) else t, (args, kwargs or {})
        )
        return func(*opened[0], **opened[1])


class Int4Linear(Words):
    """Two words a byte."""

    bits = 4
    words = "weight:packed"

    def hold(self, values: torch.Tensor, scale: torch.Tensor) -> None:
        nibbles = (values & 15).to(torch.uint8)
        packed = nibbles[:, ::2] << 4 | nibbles[:, 1::2]
        self.weight = nn.Parameter(Int4(packed, scale), requires_grad=False)

    @property
    def scale(self) -> torch.Tensor:
        return self.weight.scale

    def values(self) -> torch.Tensor:
        return self.weight.values()

    def flip(self, index: int, mask: int) -> None:
        self.weight.packed.view(-1)[index // 2] ^= mask << (0 if index % 2 else 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return linear(x, self.weight, self.bias)
