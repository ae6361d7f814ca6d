"""What is drawn: intervals, cells without trials, axes of data that are all zero."""

from __future__ import annotations

import pytest

from faultsim.report.figures import flips, heatmap, layers
from faultsim.report.render import draw_figures
from faultsim.report.sources import read_sources
from faultsim.report.style import COLOURS, MARKERS, bars, limits, styles


def drawn(module, directory):
    figures = draw_figures(read_sources([directory]))
    return next(item.figure for item in figures if item.module is module)


def test_error_bars_reach_to_the_ends_of_the_interval():
    rows = [{"value": 0.5, "low": 0.25, "high": 1.0}, {"value": 0.5, "low": None, "high": None}]
    assert bars(rows) == [[0.25, 0.0], [0.5, 0.0]]


def test_axes_show_zero_and_something_above():
    zero = [{"value": 1e-17, "low": None, "high": None}]
    low, high = limits(zero)
    assert low < 0 < 0.01 < high
    assert limits([{"value": 0.5, "low": -0.1, "high": 0.8}]) == pytest.approx((-0.136, 0.836))


def test_styles_tell_as_many_runs_apart_as_there_are_pairs():
    names = [str(number) for number in range(len(COLOURS) * len(MARKERS))]
    assert len(set(styles(names).values())) == len(names)


def test_cells_without_trials_are_hatched_and_empty(layer_wise):
    (_, axes) = drawn(heatmap, layer_wise).axes
    hatched = [patch for patch in axes.patches if patch.get_hatch()]
    written = [text.get_text() for text in axes.texts]
    assert len(hatched) == 5  # of the head and the body two each, of the stem the exponent
    assert len(hatched) + len(written) == 9
    assert "40.0" in written


def test_flips_are_on_a_doubling_scale_with_the_golden_run(worst_case):
    (axes,) = drawn(flips, worst_case).axes
    assert axes.get_xscale() == "log"
    assert any(set(line.get_ydata()) == {0.9} for line in axes.lines)


def test_the_most_vulnerable_layer_is_on_top(layer_wise):
    axes = drawn(layers, layer_wise).axes[0]
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["head", "body", "stem"]
    bottom, top = axes.get_ylim()
    assert bottom > top
