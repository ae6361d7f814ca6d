"""The fault space: every bit of a model that a fault can strike."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from torch import nn

from faultsim.errors import FaultError, FormatError, did_you_mean, shown
from faultsim.faults import FaultSet, Site
from faultsim.faults.columns import Ints, whole_column
from faultsim.faults.numbers import whole
from faultsim.formats import BitSpec
from faultsim.kinds import KINDS, Kind
from faultsim.ops import sample_bit_errors, sample_uniform
from faultsim.ops.operators import (
    Op,
    Operand,
    strikes_bits,
)
from faultsim.ops.sampling import sample_uniform_each
from faultsim.space.locating import Key, located
from faultsim.space.numbering import Numbering
from faultsim.table import Table, html_facts
from faultsim.targets.finding import WITHOUT, find_sites
from faultsim.targets.patterns import Patterns, matching, said_of

TOGETHER = 256
"""Faults that are drawn at a time for several trials."""

FIELDS = ("sign", "exponent", "mantissa", "magnitude")


class FaultSpace:
    """The bits of a model that faults can strike, numbered from 0 to ``len(space) - 1``.

    Bits are numbered site by site, element by element (row-major; step by step within an element,
    or where steps differ in shape, element by element within a step), from the least significant
    selected bit up. Operators that strike words rather than bits draw from :attr:`words`.

    Attributes:
        sites: The tensors in the space, in model order.
        bits: The selected bits of each site's word, ascending.
        skipped: What the patterns take but no fault can strike (a dtype without a format, a module
            that did not run), with the reason. What functions compute inside a module is no
            output, and is not listed.
        whole: Names of the sites whose samples cannot be told apart, with the reason: a fault
            strikes such an output once a pass, whatever the batch size.
        unit: What is numbered, ``"bit"`` or ``"word"``.
    """

    unit = "bit"

    def __init__(
        self,
        model: nn.Module,
        targets: Sequence[str] | str = ("weights",),
        bits: BitSpec = "all",
        include: Patterns = None,
        exclude: Patterns = None,
        *,
        inputs: Any = None,
        integers: bool = False,
        run: Callable[[Any], Any] | None = None,
    ) -> None:
        """Lists the fault sites of ``model``.

        Args:
            model: Any module; nothing in it is changed.
            targets: ``"weights"`` (parameters and floating buffers), ``"activations"`` (the
                outputs of modules whose hooks fire for ``inputs``), ``"states"`` (the hidden
                states of the scans that ``inputs`` reach, at every time step), ``"operations"``
                (results of functions between modules), another of
                :data:`faultsim.kinds.KINDS`, or several.
            bits: Bits to strike: a field (``sign``, ``exponent``, ``mantissa``, ``all``), a bit
                or a range (``"23-30"``), or a mix of those.
            include: Name patterns to keep (shell wildcards; a module's name takes all below it).
            exclude: Name patterns to leave out.
            inputs: A batch, which activations and states need: a tensor, a tuple of arguments, or
                a mapping of keyword arguments. It is run as it is, then some of its samples in
                batches of two and three, which shows where each output holds its samples.
            integers: Whether integer buffers are struck too.
            run: How ``inputs`` go through the model; by default a tuple as its arguments, a
                mapping as keywords.

        Raises:
            FaultError: A pattern that matches nothing, an unknown target, or an empty space.
            FormatError: ``bits`` names bits that a tensor's dtype does not have.
        """
        if not isinstance(model, nn.Module):
            raise FaultError(f"the model must be an nn.Module, not {shown(model)}")
        self.skipped: dict[str, str] = {}
        self.whole: dict[str, str] = {}
        sites: list[Site] = []
        kinds = _kinds(targets)
        for kind in kinds:
            found = find_sites(kind, model, inputs, run, integers=integers)
            sites += found.sites
            self.skipped |= found.skipped
            self.whole |= found.whole
        if not sites:
            raise FaultError(self._nothing(kinds))
        kept, self.skipped = matching(sites, self.skipped, include, exclude)
        self._set(kept, [self._select(site, bits) for site in kept])

    def _nothing(self, targets: Sequence[str]) -> str:
        what = " and ".join(targets)
        if self.skipped:
            return f"the fault space is empty: none of the {what} can be struck: " + said_of(
                self.skipped
            )
        usual = f"the fault space is empty: the model has no {what}"
        return WITHOUT.get(what, usual)

    def _select(self, site: Site, bits: BitSpec) -> tuple[int, ...]:
        fmt = site.format
        if isinstance(bits, str) and bits in FIELDS and bits not in fmt.fields:
            self.skipped[site.name] = f"{fmt.name} has no {bits} bits"
            return ()
        try:
            return fmt.select(bits)
        except FormatError as error:
            raise FormatError(f"{site.name}: {error}") from None

    def _set(self, sites: Sequence[Site], bits: Sequence[tuple[int, ...]]) -> None:
        if not all(bits):
            sites = [site for site, chosen in zip(sites, bits, strict=True) if chosen]
            bits = list(filter(None, bits))
        if not sites:
            raise FaultError("the fault space is empty: no tensor has the bits asked for")
        self.sites, self.bits = tuple(sites), tuple(bits)
        self._numbering = Numbering(self.sites, self.bits, self.unit)

    @cached_property
    def words(self) -> FaultSpace:
        """The space of the same words, numbered rather than their bits.

        A fault in it strikes all the selected bits of its word.
        """
        return self._part(self.sites, self.bits, "word")

    def __len__(self) -> int:
        """Number of bits, or of words."""
        return len(self._numbering)

    def __repr__(self) -> str:
        return f"FaultSpace({len(self.sites)} tensors, {len(self):,} {self.unit}s)"

    def _repr_html_(self) -> str:
        return html_facts(repr(self), {}) + self.describe()._repr_html_()

    def describe(self) -> Table:
        """A row for each tensor: what it is, how much of the space it has.

        It prints, shows in a notebook, and has ``rows``, ``csv()`` and ``frame()``. The note says
        what is struck as a whole, and what cannot be struck.
        """
        rows = [
            {
                "tensor": site.name,
                "kind": site.kind,
                "dtype": site.dtype,
                "shape": "×".join(map(str, site.shape)) or "scalar",
                "steps": site.steps or None,
                f"{self.unit}s": size,
                "share": f"{size / len(self):.2%}",
            }
            for site, size in zip(self.sites, self._numbering.sizes, strict=True)
        ]
        dull = [] if any(row["steps"] for row in rows) else ["steps"]
        notes = [f"struck as a whole: {name}, for {why}" for name, why in self.whole.items()]
        notes += [f"cannot be struck: {said_of(self.skipped)}"] if self.skipped else []
        return Table(tuple(n for n in rows[0] if n not in dull), rows, "; ".join(notes))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FaultSpace):
            return NotImplemented
        mine, others = (self.sites, self.bits, self.unit), (other.sites, other.bits, other.unit)
        return mine == others

    def __hash__(self) -> int:
        return hash((self.sites, self.bits, self.unit))

    def filter(self, keep: Callable[[Site, int], bool]) -> FaultSpace:
        """The part of the space where ``keep(site, bit)`` holds.

        Raises:
            FaultError: Nothing is left.
        """
        pairs = zip(self.sites, self.bits, strict=True)
        return self._part(
            self.sites, [tuple(b for b in bits if keep(site, b)) for site, bits in pairs]
        )

    def until(self, steps: int) -> FaultSpace:
        """The part of the space that runs of so many forward passes come to.

        Raises:
            FaultError: Nothing is left.
        """
        pairs = zip((site.until(steps) for site in self.sites), self.bits, strict=True)
        kept = [(site, bits) for site, bits in pairs if site.words]
        return self._part([site for site, _ in kept], [bits for _, bits in kept])

    def placed(self, sites: Mapping[str, Site]) -> FaultSpace:
        """The part of the space in some of its sites, as they are given here, by name.

        Raises:
            FaultError: Nothing is left.
        """
        pairs = zip(self.sites, self.bits, strict=True)
        kept = [(sites[site.name], bits) for site, bits in pairs if site.name in sites]
        return self._part([site for site, _ in kept], [bits for _, bits in kept])

    def _part(
        self, sites: Sequence[Site], bits: Sequence[tuple[int, ...]], unit: str | None = None
    ) -> FaultSpace:
        part = object.__new__(type(self))
        part.skipped, part.whole, part.unit = {}, self.whole, unit or self.unit
        part._set(sites, bits)
        return part

    def layers(self) -> dict[str, FaultSpace]:
        """One space a layer: the module that owns the tensors, or computes the activation."""
        rows: defaultdict[str, list[int]] = defaultdict(list)
        for row, site in enumerate(self.sites):
            rows[site.layer].append(row)
        return {
            layer: self._part([self.sites[row] for row in own], [self.bits[row] for row in own])
            for layer, own in rows.items()
        }

    def by_bit(self) -> dict[int, FaultSpace]:
        """One space a bit position, ascending.

        Raises:
            FaultError: The space numbers words.
        """
        if self.unit == "word":
            raise FaultError("the words of a space cannot be told apart by bit")
        found: defaultdict[int, list[Site]] = defaultdict(list)
        for site, bits in zip(self.sites, self.bits, strict=True):
            for bit in bits:
                found[bit].append(site)
        return {bit: self._part(own, [(bit,)] * len(own)) for bit, own in sorted(found.items())}

    def locate(
        self,
        positions: npt.ArrayLike,
        op: Op = "flip",
        operand: Operand | None = None,
        *,
        seed: int = 0,
        trial: int = 0,
    ) -> FaultSet:
        """The faults at the given bit numbers, one bit each; or at numbers of :attr:`words`.

        Args:
            positions: (n,) distinct integers in [0, len(self)).
            op: ``flip``, ``stuck-at-0`` or ``stuck-at-1``. Or an operator of words: another of
                :data:`faultsim.faults.OPS`, or one of your own, as such or by import path; the
                positions are then of words.
            operand: What the operator takes besides the word.
            seed: With ``trial`` it fixes the random bits of operators that use some.
            trial: Below 2^32.

        Raises:
            FaultError: A position outside the space, given twice, or no whole number; or no such
                operator.
        """
        space = self._of(op)
        position = whole_column(f"a list of {space.unit} numbers", positions).ravel()
        if position.size and (position.min() < 0 or position.max() >= len(space)):
            raise FaultError(f"{space.unit} numbers run from 0 to {len(space) - 1}")
        if len(np.unique(position)) < len(position):
            unit = space.unit
            raise FaultError(f"a {unit} number is given twice: each {unit} is struck once")
        return space._located(position, op, operand, (seed, trial, 0))

    def _of(self, op: Op) -> FaultSpace:
        """The space whose units an operator strikes."""
        return self if self.unit == "word" or strikes_bits(op) else self.words

    def _located(self, position: Ints, op: Op, operand: Operand | None, key: Key) -> FaultSet:
        (faults,) = self._each_located(position[np.newaxis], op, operand, [key])
        return faults

    def _each_located(
        self, positions: Ints, op: Op, operand: Operand | None, keys: Sequence[Key]
    ) -> Iterator[FaultSet]:
        """A set for each row of (sets, n) positions."""
        return located(self.sites, self._numbering, positions, op, operand, keys)

    def sample(
        self,
        n: int,
        *,
        seed: int,
        trial: int = 0,
        op: Op = "flip",
        operand: Operand | None = None,
        stratify: str | None = None,
    ) -> FaultSet:
        """``n`` distinct bits, uniform over (element, bit); fewer are a prefix of more.

        Or ``n`` distinct words, where the operator strikes words.

        Args:
            n: Number of bits, or of words.
            seed: Key of the random stream (Philox-4x32-10); with ``trial`` it fixes the faults.
            trial: Number of the trial, below 2^32.
            op: Operator, as for :meth:`locate`.
            operand: As for :meth:`locate`.
            stratify: ``"layer"`` or ``"bit"`` shares ``n`` over the strata in proportion to their
                bits (largest remainders first) and samples uniformly inside each.

        Raises:
            FaultError: More faults than the space has bits.
        """
        n, space = whole(n, "the number of faults"), self._of(op)
        if stratify is not None:
            return space._sample_strata(n, seed, trial, op, operand, stratify)
        drawn = sample_uniform(len(space), n, seed=seed, trial=trial).numpy()
        return space._located(drawn, op, operand, (seed, trial, 0))

    def samples(
        self,
        n: int,
        trials: Sequence[int],
        *,
        seed: int,
        op: Op = "flip",
        operand: Operand | None = None,
    ) -> Iterator[FaultSet]:
        """What :meth:`sample` draws for each of many trials, in a fraction of the time.

        Args:
            n: Number of bits, or of words.
            trials: Their numbers.
            seed: As for :meth:`sample`.
            op: As for :meth:`sample`.
            operand: As for :meth:`sample`.

        Raises:
            FaultError: More faults than the space has bits.
        """
        n, space = whole(n, "the number of faults"), self._of(op)
        most = max(1, TOGETHER // max(1, n))
        for first in range(0, len(trials), most):
            some = trials[first : first + most]
            drawn = sample_uniform_each(len(space), n, some, seed=seed)
            keys = [(seed, trial, 0) for trial in some]
            yield from space._each_located(drawn.numpy(), op, operand, keys)

    def _sample_strata(
        self, n: int, seed: int, trial: int, op: Op, operand: Operand | None, stratify: str
    ) -> FaultSet:
        if stratify not in ("layer", "bit"):
            raise FaultError(f"cannot stratify by {stratify!r}: use layer or bit")
        strata = list((self.layers() if stratify == "layer" else self.by_bit()).values())
        shares = _allocate(n, [len(stratum) for stratum in strata])
        parts = []
        for stream, (stratum, share) in enumerate(zip(strata, shares, strict=True), start=1):
            if not share:
                continue
            drawn = sample_uniform(len(stratum), share, seed=seed, trial=trial, stream=stream)
            key = (seed, trial, stream)
            parts.append(stratum._located(drawn.numpy(), op, operand, key))
        return FaultSet.join(parts)

    def sample_bit_errors(
        self,
        rate: float,
        *,
        seed: int,
        trial: int = 0,
        op: Op = "flip",
        operand: Operand | None = None,
    ) -> FaultSet:
        """Every bit struck independently with probability ``rate``; may well be empty.

        Or every word, where the operator strikes words.

        Args:
            rate: Bit-error rate in [0, 1].
            seed: As for :meth:`sample`.
            trial: As for :meth:`sample`.
            op: As for :meth:`sample`.
            operand: As for :meth:`sample`.

        Raises:
            FaultError: ``rate`` is outside [0, 1].
        """
        space = self._of(op)
        positions = sample_bit_errors(len(space), rate, seed=seed, trial=trial)
        return space._located(positions.numpy(), op, operand, (seed, trial, 0))


def _kinds(targets: Sequence[str] | str) -> tuple[Kind, ...]:
    if not isinstance(targets, Iterable):
        raise FaultError(f"unknown target {shown(targets)}: use one of {', '.join(KINDS)}")
    kinds = (targets,) if isinstance(targets, str) else tuple(targets)
    for kind in kinds:
        if kind not in KINDS:
            known = f"{', '.join(KINDS)}{did_you_mean(kind, KINDS)}"
            raise FaultError(f"unknown target {shown(kind)}: use one of {known}")
    return cast("tuple[Kind, ...]", kinds)


def _allocate(n: int, sizes: list[int]) -> list[int]:
    """``n`` shared out in proportion to ``sizes``, largest remainders first."""
    total = sum(sizes)
    shares = [n * size // total for size in sizes]
    by_remainder = sorted(range(len(sizes)), key=lambda i: (-(n * sizes[i] % total), i))
    for i in by_remainder[: n - sum(shares)]:
        shares[i] += 1
    return shares
