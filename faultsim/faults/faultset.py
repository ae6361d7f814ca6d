"""Immutable sets of faults, as a structure of arrays with a table of the sites they strike.

A set prints, serialises and validates without a model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from faultsim.errors import FaultError
from faultsim.faults import file as faultfile
from faultsim.faults.archive import SUFFIX
from faultsim.faults.archive import read as read_archive
from faultsim.faults.archive import write as write_archive
from faultsim.faults.checking import check, check_clashes
from faultsim.faults.columns import Ints, listed_faults, masks_from, whole_columns
from faultsim.faults.fault import COLUMNS, Fault, row_of
from faultsim.faults.file import Sites
from faultsim.faults.from_text import columns_of
from faultsim.faults.numbers import operand_from
from faultsim.faults.site import Site
from faultsim.faults.to_text import dump
from faultsim.files import read_bytes, replacing
from faultsim.ops.operators import (
    FIRST_OWN,
    OPS,
    Op,
    Operand,
    column_of,
    number_of,
    numbered,
    operand_of,
    operator_of,
)
from faultsim.table import html_facts, html_table

if TYPE_CHECKING:
    from torch import nn

__all__ = ["OPS", "Fault", "FaultSet", "Site"]

SHOWN = 10  # faults of a set, in a notebook
_WORD = (1 << 64) - 1  # all bits of a pattern


class HasSites(Protocol):
    """A ``FaultSpace``, say."""

    @property
    def sites(self) -> Sequence[Site]: ...


class FaultSet:
    """An immutable set of faults, armed together.

    Iterating yields :class:`Fault`; slicing yields a FaultSet, and so does ``+``. Masks on one word
    are disjoint, and an operator that knows the whole word stands alone on it.

    Attributes:
        sites: The sites struck, each once.
        site: (n,) int64, position in ``sites``.
        index: (n,) int64, row-major position in the site.
        mask: (n,) int64 bit patterns.
        op: (n,) int64, position in :data:`OPS`, or from 64 on the number of an operator of one's
            own in this process.
        operand: (n,) int64 bit patterns, where numbers are those of float64.
        sample: (n,) int64, -1 for every sample.
        step: (n,) int64, -1 where steps do not apply.
        random: (n,) int64, the random bits of each fault.
        table: (8, n) int64, all of these as its rows, in this order.
    """

    _columns = ("site", "index", "mask", "op", "operand", "sample", "step", "random")
    __slots__ = (*_columns, "sites", "table")

    sites: tuple[Site, ...]
    site: Ints
    index: Ints
    mask: Ints
    op: Ints
    operand: Ints
    sample: Ints
    step: Ints
    random: Ints
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
        random: npt.ArrayLike = 0,
        *,
        checked: bool = False,
    ) -> None:
        """Builds a set from columns; scalars broadcast over ``index``.

        Args:
            checked: The caller vouches for the columns, as the samplers do.

        Raises:
            FaultError: A column that is no integers or of another length, an index, mask or
                operator out of range, or two faults that clash.
        """
        columns: tuple[Any, ...] = (site, index, mask, op, operand, sample, step, random)
        if not checked:
            columns = whole_columns(dict(zip(self._columns, columns, strict=True)))
        table = np.empty((len(columns), np.size(index)), dtype=np.int64)
        for row, column in zip(table, columns, strict=True):
            row[:] = np.asarray(column, dtype=np.int64).ravel()
        self._hold(tuple(sites), table)
        if not checked:
            check(self)
            for name in self._columns:
                getattr(self, name).flags.writeable = False  # it was made of what can be written
        table.flags.writeable = False

    def _hold(self, sites: tuple[Site, ...], table: Ints) -> None:
        object.__setattr__(self, "sites", sites)
        object.__setattr__(self, "table", table)

    def __getattr__(self, name: str) -> Ints:
        """A column, when it is first asked for: most sets are asked for few."""
        if name not in self._columns:
            raise AttributeError(f"a FaultSet has no {name!r}")
        row: Ints = self.table[self._columns.index(name)]
        object.__setattr__(self, name, row)
        return row

    @classmethod
    def trusted(cls, sites: tuple[Site, ...], table: Ints) -> FaultSet:
        """A set that is known to be one, without a copy.

        Args:
            sites: The sites struck, each once.
            table: (8, n) int64, contiguous, that nobody writes to any more.
        """
        table.flags.writeable = False
        made = object.__new__(cls)
        made._hold(sites, table)
        return made

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("a FaultSet is immutable")

    def __reduce__(self) -> tuple[Any, ...]:
        numbers = set(self.table[3].tolist())
        own = {number: numbered(number) for number in numbers if number >= FIRST_OWN}
        if own:
            return partial(_numbered_anew, own), (self.sites, *self.table)
        return _unpickled, (self.sites, self.table.tobytes())  # one call, and few bytes

    def __copy__(self) -> FaultSet:
        return self

    def __deepcopy__(self, memo: object) -> FaultSet:
        return self

    @classmethod
    def of(
        cls, faults: FaultSet | Fault | Iterable[Fault], sites: Iterable[Site] | HasSites = ()
    ) -> FaultSet:
        """The set of the given faults, in their order.

        Args:
            faults: A fault, several, or a set, which comes back as it is.
            sites: Where faults that only name their tensor are placed: a ``FaultSpace``, or sites.

        Raises:
            FaultError: A name that is none of ``sites``, a fault that cannot be in its site, or two
                that clash.
        """
        if isinstance(faults, FaultSet):
            return faults
        table = {site.name: site for site in _listed(sites)}
        listed = [fault.placed(table) for fault in listed_faults(faults)]
        numbers = {site: n for n, site in enumerate(dict.fromkeys(f.home for f in listed))}
        rows = [
            (
                numbers[fault.home],
                fault.index,
                fault.mask,
                number_of(fault.op),
                column_of(fault.op, fault.operand),
                -1 if fault.sample is None else fault.sample,
                -1 if fault.step is None else fault.step,
                fault.random,
            )
            for fault in listed
        ]
        made = cls(list(numbers), *np.array(rows, np.int64).reshape(-1, 8).T, checked=True)
        check_clashes(made)
        return made

    def __len__(self) -> int:
        return int(self.table.shape[1])

    def __iter__(self) -> Iterator[Fault]:
        for site, index, mask, number, operand, sample, step, random in self.table.T.tolist():
            op = numbered(number)
            yield Fault.trusted(
                self.sites[site],
                index,
                mask,
                op,
                operand_of(op, operand),
                None if sample < 0 else sample,
                None if step < 0 else step,
                None,
                None,
                random,
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
        parts = list(sets) or [cls.of(())]
        sites = list(dict.fromkeys(site for part in parts for site in part.sites))
        number = {site: at for at, site in enumerate(sites)}
        rows = [np.array([number[site] for site in p.sites], np.int64)[p.site] for p in parts]
        rest = zip(
            *([getattr(part, name) for name in cls._columns[1:]] for part in parts), strict=True
        )
        return cls(sites, np.concatenate(rows), *(np.concatenate(column) for column in rest))

    def __add__(self, other: object) -> FaultSet:
        return FaultSet.join([self, other]) if isinstance(other, FaultSet) else NotImplemented

    def __eq__(self, other: object) -> bool:
        if isinstance(other, FaultSet) and self.sites == other.sites:
            return np.array_equal(self.table, other.table)
        return isinstance(other, FaultSet) and list(self) == list(other)

    def __hash__(self) -> int:  # of all but the numbers of sites, in which equal sets may differ
        return hash(self.table[1:].tobytes())

    def __repr__(self) -> str:
        return f"FaultSet({len(self)} faults in {len(set(self.site.tolist()))} tensors)"

    def _repr_html_(self) -> str:
        rest = [f"and {len(self) - SHOWN:,} more"] if len(self) > SHOWN else []
        rows = map(row_of, self[:SHOWN])
        return html_facts(repr(self), {}) + html_table(COLUMNS, rows, rest)

    def __str__(self) -> str:
        return "\n".join(map(str, self))

    @property
    def flips(self) -> int:
        """Number of bits struck; of operators of whole words but ``replace``, of words."""
        if len(self) == 1:  # as in most trials
            _, _, mask, op, *_ = self.table[:, 0].tolist()
            return 1 if op > OPS.index("replace") else (mask & _WORD).bit_count()
        struck = np.where(self.op <= OPS.index("replace"), self.mask, 1)  # a word is as one bit
        return int.from_bytes(struck.tobytes(), "little").bit_count()

    def by_site(self) -> Iterator[tuple[Site, FaultSet]]:
        """Each site struck with its faults, in the order of ``sites``."""
        if len(self.sites) == 1:
            yield self.sites[0], self
            return
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
            site.name: iter(read_words(struck_weight(model, site), part.index).tolist())
            for site, part in self.by_site()
            if site.kind == "weights"
        }
        return [
            _with_values(fault, next(words[fault.tensor])) if fault.tensor in words else fault
            for fault in self
        ]

    def to_json(self) -> str:
        """One JSON document; :meth:`from_json` reads it back."""
        return dump(self.sites, {name: getattr(self, name) for name in self._columns})

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
        whole = text.encode(errors="surrogatepass") if isinstance(text, str) else text
        known = list(sites)
        if (found := columns_of(whole, known)) is not None:
            with suppress(FaultError):  # told below, with its place
                return cls(found[0], *found[1])
        faults = faultfile.load(whole, known, place)
        try:
            return cls.of(faults)
        except FaultError as error:
            raise FaultError(f"{place}: {error}") from None

    def save(self, path: str | Path) -> None:
        """Writes the set to ``.json``, as :meth:`to_json`, or to ``.npz``, for large ones.

        Raises:
            FaultError: Another suffix, or the file cannot be written.
        """
        path = _suffixed(path)
        if path.suffix == SUFFIX:
            columns = {name: getattr(self, name) for name in self._columns}
            write_archive(path, self.sites, columns)
            return
        with replacing(path, FaultError) as draft:
            draft.write_text(self.to_json() + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path, sites: Iterable[Site] | HasSites = ()) -> FaultSet:
        """Reads what :meth:`save` wrote, or a fault file.

        Args:
            path: Ends in ``.json`` or ``.npz``.
            sites: Of the model: a ``FaultSpace``, or sites. Those of the file must be as they are
                there; a fault file without a table of its own needs them.

        Raises:
            FaultError: It cannot be read, or holds no fault set, or one of another model.
        """
        path, known = _suffixed(path), _listed(sites)
        if path.suffix != SUFFIX:
            return cls.from_json(read_bytes(path, FaultError), known, str(path))
        table, columns = read_archive(path, known)
        try:
            return cls(table, *columns)
        except FaultError as error:
            raise FaultError(f"{path}: {error}") from None

    @classmethod
    def from_arrays(
        cls,
        names: str | Iterable[str],
        index: npt.ArrayLike,
        mask: npt.ArrayLike | None = None,
        *,
        sites: Iterable[Site] | HasSites,
        bit: npt.ArrayLike | None = None,
        op: Op = "flip",
        operand: Operand | None = None,
        sample: npt.ArrayLike = -1,
        step: npt.ArrayLike = -1,
        random: npt.ArrayLike = 0,
    ) -> FaultSet:
        """A set from columns, as another simulator hands them over.

        Args:
            names: Of the tensors: (n,), or one for all.
            index: (n,) row-major positions in them.
            mask: (n,) bit patterns, or one for all; all bits unless given.
            sites: Where the names are looked up: a ``FaultSpace``, or sites.
            bit: (n,) bits instead of masks, or one for all.
            op: Of all faults.
            operand: What it takes besides the word, of all faults.
            sample: (n,), or one for all; -1 for every sample.
            step: (n,), or one for all; -1 where steps do not apply.
            random: (n,) bit patterns, for operators that use random bits.

        Raises:
            FaultError: A name that is no site's, a column that does not fit, faults that clash.
        """
        table = Sites(_listed(sites))
        listed = [names] if isinstance(names, str) else np.asarray(names).ravel().tolist()
        numbers = {name: at for at, name in enumerate(dict.fromkeys(listed))}
        own = [table[name] for name in numbers]
        site = 0 if isinstance(names, str) else [numbers[name] for name in listed]
        known = operator_of(op)
        operands = column_of(known, operand_from(operand, known))
        rest = (number_of(known), operands, sample, step, random)
        masks = masks_from(mask, bit, own, np.asarray(site, np.int64))
        return cls(own, site, index, masks, *rest)


def _suffixed(path: str | Path) -> Path:
    path = Path(path)
    if path.suffix not in (".json", SUFFIX):
        raise FaultError(f"a file of faults ends in .json or {SUFFIX}, not {path.name!r}")
    return path


def _listed(sites: Iterable[Site] | HasSites) -> Iterable[Site]:
    return sites if isinstance(sites, Iterable) else sites.sites


def _unpickled(sites: tuple[Site, ...], table: bytes) -> FaultSet:
    rows = np.frombuffer(table, np.int64).reshape(len(FaultSet._columns), -1)
    return FaultSet.trusted(sites, rows)


def _numbered_anew(own: dict[int, Op], sites: Sequence[Site], *columns: Ints) -> FaultSet:
    """A set from another process, where operators of one's own have other numbers."""
    rows = dict(zip(FaultSet._columns, columns, strict=True))
    op = rows["op"].copy()
    for number, operator in own.items():
        op[rows["op"] == number] = number_of(operator)
    return FaultSet(sites, **(rows | {"op": op}), checked=True)


def _with_values(fault: Fault, word: int) -> Fault:
    value = fault.home.format.value
    return replace(fault, before=value(word), after=value(fault.corrupt(word)))
