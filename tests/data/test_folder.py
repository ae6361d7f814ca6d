"""Image folders."""

from __future__ import annotations

import os
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from faultsim.data import load_data
from faultsim.errors import ConfigError


@pytest.fixture
def scans(tmp_path):
    """Writes random images, which it returns by path, into a folder."""

    def write(*paths: str, size=(6, 4), mode: str = "L") -> dict[str, np.ndarray]:
        rng = np.random.default_rng(len(paths))
        shape = size[::-1] if mode == "L" else (*size[::-1], 3)
        pixels = {path: rng.integers(0, 256, shape, dtype=np.uint8) for path in paths}
        for path, image in pixels.items():
            (tmp_path / "scans" / path).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(tmp_path / "scans" / path)
        return pixels

    return write


@pytest.fixture
def folder(tmp_path) -> str:
    return str(tmp_path / "scans")


@pytest.mark.parametrize("val", ["val", "valid", "validation"])
def test_splits_and_classes_are_folders(scans, folder, val):
    scans("train/sick/0.png", "train/well/0.png", f"{val}/well/a.png")
    tested = scans("test/well/b.png", "test/sick/c.png", "test/sick/a.bmp")
    data = load_data(folder)
    assert (data.name, data.task) == ("scans (folder)", "binary-class")
    assert data.classes == ("sick", "well")
    assert [len(data.split(name)) for name in ("train", "val", "test")] == [2, 1, 3]
    assert data.test.labels.tolist() == [0, 0, 1]
    order = ("test/sick/a.bmp", "test/sick/c.png", "test/well/b.png")
    expected = np.stack([tested[path] for path in order])[:, None] / np.float32(255)
    assert torch.equal(data.test.images, torch.from_numpy(expected))


def test_capitals_hidden_files_and_clashing_splits(scans, folder):
    scans("Train/a/0.png", "Test/a/0.png", "Test/b/0.png")
    Path(folder, "Test", "a", "._0.png").write_text("what some systems leave beside files")
    Path(folder, "Test", "a", "folder.png").mkdir()
    data = load_data(folder)
    assert data.classes == ("a", "b")
    assert (len(data.train), len(data.test)) == (1, 2)
    scans("val/a/0.png", "valid/a/0.png")
    with pytest.raises(ConfigError, match="are both the val split"):
        load_data(folder)


def test_without_folders_of_splits_all_is_test(scans, folder):
    scans("c/1.png", "a/1.png", "b/deeper/1.png")
    Path(folder, ".cache").mkdir()
    Path(folder, "notes.txt").write_text("no image")
    data = load_data(folder)
    assert data.classes == ("a", "b", "c")
    assert [len(data.split(name)) for name in ("train", "val", "test")] == [0, 0, 3]


def test_one_image_in_colour_makes_all_of_them_so(scans, folder):
    scans("a/1.png", size=(4, 4))
    assert load_data(folder).in_channels == 1
    colour = scans("b/1.png", size=(4, 4), mode="RGB")["b/1.png"]
    images = load_data(folder).test.images
    assert images.shape == (2, 3, 4, 4)
    assert torch.equal(images[0, 0], images[0, 2])
    assert images[1, 2, 1, 3] == colour[1, 3, 2] / np.float32(255)


def test_sizes_must_agree_unless_one_is_asked_for(scans, folder):
    scans("a/1.png", size=(6, 4))
    scans("a/2.png", size=(8, 8))
    with pytest.raises(ConfigError, match=r"6×4, .*8×8: give --size"):
        load_data(folder)
    assert load_data(folder, size=5).test.images.shape == (2, 1, 5, 5)
    with pytest.raises(ConfigError, match="at least 1"):
        load_data(folder, size=0)


def test_the_digest_covers_the_pixels(scans, folder):
    pixels = scans("a/1.png", "b/1.png")["a/1.png"]
    before = load_data(folder).digest
    pixels[0, 0] ^= 1
    Image.fromarray(pixels).save(Path(folder, "a/1.png"))
    assert load_data(folder).digest != before


def test_deep_pixels_are_refused_rather_than_clipped(scans, folder):
    scans("a/1.png")
    Image.fromarray(np.full((4, 6), 40_000, np.uint16)).save(Path(folder, "a/2.png"))
    with pytest.raises(ConfigError, match="images must have 8 bits"):
        load_data(folder)


@pytest.mark.parametrize("keep", [0, 20, 60])
def test_damaged_images_are_named(scans, folder, keep):
    scans("a/1.png", size=(30, 30))
    path = Path(folder, "a/1.png")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ConfigError, match=r"1.png is not a readable image"):
        load_data(folder)


def test_folders_without_images(scans, folder, tmp_path):
    Path(folder).mkdir()
    with pytest.raises(ConfigError, match="no test images"):
        load_data(folder)
    scans("train/a/1.png")
    with pytest.raises(ConfigError, match="has train but no test folder"):
        load_data(folder)


def test_without_pillow_the_error_says_how_to_get_it(scans, folder, monkeypatch):
    scans("a/1.png")
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ConfigError, match=r"pip install 'faultsim\[images\]'"):
        load_data(folder)


@pytest.mark.parametrize("side", [9_000, 100_000])
def test_an_image_of_too_many_pixels_is_refused_by_its_header(scans, folder, side):
    scans("a/1.png", "a/2.png")
    path = Path(folder, "a/2.png")
    text = bytearray(path.read_bytes())
    text[16:24] = struct.pack(">II", side, side)
    text[29:33] = struct.pack(">I", zlib.crc32(text[12:29]))
    path.write_bytes(bytes(text))
    with pytest.raises(ConfigError, match=r"2\.png (says it is|is not a readable image)"):
        load_data(folder, size=8)


@pytest.mark.parametrize("name", ["b", "b/deeper", ""])
def test_a_folder_that_cannot_be_read_is_no_empty_class(scans, folder, monkeypatch, name):
    scans("a/1.png", "b/2.png", "b/deeper/3.png")
    real, closed = os.scandir, os.path.normpath(os.path.join(folder, name))

    def scandir(path):
        if os.path.normpath(os.fspath(path)) == closed:
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    monkeypatch.setattr(os, "listdir", lambda path: [entry.name for entry in scandir(path)])
    with pytest.raises(ConfigError, match=rf"cannot read the folder {closed}: Permission denied"):
        load_data(folder)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_class_folder_without_permission_is_refused(scans, folder):
    scans("a/1.png", "b/2.png")
    Path(folder, "b").chmod(0)
    with pytest.raises(ConfigError, match="cannot read the folder"):
        load_data(folder)
    Path(folder, "b").chmod(0o755)


@given(data=st.data())
def test_mutated_bytes_of_an_image_end_in_one_line(data, tmp_path_factory):
    path = tmp_path_factory.mktemp("mutated") / "a" / "1.png"
    path.parent.mkdir()
    Image.fromarray(np.arange(24, dtype=np.uint8).reshape(4, 6)).save(path)
    text = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        place, width = data.draw(st.integers(0, len(text) - 1)), data.draw(st.integers(0, 3))
        text[place : place + width] = data.draw(st.binary(max_size=3))
    path.write_bytes(bytes(text))
    try:
        load_data(str(path.parent.parent))
    except ConfigError as error:
        told = str(error)
    else:
        told = ""
    assert "\n" not in told
