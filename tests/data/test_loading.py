"""Data by name, path and factory."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from faultsim.data import load_data
from faultsim.errors import ConfigError


@pytest.fixture
def npz(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {}
    for name, n in (("train", 9), ("val", 6), ("test", 3)):
        arrays[f"{name}_images"] = rng.integers(0, 256, (n, 8, 8, 3), dtype=np.uint8)
        arrays[f"{name}_labels"] = (np.arange(n) % 3)[:, None].astype(np.uint8)
    path = tmp_path / "tinymnist.npz"
    np.savez(path, **arrays)
    return path


def test_digits_are_split_without_overlap_and_in_range():
    data = load_data("digits")
    assert [len(data.split(name)) for name in ("train", "val", "test")] == [1077, 360, 360]
    images = torch.cat([data.train.images, data.val.images, data.test.images])
    assert images.shape == (1797, 1, 32, 32)
    assert images.min() == 0
    assert images.max() == 1
    assert set(data.test.labels.tolist()) == set(range(10))


def test_digits_are_the_same_everywhere():
    """The digest stands in every manifest; a campaign could not be resumed if it moved."""
    assert load_data("digits").digest.startswith("d25053d8")


def test_npz_files_by_path_and_by_name(npz):
    data = load_data(str(npz))
    assert data.test.images.shape == (3, 3, 8, 8)
    assert data.test.images.dtype == torch.float32
    assert (data.num_classes, data.in_channels) == (3, 3)
    raw = np.load(npz)["test_images"]
    assert data.test.images[1, 2, 3, 4] == raw[1, 3, 4, 2] / np.float32(255)
    assert load_data("tinymnist", npz.parent).digest == data.digest


def pair():
    return np.zeros((4, 1, 2, 2)), [0, 1, 1, 0]


def mapping():
    return {"test": pair(), "val": pair()}


def wrong():
    return 7


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    monkeypatch.setitem(sys.modules, "my_data", sys.modules[__name__])


def test_factories():
    assert len(load_data("my_data:pair").test) == 4
    assert len(load_data("my_data:pair").val) == 0
    assert len(load_data("my_data:mapping").val) == 4
    with pytest.raises(ConfigError, match="must return a Dataset"):
        load_data("my_data:wrong")


@pytest.mark.parametrize("drop", ["test_images", "val_labels"])
def test_npz_without_a_key_is_named(npz, drop):
    arrays = {key: value for key, value in np.load(npz).items() if key != drop}
    np.savez(npz, **arrays)
    with pytest.raises(ConfigError, match=f"lacks {drop}"):
        load_data(str(npz))


def test_missing_and_damaged_files(tmp_path):
    with pytest.raises(ConfigError, match="no data called 'pathmnist'"):
        load_data("pathmnist", tmp_path)
    with pytest.raises(ConfigError, match="no data file"):
        load_data(str(tmp_path / "none.npz"))
    (tmp_path / "bad.npz").write_bytes(b"PK nonsense")
    with pytest.raises(ConfigError, match="not a readable"):
        load_data(str(tmp_path / "bad.npz"))


def test_real_medmnist_files():
    root = os.environ.get("FAULTSIM_MEDMNIST_ROOT")
    if root is None:
        pytest.skip("FAULTSIM_MEDMNIST_ROOT names no folder of MedMNIST files")
    files = sorted(path for path in Path(root).glob("*.npz"))
    assert files
    for path in files:
        data = load_data(path.stem, root)
        assert len(data.test)
        assert data.num_classes >= 2
