"""What is drawn: intervals, cells without trials, axes of data that are all zero."""

from __future__ import annotations

import pytest

from faultsim.report.figures import bits, components, flips, heatmap, layers, outcomes
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


@pytest.fixture
def study(tmp_path, line, write_campaign):
    """Two campaigns on each of three data sets, of twelve conditions."""
    for data in ("one", "two", "three"):
        lines = [line(n, 5, ("stem.weight", n), sdc=n % 5, flips=n + 1) for n in range(12)]
        for part, target in (("weights", "weights"), ("acts", "activations")):
            write_campaign(tmp_path / data / part, lines, data=data, target=target, bits="0-11")
    (tmp_path / "study.json").write_text("{}")
    return tmp_path


@pytest.mark.parametrize("module", [flips, bits, layers, components])
def test_each_data_set_of_many_campaigns_has_its_panel(module, study):
    figure = drawn(module, study)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert [title for title in titles if title] == ["one", "three", "two"]
    named = {text.get_text().removeprefix("campaign ") for text in figure.legends[0].get_texts()}
    assert {"weights", "acts"} <= named  # once each
    assert not any("one" in name for name in named)


def test_a_campaign_on_each_data_set_shares_a_panel(tmp_path, line, write_campaign):
    for data in ("one", "two"):
        write_campaign(tmp_path / data, [line(0, 5, flips=1)], data=data)
    (axes,) = drawn(flips, tmp_path).axes
    assert axes.get_title(loc="left") == ""
    (legend,) = drawn(flips, tmp_path).legends
    assert {"campaign one", "campaign two"} <= {text.get_text() for text in legend.get_texts()}


def test_panels_of_the_heat_map_have_the_fields_that_were_struck(
    layer_wise, tmp_path, line, write_campaign
):
    lines = [line(0, 8, ("stem.weight", 30), layer="stem", flips=1)]
    write_campaign(tmp_path / "e", lines, bits="exponent", mode="layer-wise")
    panels = drawn(heatmap, tmp_path).axes[1:]
    fields = [[text.get_text() for text in axes.get_xticklabels()] for axes in panels]
    assert sorted(fields) == [["exponent"], ["sign", "exponent", "mantissa"]]


@pytest.mark.parametrize(("campaigns", "shown"), [(1, 10), (24, 3)])
def test_of_many_campaigns_fewer_conditions_are_drawn(
    campaigns, shown, tmp_path, line, write_campaign
):
    for number in range(campaigns):
        lines = [line(n, 5, sdc=1 + n % 5, flips=n + 1) for n in range(12)]
        write_campaign(tmp_path / f"{number:02}", lines, seed=number)
    lines = drawn(outcomes, tmp_path).axes[0].get_yticklabels()
    assert len(lines) == campaigns * (1 + shown)


def test_every_lowest_panel_has_its_numbers_of_flips(tmp_path, line, write_campaign):
    for data in ("one", "two", "three", "four"):
        for seed in (0, 1):
            path = tmp_path / data / str(seed)
            write_campaign(path, [line(0, 5, flips=1)], data=data, seed=seed)
    panels = drawn(flips, tmp_path).axes
    numbered = [
        any(tick.label1.get_visible() for tick in axes.xaxis.get_major_ticks()) for axes in panels
    ]
    assert numbered[:4] == [False, True, True, True]
    assert [axes.get_visible() for axes in panels] == [True] * 4 + [False] * 2
