"""A site: a tensor that faults can strike."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from faultsim.errors import FaultError, did_you_mean, shown
from faultsim.faults.numbers import whole
from faultsim.formats import Format, format_of
from faultsim.kinds import KINDS

Ints = npt.NDArray[np.int64]

STRUCK_ONCE = ("states", "kv-cache")
"""Kinds that live on from step to step, so that a fault strikes at one of them."""


@dataclass(frozen=True, repr=False)
class Site:
    """A tensor that faults can strike.

    Attributes:
        name: Qualified name as ``named_parameters()`` or ``named_modules()`` spell it. Outputs of
            a module append ``@1`` for its second call in one forward pass, and ``:path`` for an
            element of a nested output or a part of a scan. Results of functions are
            ``module:function@number``.
        kind: ``"weights"`` (parameters and buffers), ``"activations"``, or ``"states"``, the
            hidden states of a selective scan.
        dtype: Name of the dtype, ``"float32"``.
        shape: Logical shape; for activations the shape of one sample, for states (channels,
            states) of one sample.
        per_sample: False for an output in which no samples can be told apart: ``shape`` is then
            that of the whole output, and a fault strikes it once a pass. For states, a fault then
            strikes the whole batch of the scan.
        steps: For states, the time steps of the scan; for what a pass computes or is given, the
            forward passes of one run, where a run has several (decode steps of a language model).
            0 for what has none.
        axis: The dimension of the output along which samples lie.
        outer: That dimension has ``outer`` · samples · ``inner`` positions, in this order; 1 and 1
            where only samples lie along it. Where greater than 1, ``outer`` and ``inner`` stand in
            ``shape`` where the dimension was.
        inner: See ``outer``. Windows of an image that are folded into the batch are inner.
        shapes: At each step, the shape that it has there, where steps differ in it (a prompt of
            many tokens, then one at a time); a step that lacks it has a size of 0. ``shape`` is
            then the largest in each dimension, and every index is one in ``shape``, so that an
            element has the same index at every step. Empty where all steps have ``shape``.
        ragged: Whether samples differ in shape (images of several sizes, sentences of several
            lengths). ``shape`` and ``shapes`` are then the largest in each dimension; in a sample
            that lacks the element of a fault another one stands for it
            (:mod:`faultsim.targets.ragged`).
    """

    name: str
    kind: str
    dtype: str
    shape: tuple[int, ...]
    per_sample: bool = True
    steps: int = 0
    axis: int = 0
    outer: int = 1
    inner: int = 1
    shapes: tuple[tuple[int, ...], ...] = ()
    ragged: bool = False

    def __post_init__(self) -> None:
        """Refuses what no tensor can be; an unknown dtype, where its format is first asked for.

        Raises:
            FaultError: An unknown kind, or sizes that are no whole numbers.
        """
        if self.kind not in KINDS:
            known = f"{', '.join(KINDS)}{did_you_mean(self.kind, KINDS)}"
            raise FaultError(f"{self.name}: unknown kind {shown(self.kind)}, use one of {known}")
        sizes = tuple(whole(size, f"{self.name}: size") for size in self.shape)
        object.__setattr__(self, "shape", sizes)
        if whole(self.steps, f"{self.name}: steps") and self.kind == "weights":
            raise FaultError(f"{self.name}: {self.kind} have no time steps")
        if self.shapes:
            self._check_shapes()

    def _check_shapes(self) -> None:
        ranks = {len(shape) for shape in (self.shape, *self.shapes)}
        if len(self.shapes) != self.steps or len(ranks) > 1:
            raise FaultError(f"{self.name}: {self.steps} steps need as many shapes of one rank")
        if self.shape != tuple(map(max, zip(*self.shapes, strict=True))):
            raise FaultError(f"{self.name}: {self.shape} is not the largest of {self.shapes}")

    def __repr__(self) -> str:
        steps = f", {self.steps} steps" if self.steps else ""
        shape = "×".join(map(str, self.shape)) or "scalar"
        return f"Site({self.name!r}, {self.kind}, {self.dtype}, {shape}{steps})"

    @cached_property
    def format(self) -> Format:
        return format_of(self.dtype)

    @cached_property
    def numel(self) -> int:
        """Number of words, at one time step."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def words(self) -> int:
        """Number of words that can be struck, at all steps."""
        if self.shapes:
            return sum(map(prod, self.shapes))
        return self.numel * max(1, self.steps)

    @property
    def needs_step(self) -> bool:
        """Whether a fault must name its step; of others, one that does not strikes at each."""
        return self.kind in STRUCK_ONCE and self.steps > 0

    def until(self, steps: int) -> Site:
        """The site in runs of no more than so many forward passes."""
        if self.kind == "states" or self.steps <= steps:
            return self
        shapes = self.shapes[:steps]
        largest = tuple(map(max, zip(*shapes, strict=True))) if shapes else self.shape
        kept = shapes if len(set(shapes)) > 1 else ()
        return replace(self, steps=steps, shape=largest, shapes=kept)

    def has(self, index: Ints, step: Ints) -> npt.NDArray[np.bool_]:
        """Which elements there are at some steps."""
        if not self.shapes:
            return np.ones(np.shape(index), bool)
        sizes = np.array(self.shapes)[step]
        return np.asarray((np.stack(np.unravel_index(index, self.shape), -1) < sizes).all(-1))

    def indices(self, words: Ints, step: int) -> Ints:
        """The indices of the words of one step, which are numbered row-major in its own shape."""
        if not self.shapes:
            return words
        place = np.unravel_index(words, self.shapes[step])
        return np.asarray(np.ravel_multi_index(place, self.shape))

    @property
    def layer(self) -> str:
        """The module that owns the weight or computes the activation; of a cache, its layer."""
        stored = self.kind in ("weights", "kv-cache")
        owner = self.name.rpartition(".")[0] if stored else self.name
        return owner or (self.name if self.kind == "kv-cache" else "(root)")

    def __getstate__(self) -> dict[str, Any]:  # cached properties are not part of the value
        return {name: getattr(self, name) for name in _FIELDS}


_FIELDS = tuple(field.name for field in fields(Site))
