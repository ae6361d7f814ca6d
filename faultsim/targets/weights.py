"""The weights that faults strike, looked up in a model."""

from __future__ import annotations

import torch
from torch import nn

from faultsim.errors import FaultError
from faultsim.faults.fault import Site
from faultsim.targets.tensors import owner_of, tensor_of


class Holder:
    """Where a weight lives: the module that owns it, and its storage at this moment.

    Attributes:
        site: The weight.
        tensor: An alias, which keeps the storage alive even if the module is given another.
    """

    def __init__(self, model: nn.Module, site: Site) -> None:
        self.site = site
        self._owner, self._leaf = owner_of(model, site.name)
        self.tensor = checked_weight(self._owner, self._leaf, site).detach()

    @property
    def trains(self) -> bool:
        """Whether the module is in train mode."""
        return self._owner.training

    def moved(self) -> bool:
        """Whether the module has another storage by now."""
        found = tensor_of(self._owner, self._leaf)
        return found is None or found.data_ptr() != self.tensor.data_ptr()


def struck_weight(model: nn.Module, site: Site) -> torch.Tensor:
    """The tensor of a weight site.

    Raises:
        FaultError: The model lacks it, or has it with another dtype or shape.
    """
    return checked_weight(*owner_of(model, site.name), site)


def checked_weight(owner: nn.Module, leaf: str, site: Site) -> torch.Tensor:
    """The tensor called ``leaf``; errors as :func:`struck_weight`."""
    tensor = tensor_of(owner, leaf)
    if tensor is None:
        raise FaultError(f"the model has no parameter or buffer {site.name!r}")
    if tensor.dtype != site.format.dtype or tuple(tensor.shape) != site.shape:
        raise FaultError(
            f"{site.name} is {str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)} in "
            f"this model, but the faults were made for {site.dtype} {site.shape}"
        )
    return tensor
