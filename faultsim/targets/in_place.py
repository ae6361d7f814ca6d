"""Writes what was struck into tensors that were changed in place, for all who hold them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from faultsim import trees
from faultsim.targets.passes import version


class InPlace:
    """Struck words in tensors that others hold too; taken back from those that outlive the pass."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._theirs: set[int] = set()
        self._owed: list[tuple[torch.Tensor, int | None, torch.Tensor]] = []

    def begin(self, arguments: Any) -> None:
        """A pass begins, with these arguments."""
        self._theirs = {storage_of(tensor) for tensor in trees.tensors(arguments)}

    def is_theirs(self, tensor: torch.Tensor) -> bool:
        """Whether the caller of the pass holds this memory."""
        return storage_of(tensor) in self._theirs

    def write(self, tensor: torch.Tensor, struck: torch.Tensor) -> torch.Tensor:
        """The tensor with the struck words in it, where all who hold it find them.

        Under autograd it is given other memory, for the module may have saved its output.
        """
        if torch.is_grad_enabled() and tensor.requires_grad and not tensor._is_view():
            tensor.data = struck.detach()
            return tensor
        words = tensor.detach().clone() if self._outlives(tensor) else None
        with torch.no_grad():
            tensor.detach().copy_(struck)  # a view among several may not be written itself
        if words is not None:
            self._owed.append((tensor, version(tensor), words))
        return tensor

    def _outlives(self, tensor: torch.Tensor) -> bool:
        storage = storage_of(tensor)
        return self.is_theirs(tensor) or any(storage == storage_of(own) for own in self._own())

    def _own(self) -> Iterator[torch.Tensor]:
        yield from self._model.parameters()
        yield from self._model.buffers()

    def take_back(self) -> None:
        """Writes the words back that the caller and the model had, unless they were changed on."""
        while self._owed:
            tensor, then, words = self._owed.pop()
            if version(tensor) == then:
                with torch.no_grad():
                    tensor.detach().copy_(words)


def storage_of(tensor: torch.Tensor) -> int:
    """The address of a tensor's memory; 0 where it has none of its own."""
    try:
        return tensor.untyped_storage().data_ptr()
    except (RuntimeError, NotImplementedError):  # sparse and such
        return 0
