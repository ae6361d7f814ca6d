"""What a page of the site shows works, from its first block to its last."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from faultsim.cli.main import main

sys.path.insert(0, str(Path(__file__).parent))
from pages import ROOT, Block, blocks, pages

sys.path.pop(0)


@pytest.fixture
def page(tmp_path, monkeypatch):
    """A folder, a module that the code is of, and the global random state left alone."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    module = ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", module)
    with torch.random.fork_rng():
        yield module


def run(block: Block, path: str, module: ModuleType) -> None:
    if block.kind == "python":
        exec(compile(block.code, path, "exec"), vars(module))
        return
    for line in block.code.splitlines():
        if line.startswith("$ faultsim"):
            assert main(shlex.split(line)[2:]) == 0, line


@pytest.mark.slow
@pytest.mark.parametrize("path", pages())
def test_a_page_runs(path, page):
    left_out = set()
    for block in blocks(path):
        if missing := block.missing:
            left_out.update(missing)
        else:
            run(block, path, page)
    if left_out:
        pytest.skip(f"all but the blocks that need {', '.join(sorted(left_out))}")


def test_commands_of_pages_are_ours():
    """Whatever is in a console block is run, or is told apart by another name."""
    for path in pages():
        for block in blocks(path):
            if block.kind == "console":
                lines = [line for line in block.code.splitlines() if line.strip()]
                assert lines, path
                assert all(line.startswith("$ faultsim ") for line in lines), path


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 120


def test_files_that_the_readme_names_are_there():
    links = re.findall(r"\]\(([^)#:]+)\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
