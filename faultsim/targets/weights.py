"""The weights that faults strike, looked up in a model."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from faultsim.errors import FaultError
from faultsim.faults.site import Site
from faultsim.targets.packed import Packed, packed_in
from faultsim.targets.tensors import owner_of, tensor_of
from faultsim.targets.words import stored_words

PLAIN = (torch.Tensor, nn.Parameter)


def hold(model: nn.Module, sites: Iterable[Site]) -> list[Holder]:
    """The weights of some sites, to be struck together.

    Raises:
        FaultError: As :func:`struck_weight`.
    """
    opened: dict[nn.Module, list[Packed]] = {}
    return [Holder(model, site, opened) for site in sites]


class Holder:
    """Where a weight lives: the module that owns it, and its words at this moment.

    Attributes:
        site: The weight.
        tensor: Its words: a view, which keeps the storage alive even if the module is given
            another; or a copy of what is packed, which the model uses between :meth:`commit` and
            :meth:`release`.
    """

    def __init__(self, model: nn.Module, site: Site, opened: dict[nn.Module, list[Packed]]) -> None:
        self.site = site
        self._owner, self._leaf = owner_of(model, site.name)
        self._source = tensor_of(self._owner, self._leaf)
        if self._owner not in opened:
            opened[self._owner] = list(packed_in(self._owner))
        self._packed = next((p for p in opened[self._owner] if _part(site) in p.parts), None)
        self.tensor = self._checked()

    def _in_memory(self, tensor: torch.Tensor | None) -> torch.Tensor | str | None:
        """The words of a tensor, why they cannot be struck, None where there are none so named."""
        if tensor is None:
            return None
        _, colon, inner = self.site.name.partition(":")
        return dict(stored_words("", tensor)).get(colon + inner)

    def _checked(self) -> torch.Tensor:
        name, site = self.site.name, self.site
        words = self._packed.parts[_part(site)] if self._packed else self._in_memory(self._source)
        if words is None:
            raise FaultError(f"the model has no parameter or buffer {name!r}")
        if isinstance(words, str):
            raise FaultError(f"{name} cannot be struck: {words}")
        if words.dtype != site.format.dtype or tuple(words.shape) != site.shape:
            raise FaultError(
                f"{name} is {str(words.dtype).removeprefix('torch.')} {tuple(words.shape)} in "
                f"this model, but the faults were made for {site.dtype} {site.shape}"
            )
        return words

    @property
    def trains(self) -> bool:
        """Whether the module is in train mode."""
        return self._owner.training

    @property
    def packed(self) -> bool:
        """Whether the words are copies of what is packed, rather than the model's own memory."""
        return self._packed is not None

    def moved(self) -> bool:
        """Whether the module has other storage by now."""
        if self._packed is not None:
            return self._packed.replaced()
        now = tensor_of(self._owner, self._leaf)
        if now is not None and now is self._source and type(now) in PLAIN:
            return now.data_ptr() != self.tensor.data_ptr()
        found = self._in_memory(now)
        return not isinstance(found, torch.Tensor) or found.data_ptr() != self.tensor.data_ptr()

    def commit(self) -> None:
        """Lets the model use the words as they were struck, where they are packed."""
        if self._packed is not None:
            self._packed.commit()

    def release(self) -> None:
        """Gives the model back what it had; does nothing where the words are the model's own."""
        if self._packed is not None:
            self._packed.release()


def _part(site: Site) -> str:
    """The name of a weight inside its module."""
    return site.name.rpartition(".")[2]


def struck_weight(model: nn.Module, site: Site) -> torch.Tensor:
    """The words of a weight site; a copy where they are packed.

    Raises:
        FaultError: The model lacks it, or has it with another dtype or shape.
    """
    return Holder(model, site, {}).tensor
