"""Rankings say how far they can be trusted, pages say it too, and nothing is too wide."""

from __future__ import annotations

import re

import pytest

from faultsim.report import write_report
from faultsim.report.narrow import short
from faultsim.report.ranking import FIRST, ranked, warning
from faultsim.report.reading import read_campaign
from faultsim.table import Table


@pytest.fixture
def layers(write_campaign, line, tmp_path):
    def write(trials: int, **harm: int):
        sites = {f"{name}.weight": "float32" for name in harm}
        lines = [
            line(n * len(harm) + k, 9 - lost, (f"{name}.weight", 30), layer=name, flips=1, sdc=lost)
            for n in range(trials)
            for k, (name, lost) in enumerate(harm.items())
        ]
        return write_campaign(tmp_path / "layers", lines, mode="layer-wise", sites=sites)

    return write


def test_few_trials_rank_nothing(layers):
    run = read_campaign(layers(2, stem=9, head=0))
    assert "noise" in warning(run)
    assert {row[FIRST] for row in ranked(run).rows} == {"yes"}


def test_many_trials_find_the_worst(layers):
    run = read_campaign(layers(40, stem=9, head=0))
    table = ranked(run)
    assert [(row["layer"], row[FIRST]) for row in table.rows] == [("stem", "yes"), ("head", "no")]
    assert "stem is the most harmful" in table.note
    assert not warning(run)


def test_the_page_says_that_a_ranking_is_noise(layers, tmp_path):
    text = write_report([layers(2, stem=9, head=0)], tmp_path / "r.html").page.read_text()
    assert '<p class="note">' in text
    assert "any of the 2 layers may be the most harmful" in text
    assert "Most harm is done with stem, 1 flip" in text  # a headline
    assert "Rates by trial" in text


def test_runs_that_can_be_compared_are(write_campaign, line, tmp_path):
    for name, sdc in (("a", 4), ("b", 0)):
        lines = [line(n, 9 - sdc, ("head.weight", n), flips=1, sdc=sdc) for n in range(20)]
        write_campaign(tmp_path / name, lines, digest=name * 64)
    text = write_report([tmp_path], tmp_path / "r.html").page.read_text()
    assert "Differences between runs" in text
    assert re.search(r"<td[^>]*>yes</td>", text)


def test_names_are_shortened_in_the_middle():
    assert short("layers.0.blocks.0.conv.weight", 20) == "layers…0.conv.weight"[:20]
    assert len(short("x" * 99, 20)) == 20
    assert short("head", 20) == "head"


def test_a_table_as_latex_escapes_what_it_must():
    table = Table(("layer_1", "n"), [{"layer_1": "50 % & more", "n": 3}])
    assert table.latex() == (
        "\\begin{tabular}{lr}\n\\toprule\nlayer\\_1 & n \\\\\n\\midrule\n"
        "50 \\% \\& more & 3 \\\\\n\\bottomrule\n\\end{tabular}\n"
    )
