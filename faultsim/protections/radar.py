"""Group checksums of weights, which lose a group rather than use a struck one."""

from __future__ import annotations

import torch
from torch import nn

from faultsim.errors import ConfigError
from faultsim.protections.memory import bytes_of
from faultsim.protections.protection import Rehearsal
from faultsim.protections.weights import none_found, read_through

GROUP = 512


class Radar:
    """Two bits of the sum of each group of weights; a group whose bits are others is read as 0.

    That of J. Li et al. (RADAR, arXiv 2101.08254) without its secret key, for floating numbers: of
    the sum of the top bytes of a group its bits 6 and 7, so that one flip of the sign or of the
    exponent's highest bit is always seen. Neighbours belong to different groups.
    """

    name = "radar"

    def __init__(self, pattern: str = "*", group: int = GROUP) -> None:
        """Nothing is summed yet.

        Args:
            pattern: Of names of the weights to protect; a module's name takes all below it.
            group: Weights in a group, at most.

        Raises:
            ConfigError: No weight in a group.
        """
        if group < 1:
            raise ConfigError(f"a group of weights has 1 or more, not {group}")
        self._pattern, self._group = pattern, group

    def apply(self, model: nn.Module, rehearse: Rehearsal) -> None:
        """See :class:`~faultsim.protections.Protection`."""

        def make(tensor: torch.Tensor) -> nn.Module:
            return Signatures(tensor, self._group)

        if not read_through(model, make, self._pattern):
            raise none_found(self.name, "weight", self._pattern)


class Signatures(nn.Module):
    """The signatures of the groups of one tensor.

    Attributes:
        signature: (ceil(groups / 4),) uint8, two bits a group.
    """

    struck_integers = ("signature",)
    signature: torch.Tensor

    def __init__(self, tensor: torch.Tensor, group: int) -> None:
        super().__init__()
        self._groups = -(-tensor.numel() // group)
        self.register_buffer("signature", self._signed(tensor))

    def forward(self, stored: torch.Tensor) -> torch.Tensor:
        differing = self._signed(stored) ^ self.signature
        if not bool(differing.any()):
            return stored
        lost = _pairs(differing)[: self._groups] != 0
        used = torch.empty_strided(
            stored.shape, stored.stride(), dtype=stored.dtype, device=stored.device
        ).copy_(stored)
        flat = used.detach().as_strided((used.numel(),), (1,))
        flat[lost.repeat(-(-len(flat) // self._groups))[: len(flat)]] = 0
        return used

    def _signed(self, tensor: torch.Tensor) -> torch.Tensor:
        """The signatures as they should be; weight i belongs to group ``i % groups``."""
        top = bytes_of(tensor).view(-1, tensor.element_size())[:, -1].view(torch.int8)
        padded = nn.functional.pad(top, (0, -len(top) % self._groups))
        sums = padded.view(-1, self._groups).sum(0, dtype=torch.int32)
        pairs = (sums >> 6 & 3).to(torch.uint8)
        fours = nn.functional.pad(pairs, (0, -len(pairs) % 4)).view(-1, 4)
        return (fours << _shifts(fours)).sum(1).to(torch.uint8)


def _pairs(packed: torch.Tensor) -> torch.Tensor:
    """(n,) uint8 to (4n,), two bits each."""
    return (packed[:, None] >> _shifts(packed) & 3).reshape(-1)


def _shifts(like: torch.Tensor) -> torch.Tensor:
    return torch.tensor([0, 2, 4, 6], dtype=torch.uint8, device=like.device)
