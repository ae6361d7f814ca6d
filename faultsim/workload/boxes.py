"""Boxes of an image with labels: which of two runs are the same, and what became of the others."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

Matrix = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


class Boxes(NamedTuple):
    """The boxes of an image.

    Attributes:
        corners: (k, 4) x1, y1, x2, y2.
        labels: (k,).
        scores: (k,).
    """

    corners: torch.Tensor
    labels: torch.Tensor
    scores: torch.Tensor

    def where(self, chosen: torch.Tensor) -> Boxes:
        """Those that are chosen, (k,) bool."""
        return Boxes(*(part[chosen] for part in self))


class Changes(NamedTuple):
    """How many boxes of an image became what; all 0 where each has its like."""

    appeared: int
    vanished: int
    moved: int
    relabelled: int


def corners_of(centred: torch.Tensor) -> torch.Tensor:
    """x1, y1, x2, y2 of boxes given as centre x, y, width, height; (..., 4)."""
    centre, half = centred[..., :2], centred[..., 2:] / 2
    return torch.cat([centre - half, centre + half], dim=-1)


def changes(golden: Boxes, faulty: Boxes, iou: float) -> Changes:
    """What became of an image's boxes.

    Boxes are paired one to one: first those of one class that overlap by ``iou`` or more, then of
    different classes (relabelled), then of one class that overlap at all (moved). As many pairs as
    there can be, of the largest overlap. What is left has vanished or appeared.
    """
    overlap = overlaps(golden.corners, faulty.corners)
    alike = (golden.labels[:, None] == faulty.labels[None]).numpy()
    near, left = overlap >= iou, np.ones(overlap.shape, dtype=np.bool_)
    pairs = []
    for allowed in (alike & near, ~alike & near, alike & (overlap > 0)):
        rows, columns = _paired(allowed & left, overlap)
        left[rows], left[:, columns] = False, False
        pairs.append(len(rows))
    _, relabelled, moved = pairs
    vanished, appeared = (size - sum(pairs) for size in overlap.shape)
    return Changes(appeared, vanished, moved, relabelled)


def overlaps(ones: torch.Tensor, others: torch.Tensor) -> Matrix:
    """(k, m) intersection over union, 0 of what is not finite; 1 of equal boxes without an area.

    Args:
        ones: (k, 4) corners.
        others: (m, 4) corners.
    """
    one, other = ones.double()[:, None], others.double()[None]
    sides = torch.minimum(one[..., 2:], other[..., 2:]) - torch.maximum(
        one[..., :2], other[..., :2]
    )
    common = sides.clamp_min(0).prod(dim=-1)
    areas = ((each[..., 2:] - each[..., :2]).clamp_min(0).prod(dim=-1) for each in (one, other))
    found = common / (sum(areas) - common)
    found = torch.where(found.isfinite(), found, 0.0)
    return torch.where((one == other).all(dim=-1), 1.0, found).numpy()


def _paired(allowed: Flags, overlap: Matrix) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    from scipy.optimize import linear_sum_assignment

    most = max(1, *allowed.shape)  # one pair more outweighs any overlap
    rows, columns = linear_sum_assignment(np.where(allowed, most + overlap, 0), maximize=True)
    real = allowed[rows, columns]
    return rows[real], columns[real]
