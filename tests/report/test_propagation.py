"""The figure of where errors travel: means over samples and trials, by the depth struck."""

from __future__ import annotations

import json
import math

import pytest

from faultsim.report.figures import propagation
from faultsim.report.sources import read_sources

OUTPUTS = ["stem", "body", "body@1", "head", "head:(1)", "last"]
SAMPLES = 10


@pytest.fixture
def observed(tmp_path, line, write_campaign):
    """The stem twice, the second raised after the body; the last layer; a raw parameter."""

    def go(**settings):
        struck = ("stem.weight", "stem.weight", "last.weight", "free")
        lines = [line(n, 5, (name, 3)) for n, name in enumerate(struck)]
        sites = {"stem.weight": "float32", "last.weight": "float32", "free": "float32"}
        directory = write_campaign(tmp_path / "observed", lines, sites=sites, **settings)
        manifest = json.loads((directory / "manifest.json").read_text())
        manifest["observed"] = dict.fromkeys(OUTPUTS, SAMPLES)
        manifest["config"]["observe"] = True
        (directory / "manifest.json").write_text(json.dumps(manifest))
        one = {"n": SAMPLES, "touched": 10, "deviation": 0.5, "changed": 0.25, "nonfinite": 0.0}
        trials = [
            [{"site": "stem", **one}, {"site": "body", **one, "touched": 4, "deviation": 2.0}],
            [
                {"site": "stem", **one, "touched": 0, "changed": 0.0},
                *({"site": name, "n": 0, "touched": 0} for name in OUTPUTS[2:]),
            ],
            [{"site": "last", **one, "deviation": "inf", "nonfinite": 1.0}],
            [],
        ]
        text = (json.dumps({"trial": n, "sites": sites}) for n, sites in enumerate(trials))
        (directory / "observed-0.jsonl").write_text("".join(f"{row}\n" for row in text))
        return directory

    return go


def rows(directory, **where):
    return propagation.table(read_sources([directory])).where(**where)


def value(directory, **where):
    (row,) = rows(directory, **where).rows
    return row["value"]


def test_trials_are_grouped_by_the_third_of_the_pass_that_was_struck(observed):
    directory = observed()
    assert rows(directory).values("struck") == ["early third", "late third", "elsewhere"]
    assert rows(directory, site="body@1").values("depth") == [2]


def test_shares_are_means_over_the_samples_that_got_there(observed):
    directory = observed()
    early = {"struck": "early third"}
    assert value(directory, site="stem", measure="samples touched", **early) == 10 / 20
    assert value(directory, site="stem", measure="words changed", **early) == 0.25 / 2
    assert value(directory, site="body", measure="samples touched", **early) == 4 / 20
    head = rows(directory, site="head", measure="samples touched", **early).rows
    assert [(row["value"], row["n"]) for row in head] == [
        (0.0, 1)
    ]  # one trial: the other ended before
    late = {"struck": "late third"}
    assert value(directory, site="last", measure="words not finite", **late) == 1.0
    assert value(directory, site="stem", measure="samples touched", **late) == 0.0


def test_the_deviation_is_the_median_of_the_trials_that_touched_the_output(observed):
    directory = observed()
    found = rows(directory, measure=propagation.DEVIATION)
    known = {(row["struck"], row["site"]): row["value"] for row in found.rows}
    assert known == {
        ("early third", "stem"): 0.5,
        ("early third", "body"): 2.0,
        ("late third", "last"): math.inf,
    }


def test_several_sampled_trials_have_an_interval(observed):
    sampled = rows(observed(), measure="samples touched").rows
    several = [row for row in sampled if row["n"] > 1]
    assert several
    assert all(row["low"] <= row["value"] <= row["high"] for row in several)


def test_exhaustive_campaigns_have_no_interval(observed):
    directory = observed(mode="exhaustive", flips=[1])
    assert {row["low"] for row in rows(directory, measure="samples touched").rows} == {None}


def test_a_line_for_each_band_and_a_panel_for_each_measure(observed):
    table = rows(observed())
    figure = propagation.draw(table, None)
    labels = [axes.get_ylabel() for axes in figure.axes]
    assert labels == [*propagation.SHARES, propagation.DEVIATION]
    first = figure.axes[0]
    drawn = {line.get_label(): list(line.get_ydata()) for line in first.lines}
    early = rows_of(table, "early third")
    assert drawn["struck: early third"] == early
    names = [text.get_text() for text in figure.axes[-1].get_xticklabels()]
    assert names == OUTPUTS


def rows_of(table, band):
    return [row["value"] for row in table.where(struck=band, measure="samples touched").rows]


def test_campaigns_that_were_not_observed_have_no_figure(worst_case):
    assert not propagation.table(read_sources([worst_case])).rows
