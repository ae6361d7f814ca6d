"""One fault: which word of which tensor is struck, and how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from math import prod
from typing import Any, SupportsIndex

import numpy as np
import numpy.typing as npt

from faultsim.errors import FaultError, did_you_mean, shown
from faultsim.faults.numbers import (
    Index,
    fits,
    flat,
    mask_from,
    narrowed,
    pattern,
    position,
    whole,
)
from faultsim.formats import BitSpec, Format, bits_of, format_of, signed
from faultsim.kinds import KINDS
from faultsim.ops.words import OPS

Ints = npt.NDArray[np.int64]

STRUCK_ONCE = ("states", "kv-cache")
"""Kinds that live on from step to step, so that a fault strikes at one of them."""


@dataclass(frozen=True)
class Site:
    """A tensor that faults can strike.

    Attributes:
        name: Qualified name as ``named_parameters()`` or ``named_modules()`` spell it. Outputs of
            a module append ``@1`` for its second call in one forward pass, and ``:path`` for an
            element of a nested output or a part of a scan.
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
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True, init=False)
class Fault:
    """One corrupted word.

    ``Fault(site, 37, 1 << 30)``, ``Fault(site, (2, 5), bit=30)`` and
    ``Fault("fc.weight", (2, 5), bit=30)`` are all faults. One that only names its tensor prints,
    but is checked against it when it is placed: by ``FaultSet.of(faults, space)``, or for weights
    by ``inject(model, faults)``.

    Attributes:
        site: The tensor struck; its name until the fault is placed.
        index: Row-major over ``site.shape``, whatever the memory layout; coordinates only until the
            fault is placed.
        mask: The bits struck, an int64 pattern within the word.
        op: One of :data:`faultsim.ops.words.OPS`.
        operand: The new word for ``replace``, an int64 pattern.
        sample: For activations and states, the only sample struck; None strikes every sample.
        step: For states, the time step in the order of the scan; else the number of the forward
            pass within one run. None strikes at every pass.
        before: The value before, where :meth:`FaultSet.describe` has read it.
        after: The value after.
    """

    site: Site | str
    index: int  # or coordinates until it is placed, when nothing computes with them
    mask: int
    op: str = "flip"
    operand: int = 0
    sample: int | None = None
    step: int | None = None
    before: float | None = None
    after: float | None = None

    def __init__(
        self,
        site: Site | str,
        index: Index,
        mask: SupportsIndex | None = None,
        op: str = "flip",
        operand: SupportsIndex = 0,
        sample: SupportsIndex | None = None,
        step: SupportsIndex | None = None,
        before: float | None = None,
        after: float | None = None,
        *,
        bit: BitSpec | None = None,
    ) -> None:
        """Checks everything that can be checked without a model.

        Args:
            site: A site, or the name of one.
            index: A row-major position, or coordinates in the site's shape.
            mask: A bit pattern, signed or not; -1 is all bits of the word.
            op: One of :data:`faultsim.ops.words.OPS`.
            operand: The new word for ``replace``, a bit pattern.
            sample: From 0.
            step: From 0; states and caches need one.
            before: See above.
            after: See above.
            bit: Instead of ``mask``, a bit or several; for a site also as ``"sign"``, ``"23-30"``.

        Raises:
            FaultError: No such fault can be.
            FormatError: ``bit`` names what the site's word does not have.
        """
        if not isinstance(site, Site | str):
            raise FaultError(f"a fault strikes a Site or the name of one, not {shown(site)}")
        if op not in OPS:
            raise FaultError(
                f"unknown operator {shown(op)}: use one of {', '.join(OPS)}{did_you_mean(op, OPS)}"
            )
        known = site if isinstance(site, Site) else None
        vars(self).update(
            site=site,
            index=position(index),
            mask=mask_from(mask, bit, op, known.format if known else None),
            op=op,
            operand=pattern(operand, "operand"),
            sample=None if sample is None else whole(sample, "sample"),
            step=None if step is None else whole(step, "step"),
            before=before,
            after=after,
        )
        if known is not None:
            self._fit(known)

    def _fit(self, site: Site) -> None:
        """Puts index and mask in the site's terms, and refuses what the site does not have."""
        index = flat(self.index, site.shape, site.name)
        vars(self).update(index=index, mask=narrowed(self.mask, site.format))
        if self.op == "replace" and not fits(self.operand, site.format.bits):
            raise FaultError(f"operand {self.operand:#x} is no word of {site.dtype}")
        if self.sample is not None and (site.kind == "weights" or not site.per_sample):
            raise FaultError(f"a fault in {site.name} cannot strike sample {self.sample} alone")
        missing = self.step is None and site.needs_step
        if missing or (self.step is not None and self.step >= site.steps):
            raise FaultError(
                f"{site.name} has {site.steps} time steps; step {self.step} is none of them"
            )
        if self.step is not None and not site.has(np.array(index), np.array(self.step)):
            raise FaultError(
                f"{site.name} is {site.shapes[self.step]} at step {self.step}, and has no element "
                f"{index} of {site.shape} there"
            )

    @classmethod
    def trusted(cls, *values: Any) -> Fault:
        """A fault of values that are known to be one, in the order of the fields."""
        fault = object.__new__(cls)
        vars(fault).update(zip(_FIELDS, values, strict=False))
        return fault

    def placed(self, sites: Mapping[str, Site]) -> Fault:
        """The fault with its site, looked up by name.

        Raises:
            FaultError: There is no such site, or the fault cannot be in it.
        """
        if isinstance(self.site, Site):
            return self
        if self.site not in sites:
            raise FaultError(
                f"{self.site!r} is none of the {len(sites)} sites"
                f"{did_you_mean(self.site, sites)}; FaultSet.of(faults, space) takes them from a "
                "FaultSpace, those of outputs and states too"
            )
        return replace(self, site=sites[self.site])

    @property
    def home(self) -> Site:
        """The site.

        Raises:
            FaultError: The fault is not placed.
        """
        if isinstance(self.site, str):
            raise FaultError(f"a fault only names {self.site!r}: place it by FaultSet.of(…, space)")
        return self.site

    @property
    def tensor(self) -> str:
        """The qualified name of the tensor struck."""
        return self.site if isinstance(self.site, str) else self.site.name

    @property
    def bits(self) -> tuple[int, ...]:
        """The bits struck, ascending."""
        return bits_of(self.mask)

    def corrupt(self, word: int) -> int:
        """The int64 pattern that ``word`` becomes."""
        new = {
            "flip": word ^ self.mask,
            "stuck-at-0": word & ~self.mask,
            "stuck-at-1": word | self.mask,
            "replace": self.operand,
        }[self.op]
        return signed(new, self.home.format.bits)

    def __str__(self) -> str:
        where = ",".join(map(str, self._coordinates()))
        text = f"{self.tensor}[{where}]" if where else self.tensor
        if self.step is not None:
            text += f" step {self.step}"
        if self.sample is not None:
            text += f" sample {self.sample}"
        if self.op == "replace":
            text += f" replace by {self._operand_text()}"
        else:
            text += f" {self._bits_text()} {self.op}"
        if self.before is None or self.after is None:
            return text
        return f"{text}: {_number(self.before)} → {_number(self.after)}"

    def _coordinates(self) -> Sequence[Any]:
        if isinstance(self.index, tuple):
            return self.index
        if isinstance(self.site, str):
            return (self.index,)
        return np.unravel_index(self.index, self.site.shape)

    def _operand_text(self) -> str:
        if isinstance(self.site, str):
            return f"{self.operand:#x}"
        return _number(self.site.format.value(self.operand))

    def _bits_text(self) -> str:
        low, high = self.bits[0], self.bits[-1]
        if len(self.bits) == 1:
            span = f"bit {low}"
        elif high - low + 1 == len(self.bits):
            span = f"bits {low}-{high}"
        else:
            span = "bits " + ",".join(map(str, self.bits))
        if isinstance(self.site, str):
            return span
        return f"{span} ({', '.join(dict.fromkeys(map(self.site.format.field, self.bits)))})"


_FIELDS = tuple(field.name for field in fields(Fault))


def _number(value: float | int) -> str:
    return f"{value:.3g}".replace("e+", "e") if isinstance(value, float) else str(value)
