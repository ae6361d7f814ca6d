"""ECC: a weight's memory as code words, which are decoded when the weight is read."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from faultsim.ecc import DETECTED, Code, code_named
from faultsim.protections.alarms import Detected
from faultsim.protections.memory import (
    bytes_of,
    checks_in,
    packed_checks,
    struck_words,
    words_in,
)
from faultsim.protections.protection import Rehearsal
from faultsim.protections.weights import none_found, read_through

Uncorrected = Literal["raise", "zero"]
"""What becomes of a word that is detected and not corrected: the pass ends, or the word is 0."""


class Ecc:
    """A code over every weight, word by word as they lie in memory; the last is filled with zeros.

    Check bits lie beside the weight, packed without a gap, and are struck like any other bits.
    Words that a fault struck are decoded by a real decoder whenever the weight is read; all others
    decode to what they are. The memory itself keeps its faults: reading does not scrub.
    """

    def __init__(
        self, code: str = "secded", pattern: str = "*", uncorrected: Uncorrected = "raise"
    ) -> None:
        """Nothing is encoded yet.

        Args:
            code: One of :data:`faultsim.ecc.CODES`.
            pattern: Of names of the weights to protect; a module's name takes all below it.
            uncorrected: What becomes of words that are detected and not corrected.

        Raises:
            ConfigError: There is no such code.
        """
        self.name = code if uncorrected == "raise" else f"{code}-{uncorrected}"
        self._pattern, self._uncorrected = pattern, uncorrected
        self._code = code_named(code)

    def apply(self, model: nn.Module, rehearse: Rehearsal) -> None:
        """See :class:`~faultsim.protections.Protection`."""

        def make(tensor: torch.Tensor) -> nn.Module:
            return CheckBits(self._code, tensor, self._uncorrected)

        if not read_through(model, make, self._pattern):
            raise none_found(self.name, "weight", self._pattern)


class _Written:
    """Data and check bits as they were written: to see, at the speed of memory, what was struck."""

    def __init__(self, data: torch.Tensor, checks: torch.Tensor) -> None:
        self.data, self.checks = data, checks

    def on(self, device: torch.device) -> _Written:
        if self.data.device != device:
            self.data, self.checks = self.data.to(device), self.checks.to(device)
        return self


class CheckBits(nn.Module):
    """The check bits of one tensor, and their decoder.

    Attributes:
        check: Packed, uint8.
    """

    struck_integers = ("check",)
    check: torch.Tensor

    def __init__(self, code: Code, tensor: torch.Tensor, uncorrected: Uncorrected) -> None:
        super().__init__()
        self._code, self._uncorrected = code, uncorrected
        memory = bytes_of(tensor)
        checks = packed_checks(code.encode(words_in(memory, code)), code)
        self.register_buffer("check", checks)
        self._written = _Written(memory.clone(), checks.clone())

    def forward(self, stored: torch.Tensor) -> torch.Tensor:
        memory, written = bytes_of(stored), self._written.on(stored.device)
        if torch.equal(memory, written.data) and torch.equal(self.check, written.checks):
            return stored
        differing = memory ^ written.data, self.check ^ written.checks
        return self._decoded(stored, struck_words(*differing, self._code))

    def _decoded(self, stored: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        memory, size = bytes_of(stored), self._code.data_bytes
        read = words_in(memory, self._code, words)
        found = self._code.decode(read, checks_in(self.check, self._code, words))
        lost = found.status == DETECTED
        if self._uncorrected == "raise" and self._code.reports and bool(lost.any()):
            raise Detected(f"{int(lost.sum())} words of a weight cannot be corrected")
        data = found.data
        if self._uncorrected == "zero":
            data = torch.where(lost[:, None], 0, data).to(torch.uint8)
        # as_strided keeps the order of memory, which clone() of some strides would not
        used = torch.empty_strided(
            stored.shape, stored.stride(), dtype=stored.dtype, device=stored.device
        ).copy_(stored)
        places = words[:, None] * size + torch.arange(size, device=words.device)
        inside = places < len(memory)
        bytes_of(used)[places[inside]] = data[inside]
        return used
