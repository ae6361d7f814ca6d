"""How far a tensor strayed from its golden value, sample by sample."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch

from faultsim.dtypes import FORMATS
from faultsim.errors import InjectionError
from faultsim.faults import Site
from faultsim.targets.activations import output_words
from faultsim.targets.inputs import Sizes
from faultsim.targets.samples import samples_first


class Deviation(NamedTuple):
    """What became of a value in each of n samples; each (n,) float64 on the CPU.

    Attributes:
        relative: ‖faulty - golden‖₂ / ‖golden‖₂ over the words that are finite in both; 0 where
            they are equal, NaN where nothing golden is other than 0, or the shape is another.
        changed: Share of words of which a bit differs; 1 where the shape is another.
        nonfinite: Share of words that are finite in the golden run and not under the faults.
    """

    relative: torch.Tensor
    changed: torch.Tensor
    nonfinite: torch.Tensor

    @property
    def touched(self) -> torch.Tensor:
        """(n,) bool: whether any bit differs."""
        return self.changed > 0


def joined(parts: Iterable[Deviation]) -> Deviation:
    """Of the samples of all parts; of none, where there are no parts."""
    nothing = torch.empty(0, dtype=torch.float64)
    columns = zip(*[Deviation(nothing, nothing, nothing), *parts], strict=True)
    return Deviation(*(torch.cat(column) for column in columns))


def deviation(site: Site, golden: torch.Tensor, faulty: torch.Tensor, sizes: Sizes) -> Deviation:
    """Compares an output with its golden value.

    Args:
        site: Says where samples lie; where they cannot be told apart, the output is one sample.
        golden: As the module returned it.
        faulty: The same under faults.
        sizes: The numbers of samples that the pass may have.
    """
    was, values = _rows(site, golden, sizes)
    now, others = _rows(site, faulty, sizes)
    if was.shape != now.shape:
        return _reshaped(len(was))
    changed = (was != now).double().mean(1)
    finite = others.isfinite()
    lost = (values.isfinite() & ~finite).double().mean(1)
    both = finite & values.isfinite()
    gap, size = _norm((others - values).where(both, 0.0)), _norm(values.where(both, 0.0))
    relative = (gap / size).where(gap > 0, 0.0).where((size > 0) | (gap == 0), torch.nan)
    return Deviation(*(column.cpu() for column in (relative, changed, lost)))


def _reshaped(samples: int) -> Deviation:
    all_of = torch.ones(samples, dtype=torch.float64)
    return Deviation(all_of * torch.nan, all_of, all_of * 0)


def _rows(site: Site, tensor: torch.Tensor, sizes: Sizes) -> tuple[torch.Tensor, torch.Tensor]:
    """(samples, words) bit patterns, and float64 numbers."""
    words = output_words(tensor)
    assert isinstance(words, torch.Tensor)  # others are not observed
    numbers = tensor.detach().dequantize() if tensor.is_quantized else words
    patterns = words.contiguous().view(FORMATS[words.dtype].word)
    first, second = (_by_sample(site, each, sizes) for each in (patterns, numbers.double()))
    return first.reshape(len(first), -1), second.reshape(len(second), -1)


def _by_sample(site: Site, tensor: torch.Tensor, sizes: Sizes) -> torch.Tensor:
    try:
        return samples_first(site, tensor, sizes)
    except (InjectionError, IndexError):  # this pass is unlike the one that the site was found in
        return tensor[None]


def _norm(rows: torch.Tensor) -> torch.Tensor:
    """Of each row, without overflow on the way."""
    largest = rows.abs().amax(1, keepdim=True)
    scaled = rows / largest.where((largest > 0) & largest.isfinite(), 1.0)
    length: torch.Tensor = torch.linalg.vector_norm(scaled, dim=1) * largest[:, 0]
    return length.where(largest[:, 0].isfinite(), torch.inf)
