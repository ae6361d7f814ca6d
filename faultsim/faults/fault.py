"""One fault: which word of which tensor is struck, and how."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np

from faultsim.formats import Format, bits_of, format_of, signed


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
        steps: For states, the time steps of the scan; 0 for what has none.
        axis: The dimension of the output along which samples lie.
        outer: That dimension has ``outer`` · samples · ``inner`` positions, in this order; 1 and 1
            where only samples lie along it. Where greater than 1, ``outer`` and ``inner`` stand in
            ``shape`` where the dimension was.
        inner: See ``outer``. Windows of an image that are folded into the batch are inner.
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

    @cached_property
    def format(self) -> Format:
        return format_of(self.dtype)

    @cached_property
    def numel(self) -> int:
        """Number of words, at one time step."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def words(self) -> int:
        """Number of words that can be struck, at all time steps."""
        return self.numel * max(1, self.steps)

    @property
    def layer(self) -> str:
        """The module that owns the weight or computes the activation."""
        owner = self.name.rpartition(".")[0] if self.kind == "weights" else self.name
        return owner or "(root)"

    def __getstate__(self) -> dict[str, Any]:  # cached properties are not part of the value
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True)
class Fault:
    """One corrupted word.

    Attributes:
        site: The tensor struck.
        index: Row-major over ``site.shape``, whatever the memory layout.
        mask: The bits struck, an int64 pattern.
        op: One of :data:`faultsim.ops.words.OPS`.
        operand: The new word for ``replace``, an int64 pattern.
        sample: For activations and states, the only sample struck; None strikes every sample.
        step: For states, the time step in the order of the scan.
        before: The value before, where :meth:`FaultSet.describe` has read it.
        after: The value after.
    """

    site: Site
    index: int
    mask: int
    op: str = "flip"
    operand: int = 0
    sample: int | None = None
    step: int | None = None
    before: float | None = None
    after: float | None = None

    @property
    def tensor(self) -> str:
        """The qualified name of the tensor struck."""
        return self.site.name

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
        return signed(new, self.site.format.bits)

    def __str__(self) -> str:
        where = ",".join(map(str, np.unravel_index(self.index, self.site.shape)))
        text = f"{self.tensor}[{where}]" if self.site.shape else self.tensor
        if self.step is not None:
            text += f" step {self.step}"
        if self.sample is not None:
            text += f" sample {self.sample}"
        if self.op == "replace":
            text += f" replace by {_number(self.site.format.value(self.operand))}"
        else:
            text += f" {self._bits_text()} {self.op}"
        if self.before is None or self.after is None:
            return text
        return f"{text}: {_number(self.before)} → {_number(self.after)}"

    def _bits_text(self) -> str:
        names = dict.fromkeys(self.site.format.field(bit) for bit in self.bits)
        low, high = self.bits[0], self.bits[-1]
        if len(self.bits) == 1:
            span = f"bit {low}"
        elif high - low + 1 == len(self.bits):
            span = f"bits {low}-{high}"
        else:
            span = "bits " + ",".join(map(str, self.bits))
        return f"{span} ({', '.join(names)})"


def _number(value: float | int) -> str:
    return f"{value:.3g}".replace("e+", "e") if isinstance(value, float) else str(value)
