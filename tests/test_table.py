"""What objects look like in a terminal and in a notebook: short, and escaped."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import faultsim
from faultsim import CampaignConfig, Fault, FaultSpace, Workload, tasks
from faultsim.errors import ConfigError
from faultsim.stats import Estimate
from faultsim.table import SHOWN, Table


@pytest.fixture
def space() -> FaultSpace:
    return FaultSpace(nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 3)))


def objects(space: FaultSpace) -> list[object]:
    model = nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 3))
    many = space.sample(500, seed=1)
    return [
        Fault("0.weight", (2, 1), bit=30),
        next(iter(many)),
        many,
        space,
        Workload(model, torch.randn(5, 4), tasks.Classification(), name="mine"),
        faultsim.inject(model, many),
        Estimate(0.25, 0.1, 0.4, 20, "exact"),
        CampaignConfig(mode="layer-wise", trials=3),
        space.sites[0],
    ]


def test_representations_are_short(space):
    for each in objects(space):
        assert len(repr(each)) < 200, each
    assert repr(CampaignConfig(trials=3)) == "CampaignConfig(trials=3)"
    assert repr(Fault("fc.weight", (3, 17), bit=30)) == "Fault(fc.weight[3,17] bit 30 flip)"


def test_a_notebook_sees_no_more_than_a_page(space):
    for each in objects(space)[:-3]:
        html = each._repr_html_()
        assert 0 < len(html) < 8000
        assert html.count("<tr>") <= SHOWN + 1


def test_names_are_escaped_in_a_notebook():
    table = Table(("<b>",), [{"<b>": "<script>"}])
    assert "<script>" not in table._repr_html_()
    assert "<b>" not in table._repr_html_()


def test_a_space_describes_its_tensors(space):
    table = space.describe()
    assert [row["tensor"] for row in table.rows] == [site.name for site in space.sites]
    assert sum(row["bits"] for row in table.rows) == len(space)
    assert table.rows[0]["bits"] == 4 * 6 * 32
    assert "steps" not in table.columns


def test_a_space_says_what_cannot_be_struck():
    model = nn.Linear(2, 2)
    model.register_buffer("on", torch.ones(2, dtype=torch.bool))
    space = FaultSpace(model)
    assert ("on" in space.describe().note) == ("on" in space.skipped)


def test_tables_are_text_with_numbers_to_the_right():
    table = Table(("name", "n"), [{"name": "a", "n": 1}, {"name": "bb", "n": 1000}], "a note")
    assert repr(table).splitlines() == ["name      n", "a         1", "bb    1,000", "a note"]


def test_frames_need_pandas(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(ConfigError, match=r"pip install 'faultsim\[export\]'"):
        Table(("a",), [{"a": 1}]).frame()
