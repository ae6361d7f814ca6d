"""The embedded default: scikit-learn's handwritten digits, 1,797 images, at 32 × 32.

Source: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine
Learning Repository, 1998 (CC BY 4.0), as bundled with scikit-learn.
"""

from __future__ import annotations

import torch
from torch.nn import functional

from faultsim.data.dataset import Dataset, Split

SIDE = 32


def load_digits() -> Dataset:
    """Every fifth image is test, the next ones validation, the other three training."""
    from sklearn.datasets import load_digits as bundled

    pixels, classes = bundled(return_X_y=True)
    # Sixteenths of small integers: bilinear interpolation at this scale is exact in float32, so the
    # images, and with them every digest, are the same on every platform.
    small = torch.tensor(pixels, dtype=torch.float32).view(-1, 1, 8, 8) / 16
    images = functional.interpolate(small, size=SIDE, mode="bilinear", align_corners=False)
    labels = torch.tensor(classes, dtype=torch.int64)
    part = torch.arange(len(labels)) % 5
    test, val = part == 0, part == 1
    train = part > 1
    return Dataset("digits", 10, *(Split(images[p], labels[p]) for p in (train, val, test)))
