"""What is published is whole: the source distribution, and its wheel in an empty environment."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def said(*command: str, **settings) -> str:
    done = subprocess.run(command, capture_output=True, text=True, **settings)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Path:
    pytest.importorskip("build.env", reason="make package installs it")  # build/ is a folder too
    folder = tmp_path_factory.mktemp("dist")
    build = (sys.executable, "-m", "build", "--no-isolation")
    said(*build, "--sdist", "--outdir", str(folder), str(ROOT))
    (made,) = folder.glob("*.tar.gz")
    return made


@pytest.mark.slow
def test_the_source_distribution_has_every_file(archive):
    with tarfile.open(archive) as file:
        held = {name.partition("/")[2] for name in file.getnames()}
    try:
        known = said("git", "ls-files", cwd=ROOT).splitlines()
    except (AssertionError, FileNotFoundError):
        pytest.skip("not a clone")
    there = [name for name in known if (ROOT / name).exists()]
    assert [name for name in there if name not in held] == []


@pytest.mark.slow
def test_a_wheel_works_in_an_empty_environment(archive, tmp_path):
    """Made from the source distribution alone, offline, beside the dependencies that are here.

    What the same compiler made of the same sources before, it need not make again.
    """
    pytest.importorskip("pybind11", reason="make package installs it")
    with tarfile.open(archive) as file:
        file.extractall(tmp_path, filter="data")
    (source,) = tmp_path.glob("faultsim-*")
    for objects in ROOT.glob("build/objects-*"):
        shutil.copytree(objects, source / "build" / objects.name)
    build = (sys.executable, "-m", "build", "--no-isolation", "--wheel")
    said(*build, "--outdir", str(tmp_path), str(source))
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert any(name.startswith("faultsim/_C.") for name in names)
    assert not any(name.startswith(("tests", "docs", "benchmarks")) for name in names)

    home = tmp_path / "empty"
    said(sys.executable, "-m", "venv", str(home))
    python = str(home / "bin" / "python")
    said(python, "-m", "pip", "install", "--no-deps", "--no-index", str(wheel))
    packages = said(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    found = [path for path in sys.path if path.endswith("site-packages")]
    Path(packages, "dependencies.pth").write_text("\n".join(found))
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    command = (str(home / "bin" / "faultsim"), "campaign", "--mode", "random", "--flips", "1")
    table = said(*command, "--trials", "2", "--limit", "8", cwd=home, env=clean)
    assert "Golden accuracy" in table
    where = said(python, "-c", "import faultsim; print(faultsim.__file__)", cwd=home, env=clean)
    assert Path(where.strip()).is_relative_to(home)


def test_there_is_one_version():
    version = re.search(
        r"^version = \"(.+)\"", (ROOT / "pyproject.toml").read_text(), re.MULTILINE
    )[1]
    import faultsim

    assert faultsim.__version__ == version
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"\n## {version}" in (ROOT / "CHANGELOG.md").read_text()
