"""Algorithm-based fault tolerance: a product has a checksum that costs one output more."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from faultsim.errors import ConfigError
from faultsim.protections.inside import is_weight
from faultsim.protections.layers import Around, innermost, layers_of, put_around
from faultsim.protections.protection import Rehearsal
from faultsim.protections.sums import ROUNDED, lost_in, roundings, width_of, without_autocast


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


SUSPECT = 0.25
"""Of what rounding may do at worst, the part beyond which quick sums are taken once more."""


class Checked(Around):
    """A product and its checksum.

    Sums are quick first, in the format that products are added up in. Only where these are apart by
    a part of what rounding may do are they taken in double precision, and judged: no alarm comes of
    the rounding of sums, and none is missed but for it. Quick sums of n terms and w outputs are off
    by (n + w) / 2 eps of the operands' magnitudes at worst, and in practice by their roots (N. J.
    Higham, T. Mary, SIAM J. Sci. Comput. 41, 2019, A2815-A2835).

    Attributes:
        total: The sum of the weights over all outputs (of a group), in double precision.
        quick: The same, for quick sums.
        absolute: The same of their magnitudes, which bounds what rounding can do.
    """

    total: torch.Tensor
    quick: torch.Tensor
    absolute: torch.Tensor
    _terms: int
    _width: int

    def __init__(self, inner: nn.Module, recompute: bool) -> None:
        super().__init__(inner)
        self._recompute = recompute
        weight: Any = inner.weight
        layer = innermost(inner)
        self._groups = layer.groups if isinstance(layer, (nn.Conv1d, nn.Conv2d)) else 1
        self._terms, self._width = weight[0].numel() + 1, len(weight) // self._groups
        self._put("", weight.detach().unflatten(0, (self._groups, -1)))
        bias = inner.bias if isinstance(inner.bias, torch.Tensor) else weight.new_zeros(len(weight))
        self._put("bias_", bias.detach().view(self._groups, -1))

    def _put(self, kind: str, grouped: torch.Tensor) -> None:
        short, exact = width_of(grouped), grouped.double()
        self.register_buffer(f"{kind}total", exact.sum(1))
        self.register_buffer(f"{kind}quick", exact.sum(1).to(short))
        self.register_buffer(f"{kind}absolute", exact.abs().sum(1).to(short))

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        output: torch.Tensor = self.inner(given)
        with without_autocast(output.device.type):
            if not self._suspicious(given, output):
                return output
            wrong = self._wrong(given, output)
        if self._recompute and bool(wrong.any()):
            output = self.inner(given)
            with without_autocast(output.device.type):
                wrong = self._wrong(given, output)
        self.alarm(wrong)
        return output

    def _suspicious(self, given: torch.Tensor, output: torch.Tensor) -> bool:
        """Whether quick sums are apart by more than a part of what rounding may do."""
        kind = self.quick.dtype
        expected = self._product(given.to(kind), self.quick, self.bias_quick)
        found = output.to(kind)
        gap = (self._summed(found) - expected).abs_()
        allowed = self._allowed(output)
        # what struck is among the outputs: of a change by c of the rest it is c / (1 + c) of all
        gap.sub_(self._summed(found.abs()), alpha=SUSPECT * allowed / (1 + allowed))
        return bool(gap.numel()) and not gap.amax().item() <= 0  # nor is it where that is NaN

    def _wrong(self, given: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        """(rows,) bool: the sums of which sample differ by more than rounding."""
        wide = given.double()
        expected = self._product(wide, self.total, self.bias_total)
        bound = self._product(wide.abs(), self.absolute.double(), self.bias_absolute.double())
        gap = (self._summed(output.double()) - expected).abs()
        own = (self._terms + self._width) * torch.finfo(torch.float64).eps
        lost = self._terms * self._width * lost_in(output.dtype)
        right = gap <= (self._allowed(output) + own) * bound + lost
        rows: torch.Tensor = right.reshape(len(right), -1).all(1)
        return ~rows

    def _allowed(self, output: torch.Tensor) -> float:
        """What rounding may do, as a share of the operands' magnitudes.

        Each output is off by terms * eps of them at most (N. J. Higham, 2002, 3.1), in the format
        that it was added up in, and by some roundings of operands and of itself to a coarser one.
        """
        convolved = not isinstance(innermost(self.inner), nn.Linear)
        eps, added = roundings(output, convolved=convolved)
        return self._terms * added + (ROUNDED * eps if eps > added else 0.0)

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
