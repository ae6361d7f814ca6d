"""Range restriction of activations: what no golden run has shown is not handed on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from faultsim import trees
from faultsim.errors import ConfigError
from faultsim.files import read_json
from faultsim.protections.golden import Extremes, golden_extremes
from faultsim.protections.layers import Around, innermost, is_leaf, layers_of, put_around
from faultsim.protections.protection import Rehearsal

Action = Literal["clip", "zero", "alarm"]
"""What becomes of a number out of bounds: the bound, 0, or the sample has no answer (a DUE)."""

Bounds = Mapping[str, tuple[float, float]]

NOT_BOUNDED = (nn.Softmax, nn.LogSoftmax, nn.Softmax2d, nn.MultiheadAttention)


class RangeRestriction:
    """Bounds on the outputs of layers: by default of those that are activation functions.

    ``clip`` is that of Ranger (Z. Chen et al., arXiv 2003.13874), ``zero`` that of FT-ClipAct
    (L.-H. Hoang et al., arXiv 1912.00941). NaN is no number out of bounds to ``clip``, as in the
    paper; to the others it is. With bounds of a golden run on the same batches, outputs without a
    fault are bit-identical; that flatters, as a deployed protection has never seen its inputs:
    give bounds of other data to see by how much.
    """

    def __init__(
        self,
        name: str,
        action: Action,
        pattern: str | None = None,
        bounds: Bounds | str | Path | None = None,
    ) -> None:
        """Nothing is run yet.

        Args:
            name: As the command line knows it.
            action: What becomes of a number out of bounds.
            pattern: Of names of layers; None for the activation functions of torch, or else, in a
                model without such modules, for all layers that hold no other.
            bounds: By name of a layer, its least and greatest number; or a JSON file of that; None
                for those of a golden run.
        """
        self.name, self._action, self._pattern, self._bounds = name, action, pattern, bounds

    @property
    def rehearses(self) -> bool:
        """Whether its bounds are those of a golden run on what it is then judged by."""
        return self._bounds is None

    def apply(self, model: nn.Module, rehearse: Rehearsal) -> None:
        """See :class:`~faultsim.protections.Protection`."""
        found = self._extremes(model, rehearse)
        layers = dict(model.named_modules())
        made = {id(layers[n]): Bounded(layers[n], *found[n], self._action) for n in found}
        put_around(model, dict(made))

    def _extremes(self, model: nn.Module, rehearse: Rehearsal) -> Extremes:
        if self._bounds is not None:
            return self._given(model)
        return extremes_of(model, rehearse, self._pattern, self.name)

    def _given(self, model: nn.Module) -> Extremes:
        bounds: Any = self._bounds
        if isinstance(bounds, (str, Path)):
            bounds = read_json(Path(bounds), dict[str, tuple[float, float]], ConfigError)
        layers = dict(model.named_modules())
        for name in bounds:
            if not name or name not in layers:
                raise ConfigError(f"{self.name} has bounds of {name!r}, which is no layer")
        made = {n: [torch.tensor(b) for b in pair] for n, pair in bounds.items()}
        return {name: (low, high) for name, (low, high) in made.items()}


def extremes_of(
    model: nn.Module, rehearse: Rehearsal, pattern: str | None = None, name: str = "ranger"
) -> Extremes:
    """The least and greatest outputs in a golden run, of the layers that would be bounded.

    Args:
        model: Whose.
        rehearse: Runs the batches.
        pattern: Of names of layers; None as for :class:`RangeRestriction`.
        name: Of the protection, for messages.

    Raises:
        ConfigError: There is no such layer, or none that returns floating numbers.
    """
    activations = any(is_activation(innermost(module)) for module in model.modules())
    usual = is_activation if activations else is_leaf
    found = golden_extremes(rehearse, layers_of(model, pattern, usual, name))
    if not found:
        raise ConfigError(f"{name} finds no layer that returns floating numbers")
    return found


def is_activation(module: nn.Module) -> bool:
    """Whether it is one of torch's activation functions."""
    return type(module).__module__ == "torch.nn.modules.activation" and not isinstance(
        module, NOT_BOUNDED
    )


class Bounded(Around):
    """A layer whose outputs stay within bounds.

    Attributes:
        low: The least number that is handed on.
        high: The greatest.
    """

    low: torch.Tensor
    high: torch.Tensor

    def __init__(
        self, inner: nn.Module, low: torch.Tensor, high: torch.Tensor, action: Action
    ) -> None:
        super().__init__(inner)
        self.register_buffer("low", low.clone())
        self.register_buffer("high", high.clone())
        self._action = action

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return trees.map_tensors(self.inner(*args, **kwargs), self._restricted)

    def _restricted(self, _: str, values: torch.Tensor) -> torch.Tensor:
        if not values.is_floating_point():
            return values
        low, high = self.low.to(values.dtype), self.high.to(values.dtype)
        if self._action == "clip":  # clamp would turn -0 into 0
            return torch.where(values > high, high, torch.where(values < low, low, values))
        inside = (values >= low) & (values <= high)
        if self._action == "zero":
            return torch.where(inside, values, 0)
        self.alarm(~inside.reshape(len(values), -1).all(1) if values.ndim else ~inside[None])
        return values
