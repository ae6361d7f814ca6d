"""Immutable sets of faults, as a structure of arrays with a table of the sites they strike.

A set prints, serialises and validates without a model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from faultsim.errors import FaultError
from faultsim.faults import file as faultfile
from faultsim.faults.fault import Fault, Site
from faultsim.formats import signed
from faultsim.ops.words import OPS

if TYPE_CHECKING:
    from torch import nn

__all__ = ["OPS", "Fault", "FaultSet", "Site"]

Ints = npt.NDArray[np.int64]


class FaultSet:
    """An immutable set of faults, armed together.

    Iterating yields :class:`Fault`; slicing yields a FaultSet. Masks on one word are disjoint,
    and a replacement stands alone on its word.

    Attributes:
        sites: The sites struck, each once.
        site: (n,) int64, position in ``sites``.
        index: (n,) int64, row-major position in the site.
        mask: (n,) int64 bit patterns.
        op: (n,) int64, position in :data:`OPS`.
        operand: (n,) int64 bit patterns.
        sample: (n,) int64, -1 for every sample.
        step: (n,) int64, -1 where steps do not apply.
        table: (7, n) int64, all of these as its rows, in this order.
    """

    __slots__ = ("index", "mask", "op", "operand", "sample", "site", "sites", "step", "table")
    _columns = ("site", "index", "mask", "op", "operand", "sample", "step")

    sites: tuple[Site, ...]
    site: Ints
    index: Ints
    mask: Ints
    op: Ints
    operand: Ints
    sample: Ints
    step: Ints
    table: Ints

    def __init__(
        self,
        sites: Sequence[Site],
        site: npt.ArrayLike,
        index: npt.ArrayLike,
        mask: npt.ArrayLike,
        op: npt.ArrayLike = 0,
        operand: npt.ArrayLike = 0,
        sample: npt.ArrayLike = -1,
        step: npt.ArrayLike = -1,
        *,
        checked: bool = False,
    ) -> None:
        """Builds a set from columns; scalars broadcast over ``index``.

        Args:
            checked: The caller vouches for the columns, as the samplers do.

        Raises:
            FaultError: An index, mask or operator out of range, or two faults that clash.
        """
        object.__setattr__(self, "sites", tuple(sites))
        columns = (site, index, mask, op, operand, sample, step)
        table = np.empty((len(columns), np.size(index)), dtype=np.int64)
        for row, column in zip(table, columns, strict=True):
            row[:] = np.asarray(column, dtype=np.int64).ravel()
        table.flags.writeable = False
        object.__setattr__(self, "table", table)
        for name, row in zip(self._columns, table, strict=True):
            object.__setattr__(self, name, row)
        if not checked:
            self._check()

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("a FaultSet is immutable")

    @classmethod
    def of(cls, faults: Iterable[Fault]) -> FaultSet:
        """The set of the given faults, in their order."""
        listed = list(faults)
        sites = list(dict.fromkeys(fault.site for fault in listed))
        unknown = [fault.op for fault in listed if fault.op not in OPS]
        if unknown:
            raise FaultError(f"unknown operator {unknown[0]!r}: use one of {', '.join(OPS)}")
        return cls(
            sites,
            [sites.index(fault.site) for fault in listed],
            [fault.index for fault in listed],
            [signed(fault.mask) for fault in listed],
            [OPS.index(fault.op) for fault in listed],
            [signed(fault.operand) for fault in listed],
            [-1 if fault.sample is None else fault.sample for fault in listed],
            [-1 if fault.step is None else fault.step for fault in listed],
        )

    def __len__(self) -> int:
        return len(self.index)

    def __iter__(self) -> Iterator[Fault]:
        for row in zip(*(getattr(self, name).tolist() for name in self._columns), strict=True):
            site, index, mask, op, operand, sample, step = row
            yield Fault(
                self.sites[site],
                index,
                mask,
                OPS[op],
                operand,
                None if sample < 0 else sample,
                None if step < 0 else step,
            )

    def __getitem__(self, rows: slice | npt.NDArray[Any]) -> FaultSet:
        columns = (getattr(self, name)[rows] for name in self._columns)
        return FaultSet(self.sites, *columns, checked=True)

    @classmethod
    def join(cls, sets: Iterable[FaultSet]) -> FaultSet:
        """All the faults of several sets, armed together.

        Raises:
            FaultError: Faults of two sets clash.
        """
        parts = list(sets)
        sites = list(dict.fromkeys(site for part in parts for site in part.sites))
        number = {site: at for at, site in enumerate(sites)}
        rows = [np.array([number[site] for site in p.sites], np.int64)[p.site] for p in parts]
        rest = zip(
            *([getattr(part, name) for name in cls._columns[1:]] for part in parts), strict=True
        )
        return cls(sites, np.concatenate(rows), *(np.concatenate(column) for column in rest))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FaultSet) and list(self) == list(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return f"FaultSet({len(self)} faults in {len(set(self.site.tolist()))} tensors)"

    def __str__(self) -> str:
        return "\n".join(map(str, self))

    @property
    def flips(self) -> int:
        """Number of bits struck; a replacement counts the bits of its mask."""
        return int(_popcount(self.mask).sum())

    def by_site(self) -> Iterator[tuple[Site, FaultSet]]:
        """Each site struck with its faults, in the order of ``sites``."""
        for number, site in enumerate(self.sites):
            rows = self.site == number
            if rows.all():
                yield site, self
                return
            if rows.any():
                yield site, self[rows]

    def of_kind(self, kind: str) -> FaultSet:
        """The faults in sites of one kind; no site of another kind is left in ``sites``."""
        if all(site.kind == kind for site in self.sites):
            return self  # nearly always, and every trial passes here
        used = np.bincount(self.site, minlength=len(self.sites)) > 0
        wanted = used & np.array([site.kind == kind for site in self.sites], dtype=bool)
        kept = self[wanted[self.site]]
        sites = [site for site, keep in zip(self.sites, wanted, strict=True) if keep]
        columns = (getattr(kept, name) for name in self._columns[1:])
        return FaultSet(sites, (np.cumsum(wanted) - 1)[kept.site], *columns, checked=True)

    def describe(self, model: nn.Module) -> list[Fault]:
        """The faults with their values before and after, read from ``model``'s weights.

        Activation values exist only during a forward pass; those faults come back as they are.

        Raises:
            FaultError: The model lacks a tensor, or has it with another dtype or shape.
        """
        from faultsim.ops import read_words
        from faultsim.targets.weights import struck_weight

        words = {
            site: iter(read_words(struck_weight(model, site), part.index).tolist())
            for site, part in self.by_site()
            if site.kind == "weights"
        }
        return [
            _with_values(fault, next(words[fault.site])) if fault.site in words else fault
            for fault in self
        ]

    def to_json(self) -> str:
        """One JSON document; :meth:`from_json` reads it back."""
        return faultfile.dump(self.sites, self)

    def records(self) -> list[dict[str, Any]]:
        """One JSON-able mapping a fault, defaults left out."""
        return [faultfile.record(fault) for fault in self]

    @classmethod
    def from_json(
        cls, text: str | bytes, sites: Iterable[Site] = (), place: str = "fault file"
    ) -> FaultSet:
        """Reads :meth:`to_json`'s document, or a bare list of fault records.

        Args:
            text: JSON as :mod:`faultsim.faults.file` describes it.
            sites: The sites that records may name when the document has no table of its own, as
                ``FaultSpace.sites``.
            place: Where the document is from, for messages.

        Raises:
            FaultError: Not JSON, an unknown tensor, or a record that cannot be a fault.
        """
        faults = faultfile.load(text, sites, place)
        try:
            return cls.of(faults)
        except FaultError as error:
            raise FaultError(f"{place}: {error}") from None

    def _check(self) -> None:
        sizes = np.array([site.numel for site in self.sites] or [0])
        for name, column, limit in (
            ("site", self.site, len(self.sites)),
            ("op", self.op, len(OPS)),
        ):
            if len(self) and (column.min() < 0 or column.max() >= limit):
                raise FaultError(f"a fault's {name} is out of range 0 to {limit - 1}")
        bad = np.flatnonzero((self.index < 0) | (self.index >= sizes[self.site]))
        if bad.size:
            site, index = self.sites[self.site[bad[0]]], self.index[bad[0]]
            raise FaultError(f"index {index} is outside {site.name} with {site.numel} elements")
        whole = np.array([s.kind == "weights" or not s.per_sample for s in self.sites] or [True])
        if (bad := np.flatnonzero((self.sample >= 0) & whole[self.site])).size:
            name, sample = self.sites[self.site[bad[0]]].name, self.sample[bad[0]]
            raise FaultError(f"a fault in {name} cannot strike sample {sample} alone")
        steps = np.array([site.steps for site in self.sites] or [0])[self.site]
        inside = (self.step >= 0) & (self.step < steps)
        if (bad := np.flatnonzero(~np.where(steps > 0, inside, self.step == -1))).size:
            site, step = self.sites[self.site[bad[0]]], self.step[bad[0]]
            raise FaultError(
                f"{site.name} has {site.steps} time steps; step {step} is none of them"
            )
        widths = np.array([site.format.bits for site in self.sites] or [64])[self.site]
        if (bad := np.flatnonzero(_too_wide(self.mask, widths) | (self.mask == 0))).size:
            site, mask = self.sites[self.site[bad[0]]], int(self.mask[bad[0]])
            raise FaultError(f"mask {mask & (2**64 - 1):#x} is no set of bits of {site.dtype}")
        self._check_clashes()

    def _check_clashes(self) -> None:
        if len(self) < 2:
            return
        # One sample's fault clashes with an every-sample fault, so samples part words only
        # where every fault names its sample.
        sample = self.sample if (self.sample >= 0).all() else np.zeros_like(self.sample)
        keys = (self.site, self.index, self.step, sample)
        order = np.lexsort(keys)
        new = np.any([np.diff(key[order]) != 0 for key in keys], axis=0)
        starts = np.flatnonzero(np.r_[True, new])
        mask, counts = self.mask[order], np.diff(np.r_[starts, len(self)])
        replaced = (self.op[order] == OPS.index("replace")).astype(np.int64)
        crowded = (np.add.reduceat(replaced, starts) > 0) & (counts > 1)
        union = np.bitwise_or.reduceat(mask, starts)
        clash = (np.add.reduceat(_popcount(mask), starts) != _popcount(union)) | crowded
        if clash.any():
            row = order[starts[np.argmax(clash)]]
            name = self.sites[self.site[row]].name
            raise FaultError(
                f"faults clash on {name} element {self.index[row]}: masks on one word must be "
                "disjoint, and a replacement stands alone"
            )


def _popcount(mask: Ints) -> Ints:
    bits = np.unpackbits(np.ascontiguousarray(mask).view(np.uint8)).reshape(-1, 64)
    return np.asarray(bits.sum(axis=1, dtype=np.int64))


def _too_wide(mask: Ints, widths: Ints) -> npt.NDArray[np.bool_]:
    """Whether a mask has bits beyond its word; sign extension is allowed."""
    beyond = mask >> np.minimum(widths, 63)
    extended = (beyond == -1) & ((mask >> (widths - 1)) == -1)
    return np.asarray((widths < 64) & (beyond != 0) & ~extended, dtype=np.bool_)


def _with_values(fault: Fault, word: int) -> Fault:
    value = fault.site.format.value
    return replace(fault, before=value(word), after=value(fault.corrupt(word)))
