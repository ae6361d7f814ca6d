"""Reed-Solomon codes of bytes, as chipkill has them: each byte of a word lies in its own chip."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import torch

from faultsim.ecc.code import CLEAN, CORRECTED, DETECTED, Decoded, folded
from faultsim.ecc.galois import POWERS, log, over, power, product, times

Byte = torch.Tensor
"""(n,) uint8, a number of GF(256) for each word."""


class _Errors(NamedTuple):
    """Places and values of the errors of each word, as far as ``found``; 0 changes nothing."""

    found: torch.Tensor
    places: tuple[torch.Tensor, ...]
    values: tuple[Byte, ...]


class ReedSolomon:
    """RS(n, n - 2t) over GF(256), shortened: corrects t bytes of a word, whatever bits of them.

    A word is a polynomial with the check bytes as its lowest coefficients; it is a multiple of the
    product of (x - a^i) for i from 0 to 2t - 1 (I. S. Reed, G. Solomon, J. SIAM 8, 1960, 300-304).
    The decoder is Peterson's: one and two errors in closed form.
    """

    reports = True

    def __init__(self, data_bytes: int, corrects: int) -> None:
        """Tables are made here, once.

        Args:
            data_bytes: Of a word, at most ``255 - 2 * corrects``.
            corrects: Bytes of a word: 1 or 2.
        """
        self.data_bytes, self.check_bytes, self._t = data_bytes, 2 * corrects, corrects
        self.check_bits = 8 * self.check_bytes
        self._length = data_bytes + self.check_bytes
        rest = self._remainders()
        self._table = torch.tensor(
            [[[product(value, c) for c in each] for value in range(256)] for each in rest],
            dtype=torch.uint8,
        )

    def _remainders(self) -> list[list[int]]:
        """Of x^place by the generator, place by place of the data, the lowest coefficient first."""
        generator = [1]
        for root in range(self.check_bytes):
            shifted, scaled = [0, *generator], [product(c, POWERS[root]) for c in generator]
            generator = [a ^ b for a, b in zip(shifted, [*scaled, 0], strict=True)]
        found, rest = [], generator[:-1]  # x^check_bytes: the generator without its highest
        for _ in range(self.data_bytes):
            found.append(rest)
            carried = zip([0, *rest[:-1]], generator[:-1], strict=True)
            rest = [low ^ product(rest[-1], g) for low, g in carried]
        return found

    def encode(self, data: torch.Tensor) -> torch.Tensor:
        """See :class:`~faultsim.ecc.Code`."""
        return folded(self._table, data)

    def decode(self, data: torch.Tensor, check: torch.Tensor) -> Decoded:
        """See :class:`~faultsim.ecc.Code`."""
        syndromes = self._syndromes(self.encode(data) ^ check)
        clean = torch.stack(syndromes).eq(0).all(0)
        errors = [self._one(syndromes)]
        if self._t == 2:
            errors.append(self._two(syndromes, ~errors[0].found))
        word, found = torch.cat([check, data], dim=1), torch.zeros_like(clean)
        for each in errors:
            found = found | each.found
            for place, value in zip(each.places, each.values, strict=True):
                at = place[:, None]
                struck = torch.where(each.found, value, 0).to(torch.uint8)[:, None]
                word = word.scatter(1, at, word.gather(1, at) ^ struck)
        status = torch.where(clean, CLEAN, torch.where(found, CORRECTED, DETECTED))
        return Decoded(word[:, self.check_bytes :], status.to(torch.uint8))

    def _syndromes(self, difference: torch.Tensor) -> list[Byte]:
        """The word's value at each root, for which the difference of the check bytes is enough."""
        places = torch.arange(self.check_bytes, device=difference.device)
        found = []
        for root in range(self.check_bytes):
            terms = times(difference, power(root * places)[None])
            total = torch.zeros_like(terms[:, 0])
            for column in terms.T:
                total ^= column
            found.append(total)
        return found

    def _one(self, syndromes: list[Byte]) -> _Errors:
        """A single error: each syndrome is the one before, times x^place."""
        ratio = over(syndromes[1], syndromes[0])
        steady = [times(before, ratio).eq(after) for before, after in pairwise(syndromes)]
        place = log(ratio)
        found = torch.stack([*steady, syndromes[0] != 0, ratio != 0, place < self._length]).all(0)
        return _Errors(found, (place.clamp(max=self._length - 1),), (syndromes[0],))

    def _two(self, syndromes: list[Byte], wanted: torch.Tensor) -> _Errors:
        """Two errors: their places are the roots of X^2 + a X + b, if both lie in the word."""
        s0, s1, s2, s3 = syndromes
        below = times(s0, s2) ^ times(s1, s1)
        a = over(times(s0, s3) ^ times(s1, s2), below)
        b = over(times(s1, s3) ^ times(s2, s2), below)
        x = power(torch.arange(self._length, device=s0.device))[None]
        roots = (times(x, x) ^ times(a[:, None], x) ^ b[:, None]).eq(0)
        found = wanted & (below != 0) & (b != 0) & (roots.sum(1) == 2)
        first = roots.long().argmax(1)
        last = self._length - 1 - roots.flip(1).long().argmax(1)
        ends = power(first), power(last)
        value = over(s1 ^ times(s0, ends[1]), ends[0] ^ ends[1])
        return _Errors(found, (first, last), (value, s0 ^ value))
