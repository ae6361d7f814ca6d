"""Progress is shown where a person looks, and nowhere else."""

from __future__ import annotations

import io
import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from faultsim import CampaignConfig, Workload, run_campaign, tasks
from faultsim.errors import ConfigError
from faultsim.progress import in_notebook


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def run(tmp_path, **options) -> None:
    work = Workload(
        nn.Linear(4, 3), (torch.randn(6, 4), torch.arange(6) % 3), tasks.Classification()
    )
    run_campaign(
        CampaignConfig(mode="random", flips=(1,), trials=3, out=str(tmp_path / "c")),
        work,
        **options,
    )


def test_in_a_terminal_there_is_a_bar(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    run(tmp_path)
    assert "injecting" in sys.stderr.getvalue() or "golden run" in sys.stderr.getvalue()


@pytest.mark.parametrize(
    ("stream", "options"), [(io.StringIO, {}), (Terminal, {"progress": False})]
)
def test_elsewhere_there_is_none(tmp_path, monkeypatch, capsys, stream, options):
    monkeypatch.setattr(sys, "stderr", stream())
    run(tmp_path, **options)
    assert not sys.stderr.getvalue()
    assert not capsys.readouterr().out


def test_a_function_is_told(tmp_path):
    told = []
    run(tmp_path, progress=lambda progress: told.append(progress.done))
    assert told == [0, 1, 2, 3]
    with pytest.raises(ConfigError, match="progress is a function"):
        run(tmp_path, progress="yes")


def test_a_notebook_has_a_bar_of_its_own(tmp_path, monkeypatch):
    display = pytest.importorskip("IPython.display")
    pictures: list[str] = []
    place = SimpleNamespace(update=lambda html: pictures.append(html.data))
    monkeypatch.setattr(display, "display", lambda html, display_id: place)
    shell = SimpleNamespace(kernel=object())
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    assert in_notebook()
    run(tmp_path)
    assert '<progress value="1" max="3">' in pictures[0]
    assert pictures[-1] == ""
