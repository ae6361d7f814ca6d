"""Data by name, path and factory."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from faultsim.data import Split, load_data
from faultsim.data.loading import dataset_of
from faultsim.data.workload import ImageWorkload, labelled
from faultsim.errors import ConfigError


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


def test_npz_files_by_path(npz):
    data = load_data(str(npz("tinymnist")))
    assert data.test.images.shape == (9, 3, 8, 8)
    assert data.test.images.dtype == torch.float32
    assert (data.num_classes, data.in_channels) == (3, 3)
    raw = np.load(npz("tinymnist"))["test_images"]
    assert data.test.images[1, 2, 3, 4] == raw[1, 3, 4, 2] / np.float32(255)


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
    path = npz("tinymnist")
    arrays = {key: value for key, value in np.load(path).items() if key != drop}
    np.savez(path, **arrays)
    with pytest.raises(ConfigError, match=f"lacks {drop}"):
        load_data(str(path))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("test_images", np.zeros((9, 8, 8)), "must be uint8"),
        ("val_labels", np.array(["a"] * 9), "must be integers"),
        ("val_labels", np.arange(3), "with n labels"),
    ],
)
def test_npz_files_with_something_else_in_them(npz, key, value, message):
    path = npz("tinymnist")
    np.savez(path, **dict(np.load(path)) | {key: value})
    with pytest.raises(ConfigError, match=message):
        load_data(str(path))


def test_missing_and_damaged_files(tmp_path):
    with pytest.raises(ConfigError, match="no data file"):
        load_data(str(tmp_path / "none.npz"))
    np.save(tmp_path / "array.npy", np.zeros(3))
    (tmp_path / "array.npy").rename(tmp_path / "array.npz")
    for name, text in {"bad": b"PK nonsense", "empty": b""}.items():
        (tmp_path / f"{name}.npz").write_bytes(text)
    for name in ("empty", "array"):
        with pytest.raises(ConfigError, match="not a readable"):
            load_data(str(tmp_path / f"{name}.npz"))
    with pytest.raises(ConfigError, match="not a readable"):
        load_data(str(tmp_path / "bad.npz"))


def test_names_win_over_folders_and_folders_over_the_rest(tmp_path, monkeypatch):
    """A folder that happens to be called like a set must not take its place."""
    monkeypatch.chdir(tmp_path)
    for name in ("digits", "bloodmnist", "scans"):
        (tmp_path / name).mkdir()
    assert load_data("digits").name == "digits"
    with pytest.raises(ConfigError, match=r"bloodmnist.npz does not exist"):
        load_data("bloodmnist", tmp_path)
    for folder in ("./bloodmnist", "scans"):
        with pytest.raises(ConfigError, match="no test images"):
            load_data(folder)


@pytest.mark.parametrize("spec", ["digits", "x/y.npz", "my_data:pair"])
def test_a_size_that_would_be_ignored_is_refused(spec):
    with pytest.raises(ConfigError, match="--size goes with"):
        load_data(spec, size=64)


def several():
    return np.zeros((4, 1, 2, 2)), [[0, 1, 1], [1, 0, 0], [0, 0, 0], [1, 1, 1]]


def test_rows_of_labels_are_several_labels():
    data = load_data("my_data:several")
    assert (data.task, data.num_classes) == ("multi-label", 3)
    assert data.val.labels.shape == (0, 3)


X, Y = torch.rand(8, 1, 8, 8), torch.arange(8) % 3


@pytest.mark.parametrize(
    "made",
    [
        (X, Y),
        [X.numpy(), Y.tolist()],
        TensorDataset(X, Y),
        DataLoader(TensorDataset(X, Y), 3),
        {"test": TensorDataset(X, Y), "val": (X[:2], Y[:2])},
        Split(X.clone().requires_grad_(), Y),
    ],
    ids=["pair", "arrays", "TensorDataset", "DataLoader", "splits", "Split"],
)
def test_what_people_have_at_hand_is_a_data_set(made):
    data = dataset_of(made, "data")
    assert torch.equal(data.test.images, X)
    assert torch.equal(data.test.labels, Y)
    assert data.num_classes == 3
    assert len(data.val) == (2 if isinstance(made, dict) else 0)


@pytest.mark.parametrize("made", [X, 7, object(), [1, 2], (X, ["a"] * 8), {"train": (X, Y)}])
def test_what_is_no_data_is_told_in_one_line(made):
    with pytest.raises(ConfigError, match=r"^data must be a Dataset, \(images, labels\)") as error:
        dataset_of(made, "data")
    assert "\n" not in str(error.value)


def test_labels_of_a_regression_are_told():
    with pytest.raises(ConfigError, match="labels must be whole numbers"):
        dataset_of((X, torch.rand(8)), "data")


@pytest.mark.parametrize("shape", [(8,), (4, 16), (2, 4, 8)])
def test_labelled_samples_of_any_shape_are_a_workload(shape):
    model = nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(shape)), 3))
    work = labelled(model, (torch.rand(8, *shape), Y), "data")
    assert isinstance(work, ImageWorkload) == (len(shape) == 3)
    assert sum(batch.size for batch in work.read("test", 3)) == 8
