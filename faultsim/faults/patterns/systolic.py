"""Events of a systolic array on which a matrix product is mapped, tile by tile.

The product is C = A · B with A (m, k) and B (k, n); the array has ``rows`` × ``columns`` processing
elements. Output-stationary, element (r, c) accumulates C[i, j] for i ≡ r modulo rows and j ≡ c modulo
columns. Weight-stationary, it holds B[i, j] for such i and j, and what passes through it goes on down
its column, so that a fault there reaches a column of C, in all m rows (H. T. Kung, "Why systolic
architectures?", Computer 15, 1982).
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from faultsim.faults.patterns.event import Elements, Size
from faultsim.faults.patterns.extent import Extent, Ints


class Systolic(Elements, tag="systolic", kw_only=True, frozen=True):
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

    def matrix(self, extent: Extent) -> tuple[int, int]:
        """Rows and columns of the product, or of the weights: k and n."""
        if not extent.shape:
            return 1, 1
        columns = extent.shape[0 if self.features == "first" else -1]
        return extent.words // columns, columns

    def _struck_rows(self, extent: Extent) -> int:
        """Rows of the matrix among which a fault tells; 1 where it reaches all of them."""
        through = self.dataflow == "weight-stationary" and not extent.at_rest
        return 1 if through or self.unit == "column" else self.rows

    def _sizes(self, extent: Extent) -> tuple[int, int, int, int]:
        """Rows and columns of tiles, and units along either within a tile, as far as they fit."""
        m, n = self.matrix(extent)
        high = -(-m // self.rows)
        if self.dataflow == "weight-stationary" and not extent.at_rest:
            high = 1  # all rows stream through the same tile of weights
        wide = -(-n // self.columns)
        across = 1 if self.unit == "row" else min(self.columns, n)
        return high, wide, min(self._struck_rows(extent), m), across

    def groups(self, extent: Extent) -> int:
        if extent.at_rest and self.dataflow == "output-stationary":
            return 0
        return len(self._units(extent))

    def _units(self, extent: Extent) -> list[tuple[int, int]]:
        """First row and column of the matrix that each unit, of each tile, strikes."""
        high, wide, down, across = self._sizes(extent)
        m, n = self.matrix(extent)
        if self.tiles == "all":
            high = wide = 1
        return [
            (i * self.rows + r, j * self.columns + c)
            for i in range(high)
            for j in range(wide)
            for r in range(down)
            for c in range(across)
            if i * self.rows + r < m and j * self.columns + c < n
        ]

    def elements(self, extent: Extent, group: int) -> Ints:
        m, n = self.matrix(extent)
        top, left = self._units(extent)[group]
        i, j = np.arange(m), np.arange(n)
        if self._struck_rows(extent) > 1:
            i = i[top:: self.rows] if self.tiles == "all" else i[top: top + 1]
        elif self._sizes(extent)[0] > 1 and self.tiles == "one":
            i = i[top: top + self.rows]
        if self.unit != "row":
            j = j[left:: self.columns] if self.tiles == "all" else j[left: left + 1]
        elif self.tiles == "one":
            j = j[left: left + self.columns]
        if self.features == "first":
            return np.asarray((j[:, None] * m + i).ravel())
        return np.asarray((i[:, None] * n + j).ravel())

    def said(self, extent: Extent) -> str:
        what = {"element": "processing element"}.get(self.unit, self.unit)
        tiles = "a tile" if self.tiles == "one" else "all tiles"
        return f"{what} of a {self.dataflow} {self.rows} × {self.columns} array, {tiles}"
