"""Tiny files in MedMNIST's layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def npz(tmp_path):
    """Writes ``name.npz`` with images of three channels and the labels given, or three classes."""

    def write(name: str, labels: np.ndarray | None = None, folder: Path = tmp_path) -> Path:
        rng = np.random.default_rng(0)
        rows = (np.arange(9) % 3)[:, None] if labels is None else labels
        arrays = {}
        for split in ("train", "val", "test"):
            arrays[f"{split}_images"] = rng.integers(0, 256, (len(rows), 8, 8, 3), dtype=np.uint8)
            arrays[f"{split}_labels"] = rows.astype(np.uint8)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{name}.npz"
        np.savez(path, **arrays)
        return path

    return write
