"""One fault: which word of which tensor is struck, and how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, SupportsIndex

import numpy as np

from faultsim.errors import FaultError, did_you_mean, shown
from faultsim.faults.numbers import (
    Index,
    fits,
    flat,
    mask_from,
    narrowed,
    operand_from,
    pattern,
    position,
    whole,
)
from faultsim.faults.site import Site
from faultsim.formats import BitSpec, bits_of, signed
from faultsim.ops.operators import (
    Op,
    Operand,
    column_of,
    compiled,
    number_of,
    operator_of,
    strikes_bits,
    takes_number,
    takes_word,
)
from faultsim.ops.striking import corrupted
from faultsim.table import html_table


@dataclass(frozen=True, init=False, repr=False)
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
        mask: The bits struck, an int64 pattern within the word; all of them, or those that the
            operator can change.
        op: One of :data:`faultsim.ops.operators.OPS`, or an operator of your own.
        operand: What the operator takes besides the word: a float for those that compute with
            numbers, bytes for ``byte-shift``, else a word as an int64 pattern.
        sample: For activations and states, the only sample struck; None strikes every sample.
        step: For states, the time step in the order of the scan; else the number of the forward
            pass within one run. None strikes at every pass.
        before: The value before, where :meth:`FaultSet.describe` has read it.
        after: The value after.
        random: 64 random bits, an int64 pattern, for the operators that use some. They belong to
            the fault, so that it does the same wherever it strikes.
    """

    site: Site | str
    index: int  # or coordinates until it is placed, when nothing computes with them
    mask: int
    op: Op = "flip"
    operand: Operand = 0
    sample: int | None = None
    step: int | None = None
    before: float | None = None
    after: float | None = None
    random: int = 0

    def __init__(
        self,
        site: Site | str,
        index: Index,
        mask: SupportsIndex | None = None,
        op: Op = "flip",
        operand: SupportsIndex | float | None = None,
        sample: SupportsIndex | None = None,
        step: SupportsIndex | None = None,
        before: float | None = None,
        after: float | None = None,
        random: SupportsIndex = 0,
        *,
        bit: BitSpec | None = None,
    ) -> None:
        """Checks everything that can be checked without a model.

        Args:
            site: A site, or the name of one.
            index: A row-major position, or coordinates in the site's shape.
            mask: A bit pattern, signed or not; -1 is all bits of the word.
            op: One of :data:`faultsim.ops.operators.OPS`, an operator of your own, or its import
                path.
            operand: See above; needed by those that cannot do without.
            sample: From 0.
            step: From 0; states and caches need one.
            before: See above.
            after: See above.
            random: A bit pattern.
            bit: Instead of ``mask``, a bit or several; for a site also as ``"sign"``, ``"23-30"``.

        Raises:
            FaultError: No such fault can be.
            FormatError: ``bit`` names what the site's word does not have.
        """
        if not isinstance(site, Site | str):
            raise FaultError(f"a fault strikes a Site or the name of one, not {shown(site)}")
        op = operator_of(op)
        known = site if isinstance(site, Site) else None
        vars(self).update(
            site=site,
            index=position(index),
            mask=mask_from(mask, bit, op, known.format if known else None),
            op=op,
            operand=operand_from(operand, op),
            sample=None if sample is None else whole(sample, "sample"),
            step=None if step is None else whole(step, "step"),
            before=before,
            after=after,
            random=pattern(random, "random"),
        )
        if known is not None:
            self._fit(known)

    def _fit(self, site: Site) -> None:
        """Puts index and mask in the site's terms, and refuses what the site does not have."""
        index = flat(self.index, site.shape, site.name)
        vars(self).update(index=index, mask=narrowed(self.mask, site.format))
        if takes_word(self.op) and not fits(int(self.operand), site.format.bits):
            raise FaultError(f"operand {int(self.operand):#x} is no word of {site.dtype}")
        if self.sample is not None and (site.kind == "weights" or not site.per_sample):
            raise FaultError(f"a fault in {site.name} cannot strike sample {self.sample} alone")
        missing = self.step is None and site.needs_step and not is_permanent(self.op)
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
        fmt = self.home.format
        compiled(self.op)
        operand = self.mask if strikes_bits(self.op) else column_of(self.op, self.operand)
        rest = operand, self.mask, self.random, signed(word, fmt.bits)
        return corrupted(fmt.dtype, number_of(self.op), *rest)

    def __str__(self) -> str:
        where = ",".join(map(str, self._coordinates()))
        text = f"{self.tensor}[{where}]" if where else self.tensor
        if self.step is not None:
            text += f" step {self.step}"
        if self.sample is not None:
            text += f" sample {self.sample}"
        text += f" {self._op_text()}"
        if self.before is None or self.after is None:
            return text
        return f"{text}: {_number(self.before)} → {_number(self.after)}"

    def __repr__(self) -> str:
        return f"Fault({self})"

    def _repr_html_(self) -> str:
        return html_table(COLUMNS, [row_of(self)])

    def _coordinates(self) -> Sequence[Any]:
        if isinstance(self.index, tuple):
            return self.index
        if isinstance(self.site, str):
            return (self.index,)
        return np.unravel_index(self.index, self.site.shape)

    def _op_text(self) -> str:
        if self.op == "replace":
            return f"replace by {self._operand_text()}"
        if strikes_bits(self.op):
            return f"{self._bits_text()} {self.op}"
        whole = isinstance(self.site, str) or len(self.bits) == self.site.format.bits
        text = str(self.op) if whole else f"{self._bits_text()} {self.op}"
        named = takes_number(self.op) or self.op == "byte-shift" or self.operand
        return f"{text} {_number(self.operand)}" if named else text

    def _operand_text(self) -> str:
        word = int(self.operand)
        return f"{word:#x}" if isinstance(self.site, str) else _number(self.home.format.value(word))

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


def is_permanent(op: Op) -> bool:
    """Whether an operator may strike at every step of what lives on from step to step."""
    return op in ("stuck-at-0", "stuck-at-1")


COLUMNS = ("tensor", "element", "sample", "step", "what", "before", "after")
"""Of a table of faults."""


def row_of(fault: Fault) -> tuple[str, ...]:
    """A fault as texts, in the order of :data:`COLUMNS`."""
    element = ", ".join(map(str, fault._coordinates()))
    sample, step = ("" if at is None else str(at) for at in (fault.sample, fault.step))
    values = ("" if v is None else _number(v) for v in (fault.before, fault.after))
    return fault.tensor, element, sample, step, fault._op_text(), *values


_FIELDS = tuple(field.name for field in fields(Fault))


def _number(value: float | int) -> str:
    return f"{value:.3g}".replace("e+", "e") if isinstance(value, float) else str(value)
