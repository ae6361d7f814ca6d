"""MedMNIST by name: what its package says, files that are there, and the download, faked."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from medmnist.evaluator import Evaluator
from medmnist.info import INFO

from faultsim.data import load_data
from faultsim.data.medmnist import NAMES, SIZES
from faultsim.errors import ConfigError
from faultsim.run.golden import Golden
from faultsim.run.judge import judge
from faultsim.workload import Batch
from faultsim.workload.metrics import probabilities
from faultsim.workload.tasks import Classification

TORCHVISION = "torchvision.datasets.utils"


def labels_like(name: str) -> np.ndarray:
    classes = len(INFO[name]["label"])
    if "multi-label" in INFO[name]["task"]:
        return np.tile([[0], [1]], (2, classes))
    return np.arange(classes)[:, None]


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home" / ".medmnist"


@pytest.fixture
def torchvision(monkeypatch):
    """Stands in for torchvision's download; tests say what it does."""

    def install(download_url):
        monkeypatch.setitem(sys.modules, TORCHVISION, SimpleNamespace(download_url=download_url))

    return install


def test_the_names_are_the_2d_sets():
    assert set(NAMES) == {name for name in INFO if not name.endswith("3d")}


@pytest.mark.parametrize("name", NAMES)
def test_task_and_classes_are_the_packages(name, npz, tmp_path):
    npz(name, labels_like(name))
    data = load_data(name, tmp_path)
    assert data.task == INFO[name]["task"].removesuffix(", binary-class")
    assert data.classes == tuple(INFO[name]["label"].values())


@pytest.mark.parametrize(
    ("name", "disease"), [("breastmnist", "malignant"), ("pneumoniamnist", "pneumonia")]
)
def test_the_positive_class_is_the_disease(name, disease, npz, tmp_path):
    path = npz(name, labels_like(name))
    for data in (load_data(name, tmp_path), load_data(str(path))):
        assert data.classes[data.positive] == disease


def test_tasks_do_not_depend_on_the_package(npz, tmp_path, monkeypatch):
    """They stand in manifests: installing a package must not keep a campaign from going on."""
    npz("retinamnist", labels_like("retinamnist"))
    monkeypatch.setitem(sys.modules, "medmnist.info", None)
    data = load_data("retinamnist", tmp_path)
    assert data.task == "ordinal-regression"
    assert data.classes == ("0", "1", "2", "3", "4")


def test_another_file_under_a_sets_name_keeps_its_own_classes(npz, tmp_path):
    npz("bloodmnist", np.arange(3)[:, None])
    assert load_data("bloodmnist", tmp_path).classes == ("0", "1", "2")
    npz("breastmnist_mine", np.arange(2)[:, None])
    assert load_data(str(tmp_path / "breastmnist_mine.npz")).positive == 1


@pytest.mark.parametrize("size", SIZES[1:])
def test_sizes_are_files_of_their_own(size, npz, tmp_path):
    npz(f"bloodmnist_{size}")
    data = load_data("bloodmnist", tmp_path, size)
    assert data.name == f"bloodmnist_{size}"  # no checkpoint for 28 pixels is meant
    with pytest.raises(ConfigError, match=r"bloodmnist\.npz does not exist"):
        load_data("bloodmnist", tmp_path, 28)


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        ("nodulemnist3d", None, "bloodmnist, breastmnist, chestmnist"),
        ("mnist", None, "use digits, a path, package.module:factory"),
        ("bloodmnist", 32, "must be 28, 64, 128 or 224, not 32"),
    ],
)
def test_names_and_sizes_that_there_are_not(name, size, message):
    with pytest.raises(ConfigError, match=message):
        load_data(name, size=size)


def test_nothing_is_downloaded_beside_a_data_root(tmp_path, torchvision):
    torchvision(lambda *args, **more: pytest.fail("downloaded"))
    md5 = INFO["octmnist"]["MD5_64"]
    with pytest.raises(
        ConfigError, match=rf"octmnist_64.npz does not exist: .*10519652 \(MD5 {md5}\)"
    ):
        load_data("octmnist", tmp_path, 64)


def test_a_missing_file_is_downloaded_once(home, npz, tmp_path, torchvision):
    served = npz("bloodmnist_64", labels_like("bloodmnist"), tmp_path / "server").read_bytes()
    calls = []

    def download_url(url, root, filename, md5):
        calls.append((url, md5))
        assert Path(root) != home
        (Path(root) / filename).write_bytes(served)

    torchvision(download_url)
    first, again = load_data("bloodmnist", size=64), load_data("bloodmnist", size=64)
    assert first.digest == again.digest
    assert calls == [(INFO["bloodmnist"]["url_64"], INFO["bloodmnist"]["MD5_64"])]
    assert [path.name for path in home.iterdir()] == ["bloodmnist_64.npz"]


@pytest.mark.parametrize(
    "error", [RuntimeError("File not found or corrupted.\nmore"), OSError("no route")]
)
def test_a_failed_download_is_one_line_and_leaves_nothing(error, home, torchvision):
    def download_url(url, root, filename, md5):
        (Path(root) / filename).write_bytes(b"half")
        raise error

    torchvision(download_url)
    with pytest.raises(
        ConfigError, match=r"cannot download bloodmnist.npz: (File not|no route)"
    ) as caught:
        load_data("bloodmnist")
    assert "\n" not in str(caught.value)
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("missing", ["medmnist.info", TORCHVISION])
def test_without_the_extra_the_error_says_how_to_get_the_file(missing, home, monkeypatch):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(
        ConfigError, match=r"pip install 'faultsim\[medmnist\]'.*put bloodmnist.npz"
    ):
        load_data("bloodmnist")


def test_the_package_is_read_without_a_word_and_without_torchvision(npz, tmp_path):
    npz("bloodmnist", labels_like("bloodmnist"))
    code = (
        "import sys; sys.modules['pandas'] = None\n"  # at which the package prints
        f"from faultsim.data import load_data; data = load_data('bloodmnist', {str(tmp_path)!r})\n"
        "assert data.classes[0] == 'basophil' and 'torchvision' not in sys.modules"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(5))
def test_outcomes_have_the_evaluators_accuracy_and_auc(name, seed, npz, tmp_path):
    rng = np.random.default_rng(seed)
    npz(name, rng.permutation(np.tile(labels_like(name), (6, 1))))
    split = load_data(name, tmp_path).test
    logits = torch.from_numpy(rng.normal(size=(len(split), len(INFO[name]["label"]))))
    batch = Batch(split.images, split.labels, len(split))
    task = Classification(logits.shape[1], multi_label=split.labels.ndim == 2)
    outcome = judge(task, Golden([batch], [logits], engine=None), [logits])
    scores = probabilities(logits, split.labels.ndim == 2).numpy()
    evaluated = Evaluator(name, "test", root=tmp_path).evaluate(scores)
    assert outcome.auc == pytest.approx(evaluated.AUC, rel=0, abs=1e-12)
    assert outcome.acc == evaluated.ACC


def real_files() -> list[Path]:
    root = os.environ.get("FAULTSIM_MEDMNIST_ROOT")
    if root is None:
        pytest.skip("FAULTSIM_MEDMNIST_ROOT names no folder of MedMNIST files")
    return sorted(Path(root).glob("*.npz"))


def test_real_files_are_what_the_package_says():
    files = real_files()
    assert files
    for path in files:
        info, data = INFO[path.stem], load_data(path.stem, path.parent)
        assert hashlib.md5(path.read_bytes()).hexdigest() == info["MD5"]
        assert {split: len(data.split(split)) for split in info["n_samples"]} == info["n_samples"]
        assert data.in_channels == info["n_channels"]
        assert data.task == info["task"]
        assert data.classes == tuple(info["label"].values())
