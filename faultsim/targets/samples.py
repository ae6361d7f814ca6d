"""Where the samples of a site lie in the tensor of one pass."""

from __future__ import annotations

from itertools import accumulate
from math import prod
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from faultsim.errors import InjectionError
from faultsim.faults import FaultSet, Site
from faultsim.targets.inputs import Sizes
from faultsim.targets.ragged import stand_ins

Ints = npt.NDArray[np.int64]
Shape = tuple[int, ...]


class Fold(NamedTuple):
    """The dimension along which samples lie: ``outer`` · ``batch`` · ``inner`` positions."""

    outer: int
    batch: int
    inner: int


def fold_of(site: Site, shape: Shape, sizes: Sizes) -> Fold:
    """How the samples lie in a pass.

    Inputs of another size may be cut into more windows: the batch of the pass then tells how many
    there are to a sample.

    Args:
        site: Per sample.
        shape: Of its tensor in this pass.
        sizes: The numbers of samples that the pass may have.

    Raises:
        InjectionError: The samples of the pass cannot be told apart.
    """
    length, folded = shape[site.axis], site.outer * site.inner
    if folded == 1 and sizes.may_be(length):
        return Fold(1, length, 1)
    batch = length // folded if sizes.leading is None else sizes.leading
    if folded > 1 and length == batch * folded:
        return Fold(site.outer, batch, site.inner)
    times, left = divmod(length, batch) if batch else (0, 1)
    beams = times == 1 and site.steps  # of which this pass does not tell whose they are
    if folded > 1 and not left and 1 in (site.outer, site.inner) and not beams:
        return Fold(1, batch, times) if site.outer == 1 else Fold(times, batch, 1)
    raise InjectionError(
        f"{site.name} is {shape} here, in which the samples of this pass cannot be told apart: "
        f"they lay along dimension {site.axis}, {folded} positions each"
    )


def sample_shape(site: Site, shape: Shape, fold: Fold) -> Shape:
    """The shape of one sample in a pass; ``site.shape`` in a pass like the one it was found in."""
    folds = [size for size, was in ((fold.outer, site.outer), (fold.inner, site.inner)) if was > 1]
    return (*shape[: site.axis], *folds, *shape[site.axis + 1 :])


def samples_first(site: Site, tensor: torch.Tensor, sizes: Sizes) -> torch.Tensor:
    """(samples, \\*shape of one) of a tensor; errors as :func:`fold_of`."""
    if not site.per_sample:
        return tensor[None]
    fold = fold_of(site, tuple(tensor.shape), sizes)
    shape = tuple(tensor.shape)
    split = tensor.reshape(*shape[: site.axis], *fold, *shape[site.axis + 1 :])
    first = split.movedim(site.axis + 1, 0)
    return first.reshape(fold.batch, *sample_shape(site, shape, fold))


def strikes(
    site: Site, faults: FaultSet, shape: Shape, offset: int, sizes: Sizes
) -> tuple[Ints, Ints]:
    """What the faults of one site strike in one pass.

    Args:
        site: An activation.
        faults: Of that site.
        shape: Of the output in this pass.
        offset: Number of the pass's first sample.
        sizes: The numbers of samples that the pass may have.

    Returns:
        Rows of ``faults`` and row-major positions in the whole output, pairwise; none in an output
        without elements, where samples differ in shape.

    Raises:
        InjectionError: The output has no such element, or its samples cannot be told apart.
    """
    if site.ragged and not prod(shape):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    if not site.per_sample:
        if len(shape) != len(site.shape):
            raise InjectionError(f"{site.name} is {shape} here, not {site.shape}")
        return np.arange(len(faults)), _positions(site, faults, shape, _strides(shape))
    if len(shape) <= site.axis:
        raise InjectionError(f"{site.name} is {shape} here, without a dimension {site.axis}")
    fold = fold_of(site, shape, sizes)
    rows, samples = struck_samples(faults, fold.batch, offset)
    *ahead, outer, batch, inner = (*shape[: site.axis], *fold)
    spread = _strides((*ahead, outer, batch, inner, *shape[site.axis + 1 :]))
    at, kept = site.axis, (site.outer > 1, False, site.inner > 1)
    folds = [stride for stride, keep in zip(spread[at : at + 3], kept, strict=True) if keep]
    strides = (*spread[:at], *folds, *spread[at + 3 :])
    first = _positions(site, faults, sample_shape(site, shape, fold), strides)
    return rows, samples * spread[at + 1] + first[rows]


def struck_samples(faults: FaultSet, batch: int, offset: int) -> tuple[Ints, Ints]:
    """Rows of ``faults`` and the samples of a pass that they strike, pairwise."""
    sample = faults.sample - offset
    every = faults.sample < 0
    rows, samples = np.nonzero(every[:, None] | (sample[:, None] == np.arange(batch)))
    return rows, samples


def _strides(shape: Shape) -> Shape:
    steps = list(accumulate(reversed(shape[1:]), lambda step, size: step * size, initial=1))
    return tuple(reversed(steps)) if shape else ()


def _positions(site: Site, faults: FaultSet, shape: Shape, strides: Shape) -> Ints:
    """Where the elements of faults lie in a tensor of these strides, at sample 0.

    In samples of several shapes, where :mod:`faultsim.targets.ragged` says.
    """
    if len(shape) != len(site.shape):
        raise InjectionError(f"{site.name} has samples of {shape} in this pass, not {site.shape}")
    rest, places, absent = faults.index, list[Ints](), np.zeros(len(faults), bool)
    for size, here in reversed(list(zip(site.shape, shape, strict=True))):
        rest, at = np.divmod(rest, size)
        places.insert(0, at)
        absent |= at >= here
    if absent.any():
        if not site.ragged:
            raise InjectionError(
                f"{site.name} has samples of {shape} in this pass, and no element "
                f"{int(faults.index[np.argmax(absent)])} of {site.shape}"
            )
        places = stand_ins(faults.index, faults.mask, places, absent, shape)
    zero = np.zeros_like(faults.index)
    return sum((at * stride for at, stride in zip(places, strides, strict=True)), zero)
