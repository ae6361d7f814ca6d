"""Faults as JSON: the fault files people write, and the records of a journal line.

A record has ``tensor``, ``index`` (row-major, or a list of coordinates), ``bit`` or ``mask``, and
optionally ``op`` (:data:`faultsim.ops.operators.OPS`, or the import path ``package.module:name`` of
one's own), ``operand``, ``random`` (bits), ``sample`` and ``step``. Operators of whole words need
neither ``bit`` nor ``mask``. A fault file is a list of records, or
``{"sites": {name: {kind, dtype, shape}}, "faults": [records]}``, which needs no model to read; the
sites of states have ``steps`` too; where samples do not lie along the leading dimension alone,
``axis``, ``outer`` and ``inner`` say where, where steps differ in shape, ``shapes`` lists them, and
where samples do, ``ragged`` is true (:class:`faultsim.faults.Site`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from msgspec import Meta, field

from faultsim.errors import FaultError, FormatError, did_you_mean, shown
from faultsim.faults.fault import Fault
from faultsim.faults.site import Site
from faultsim.files import Number, Record, Whole, decode
from faultsim.formats import mask_of, signed
from faultsim.kinds import Kind
from faultsim.ops.operators import Op, Operand, check_op, needs_operand, path_of, strikes_bits

WRAPPERS = ("module.", "_orig_mod.")
"""What DataParallel and torch.compile put before the names of a model; a file of the bare model
serves the wrapped one, and the other way round."""


class SiteRecord(Record):
    """A site of a fault file; its name is the key it stands under."""

    kind: Kind
    dtype: str
    shape: tuple[Whole, ...]
    steps: Whole = 0
    per_sample: bool = True
    axis: Whole = 0
    outer: Annotated[int, Meta(ge=1, le=2**63 - 1)] = 1
    inner: Annotated[int, Meta(ge=1, le=2**63 - 1)] = 1
    shapes: tuple[tuple[Whole, ...], ...] = ()
    ragged: bool = False

    def __post_init__(self) -> None:
        """Refuses a site that no tensor can be; the reader says where it stands."""
        try:
            _ = self.site("").format
        except FormatError as error:
            raise ValueError(str(error)) from None
        if math.prod(self.shape) * max(1, self.steps) >= 1 << 63:
            raise ValueError(f"no tensor has the shape {list(self.shape)}")

    def site(self, name: str) -> Site:
        layout = self.axis, self.outer, self.inner, self.shapes, self.ragged
        return Site(name, self.kind, self.dtype, self.shape, self.per_sample, self.steps, *layout)


def check_operand(op: str, operand: Any) -> None:
    """Raises ValueError unless a record may have an operand, or none, with an operator."""
    if op == "replace" and operand is None:
        raise ValueError("operand and op replace go together")
    if operand is not None and strikes_bits(op):
        raise ValueError("operand and op replace go together")
    if operand is not None and op in ("zero", "random"):
        raise ValueError(f"{op} takes no operand")


class PlainRecord(Record, gc=False):
    """A fault as people write it, each value for itself."""

    tensor: str
    index: Whole | list[Whole]
    bit: Whole | None = None
    mask: int | None = None
    op: str = "flip"
    operand: int | Number | None = None
    sample: Whole | None = None
    step: Whole | None = None
    random: int | None = None


class FaultRecord(PlainRecord):
    """A fault as people write it."""

    def __post_init__(self) -> None:
        """Refuses a record that says too little or too much; the reader says where it stands."""
        check_op(self.op)
        words = {"mask": self.mask, "operand": self.operand, "random": self.random}
        for name, word in words.items():
            if isinstance(word, int) and not -(1 << 63) <= word < 1 << 64:
                raise ValueError(f"{name} {word} has more than 64 bits")
        if self.bit is not None and self.mask is not None:
            raise ValueError("bit and mask are both given")
        if self.bit is None and self.mask is None and strikes_bits(self.op):
            raise ValueError("neither bit nor mask is given")
        check_operand(self.op, self.operand)


class FaultFile(Record):
    """Faults with a table of the sites they strike."""

    faults: list[FaultRecord]
    sites: dict[str, SiteRecord] = field(default_factory=dict)


class PlainFile(Record):
    """The same, of which no record is checked yet."""

    faults: list[PlainRecord]
    sites: dict[str, SiteRecord] = field(default_factory=dict)


Document = FaultFile | list[FaultRecord]
"""What a fault file holds."""


def load(text: bytes, sites: Iterable[Site] = (), place: str = "fault file") -> list[Fault]:
    """The faults of a document; ``sites`` are those its records may name besides its own.

    Args:
        text: Of the document.
        sites: Those of a model.
        place: Where the document is from, for messages.

    Raises:
        FaultError: Not JSON, an unknown tensor, a site that the model has otherwise, or a record
            that cannot be a fault; it names place and record.
    """
    document: FaultFile | list[FaultRecord] = decode(text, Document, place, FaultError)  # type: ignore[arg-type]
    table = Sites(sites)
    if isinstance(document, FaultFile):
        table.add(document.sites, place)
        records, where = document.faults, "$.faults"
    else:
        records, where = document, "$"
    return [_fault(item, table, f"{place}: {where}[{n}]") for n, item in enumerate(records)]


def _words(site: Site) -> str:
    return f"{site.kind}, {site.dtype} {shown(list(site.shape))}"


class Sites:
    """Sites by name, under the names that wrappers of the model give them as well."""

    def __init__(self, known: Iterable[Site]) -> None:
        self._sites = {site.name: site for site in known}
        self._bare = {_bare(name): site for name, site in self._sites.items()}

    def add(self, own: Mapping[str, SiteRecord], place: str) -> None:
        """Adds the sites of a document, which must be as the model has them."""
        for name, item in own.items():
            site, known = item.site(name), self.get(name)
            if known is not None and _words(site) != _words(known):
                raise FaultError(
                    f"{place}: $.sites: {name!r} is {_words(site)} there, and {_words(known)} in "
                    "this model"
                )
            self._sites[name] = known or site

    def __getitem__(self, name: str) -> Site:
        """Raises FaultError for a name that is none of them, with the nearest."""
        found = self.get(name)
        if found is None:
            like = did_you_mean(name, self._sites)
            raise FaultError(f"{shown(name)} is none of the {len(self._sites)} sites{like}")
        return found

    def get(self, name: str) -> Site | None:
        return self._sites.get(name) or self._bare.get(_bare(name))


def _bare(name: str) -> str:
    """A name without what DataParallel and torch.compile put before it."""
    while name.startswith(WRAPPERS):
        name = name.partition(".")[2]
    return name


def site_json(site: Site) -> dict[str, Any]:
    """A site as the table of a fault file has it, defaults left out."""
    table: dict[str, Any] = {"kind": site.kind, "dtype": site.dtype, "shape": list(site.shape)}
    where = {"steps": site.steps, "axis": site.axis, "outer": site.outer, "inner": site.inner}
    usual = {"steps": 0, "axis": 0, "outer": 1, "inner": 1}
    table |= {key: value for key, value in where.items() if value != usual[key]}
    table |= {"shapes": list(map(list, site.shapes))} if site.shapes else {}
    table |= {"ragged": True} if site.ragged else {}
    return table if site.per_sample else table | {"per_sample": False}


def record(fault: Fault) -> dict[str, Any]:
    """One fault as a JSON-able mapping, defaults left out."""
    item: dict[str, Any] = {"tensor": fault.tensor, "index": fault.index, "mask": fault.mask}
    item["op"] = path_of(fault.op)
    if names_operand(fault.op, fault.operand):
        item["operand"] = json_number(fault.operand)
    optional = {"sample": fault.sample, "step": fault.step, "random": fault.random or None}
    return item | {key: value for key, value in optional.items() if value is not None}


def names_operand(op: Op, operand: Operand) -> bool:
    """Whether a record says the operand."""
    return needs_operand(op) or op == "replace" or bool(operand)


def json_number(operand: Operand) -> Operand | str:
    """JSON has no words for numbers that are not finite."""
    return operand if math.isfinite(operand) else str(operand)


def _fault(item: FaultRecord, sites: Sites, where: str) -> Fault:
    site = sites.get(item.tensor)
    if site is None:
        raise FaultError(f"{where}: {item.tensor!r} is not a site of this model")
    try:
        index = item.index if isinstance(item.index, int) else _flat(item.index, site)
        operand = float(item.operand) if isinstance(item.operand, str) else item.operand
        rest = item.op, operand, item.sample, item.step
        return Fault(site, index, _mask(item, site), *rest, random=item.random or 0)
    except (ValueError, FormatError, FaultError) as error:
        raise FaultError(f"{where}: {error}") from None


def _flat(coordinates: list[int], site: Site) -> int:
    """The row-major position of an element."""
    inside = (at < size for at, size in zip(coordinates, site.shape, strict=False))
    if len(coordinates) != len(site.shape) or not all(inside):
        raise ValueError(f"{site.name} of shape {list(site.shape)} has no element {coordinates}")
    index = 0
    for at, size in zip(coordinates, site.shape, strict=True):
        index = index * size + at
    return index


def _mask(item: FaultRecord, site: Site) -> int:
    if item.mask is not None:
        return signed(item.mask)
    return mask_of(site.format.select("all" if item.bit is None else item.bit))
