"""Events of a systolic array on which a matrix product is mapped, tile by tile.

The product is C = A · B with A (m, k) and B (k, n); the array has ``rows`` × ``columns`` processing
elements. Output-stationary, element (r, c) accumulates C[i, j] for i ≡ r modulo rows and j ≡ c
modulo columns. Weight-stationary, it holds B[i, j] for such i and j, and what passes through it
goes on down its column, so that a fault there reaches a column of C, in all m rows (H. T. Kung,
"Why systolic architectures?", Computer 15, 1982).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from faultsim.faults.patterns.event import Elements, Size
from faultsim.faults.patterns.extent import Extent, Ints


class Along(NamedTuple):
    """What a fault reaches along one dimension of a matrix.

    Attributes:
        size: Of the dimension.
        tile: How much of it the array has at a time.
        reach: ``one`` position of a tile, the ``tile``, or ``all``.
        every: Whether it does so in every tile, rather than in one.
    """

    size: int
    tile: int
    reach: Literal["one", "tile", "all"]
    every: bool

    @property
    def groups(self) -> int:
        """How many sets of positions there are."""
        if self.reach == "one":
            return min(self.tile, self.size) if self.every else self.size
        return 1 if self.every or self.reach == "all" else -(-self.size // self.tile)

    def positions(self, group: int) -> Ints:
        """Those of one set, ascending."""
        if self.reach == "one":
            return np.arange(group, self.size if self.every else group + 1, self.tile)
        if self.every or self.reach == "all":
            return np.arange(self.size)
        return np.arange(group * self.tile, min(self.size, (group + 1) * self.tile))


class Systolic(Elements, tag="systolic", kw_only=True):
    """A processing element, a row or a column of a systolic array.

    In weights, only a weight-stationary array can be struck, and it is the weights it holds.

    Attributes:
        unit: What is faulty.
        dataflow: What stays in place in the array.
        rows: Of the array, and of a tile.
        columns: Of the array, and of a tile.
        features: The dimension of the tensor that runs along the columns of the product: ``first``
            (outputs of convolutions, weights), or ``last`` (outputs of linear layers). The others
            are its rows, in their order.
        tiles: Whether ``one`` tile is struck, as by an upset, or ``all``, as by a permanent fault.
    """

    unit: Literal["element", "row", "column"]
    dataflow: Literal["output-stationary", "weight-stationary"]
    rows: Size
    columns: Size
    features: Literal["first", "last"]
    tiles: Literal["one", "all"] = "one"

    def _matrix(self, extent: Extent) -> tuple[Along, Along]:
        """What a fault reaches along the rows and the columns of the product, or of the weights."""
        n = extent.shape[0 if self.features == "first" else -1] if extent.shape else 1
        every = self.tiles == "all"
        down: Literal["one", "tile", "all"] = "tile" if self.unit == "column" else "one"
        if self.dataflow == "weight-stationary" and not extent.at_rest:
            down = "all"  # whatever streams through
        across: Literal["one", "tile"] = "tile" if self.unit == "row" else "one"
        return (
            Along(extent.words // n, self.rows, down, every),
            Along(n, self.columns, across, every),
        )

    def groups(self, extent: Extent) -> int:
        if extent.at_rest and self.dataflow == "output-stationary":
            return 0
        rows, columns = self._matrix(extent)
        return rows.groups * columns.groups

    def elements(self, extent: Extent, group: int) -> Ints:
        rows, columns = self._matrix(extent)
        down, across = divmod(group, columns.groups)
        i, j = rows.positions(down), columns.positions(across)
        if self.features == "first":
            return np.asarray((j[:, None] * rows.size + i).ravel())
        return np.asarray((i[:, None] * columns.size + j).ravel())

    def said(self, extent: Extent) -> str:
        what = "processing element" if self.unit == "element" else self.unit
        tiles = "a tile" if self.tiles == "one" else "all tiles"
        return f"{what} of a {self.dataflow} {self.rows} × {self.columns} array, {tiles}"
