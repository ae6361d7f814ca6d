"""Algorithm-based fault tolerance: a product has a checksum that costs one output more."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from faultsim.errors import ConfigError
from faultsim.protections.inside import is_weight
from faultsim.protections.layers import Around, innermost, layers_of, put_around
from faultsim.protections.protection import Rehearsal


class Abft:
    """The outputs of a linear layer or a convolution must sum up to what a checksum says.

    The sum over all outputs of a product with W is the product with the sum of W's rows (K.-H.
    Huang, J. A. Abraham, IEEE Trans. Comput. C-33, 1984, 518-528), for all samples and places. Sums
    are compared up to the rounding that a product in this precision may have, so that nothing is
    detected without a fault; what a fault changes by less goes undetected.
    """

    def __init__(self, name: str, pattern: str | None = None, *, recompute: bool = False) -> None:
        """Nothing is summed yet.

        Args:
            name: As the command line knows it.
            pattern: Of names of layers; None for all linear layers and convolutions.
            recompute: Whether a layer whose sums differ runs once more before an alarm is raised:
                what struck in passing is gone then.
        """
        self.name, self._pattern, self._recompute = name, pattern, recompute

    def apply(self, model: nn.Module, rehearse: Rehearsal) -> None:
        """See :class:`~faultsim.protections.Protection`."""
        layers = layers_of(model, self._pattern, is_product, self.name)
        products = [layer for layer in layers.values() if is_product(innermost(layer))]
        if not products:
            raise ConfigError(
                f"{self.name} knows no checksum of {self._pattern}: only of nn.Linear, nn.Conv1d "
                "and nn.Conv2d of plain weights"
            )
        put_around(model, {id(layer): Checked(layer, self._recompute) for layer in products})


def is_product(module: nn.Module) -> bool:
    """Whether it is a layer that a checksum is known of."""
    if not isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Linear)) or not is_weight(module.weight):
        return False
    return isinstance(module, nn.Linear) or module.padding_mode == "zeros"


class Checked(Around):
    """A product and its checksum.

    Attributes:
        total: The sum of the weights over all outputs (of a group), in double precision.
        absolute: The same of their magnitudes, which bounds what rounding can do.
    """

    total: torch.Tensor
    absolute: torch.Tensor

    def __init__(self, inner: nn.Module, recompute: bool) -> None:
        super().__init__(inner)
        self._recompute = recompute
        weight: Any = inner.weight
        layer = innermost(inner)
        self._groups = layer.groups if isinstance(layer, (nn.Conv1d, nn.Conv2d)) else 1
        grouped = weight.detach().double().unflatten(0, (self._groups, -1))
        self._eps = torch.finfo(weight.dtype).eps
        self._terms = weight[0].numel() + 1
        self.register_buffer("total", grouped.sum(1))
        self.register_buffer("absolute", grouped.abs().sum(1))
        bias = inner.bias if isinstance(inner.bias, torch.Tensor) else weight.new_zeros(len(weight))
        biases = bias.detach().double().view(self._groups, -1)
        self.register_buffer("bias_total", biases.sum(1))
        self.register_buffer("bias_absolute", biases.abs().sum(1))

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        output: torch.Tensor = self.inner(given)
        wrong = self._wrong(given, output)
        if self._recompute and bool(wrong.any()):
            output = self.inner(given)
            wrong = self._wrong(given, output)
        self.alarm(wrong)
        return output

    def _wrong(self, given: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        """(rows,) bool: the sums of which sample differ by more than rounding."""
        wide = given.double()
        expected = self._product(wide, self.total, self.bias_total)
        bound = self._product(wide.abs(), self.absolute, self.bias_absolute)
        gap = (self._summed(output.double()) - expected).abs()
        # each output is off by terms * eps * its magnitude at most (N. J. Higham, 2002, 3.1)
        right = gap <= self._terms * self._eps * bound
        rows: torch.Tensor = right.reshape(len(right), -1).all(1)
        return ~rows

    def _product(
        self, given: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | nn.Module
    ) -> torch.Tensor:
        inner: Any = innermost(self.inner)
        if isinstance(inner, nn.Linear):
            return nn.functional.linear(given, weight, bias)  # type: ignore[arg-type]
        convolve: Any = nn.functional.conv1d if weight.ndim == 3 else nn.functional.conv2d
        place = (inner.stride, inner.padding, inner.dilation, self._groups)
        found: torch.Tensor = convolve(given, weight, bias, *place)
        return found

    def _summed(self, output: torch.Tensor) -> torch.Tensor:
        if isinstance(innermost(self.inner), nn.Linear):
            return output.sum(-1, keepdim=True)
        axis = 1 if output.ndim == self.total.ndim else 0
        sizes = (*output.shape[:axis], self._groups, -1, *output.shape[axis + 1 :])
        return output.reshape(sizes).sum(axis + 1)
