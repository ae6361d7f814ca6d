"""The bit format of each dtype of this torch."""

from __future__ import annotations

import torch

from faultsim.formats import KNOWN, Format

FORMATS: dict[torch.dtype, Format] = {
    known.dtype: known for known in KNOWN.values() if hasattr(torch, known.name)
}
"""Every dtype of a word; not every supported torch has all of them."""
