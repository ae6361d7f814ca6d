"""Campaigns of tasks that are no image classification, told in the figures of the task."""

from __future__ import annotations

import math
import re

import pytest
import torch
from torch import nn

from faultsim import CampaignConfig, Task, Workload, run_campaign
from faultsim.report import overview, write_report
from faultsim.report.figures import (
    bits,
    components,
    distribution,
    error_rates,
    events,
    flips,
    heatmap,
    layers,
    outcomes,
    scores,
)
from faultsim.report.render import draw_figures
from faultsim.report.sources import read_sources
from faultsim.stats import bounded_mean, clopper_pearson, image_rate

WORDS = re.compile(r"accura|image|predict|AUC|classif", re.IGNORECASE)


@pytest.fixture
def timing(tmp_path, of_task, write_task_campaign):
    """Four trials of one condition: unharmed, late, corrupted, and without a finite score."""
    lines = [
        of_task(0, -1.0, ("stem.weight", 3), masked=10, flips=1),
        of_task(1, -1.5, ("body.weight", 3), late=4, masked=2, flips=1),
        of_task(2, -3.0, ("head.weight", 30), sdc=2, late=6, flips=1),
        of_task(3, "nan", ("head.weight", 30), due=5, sdc=1, flips=1),
    ]
    return write_task_campaign(tmp_path / "timing", lines)


def rows(module, *directories, **wanted):
    table = module.table(read_sources(directories))
    assert all(set(row) == set(table.columns) for row in table.rows)
    return table.where(**wanted).rows


def text_of(page) -> str:
    return re.sub(r"<(style|script).*?</\1>|<[^>]+>", " ", page.read_text(), flags=re.DOTALL)


def test_the_page_speaks_of_the_task_alone(timing, tmp_path):
    text = text_of(write_report([timing], tmp_path / "page.html").page)
    assert not WORDS.search(text), WORDS.search(text)
    assert "Reliability of timing" in text
    assert "task Timing" in text
    assert "Under 1 random flip 7.5% [" in text
    assert "of samples are corrupted silently, 12.5% [" in text
    assert "; late 25.0% [" in text
    assert "mean closeness is -1.833 [" in text
    assert "from -1 without; -3 in the worst of 3 trials in which it is finite." in text
    assert "It ran on a live workload:" in text


def test_every_event_has_its_rate_and_interval(timing):
    (row,) = rows(events, timing)
    expected = image_rate([0, 4, 6, 0], [10] * 4)
    assert (row["measure"], row["condition"], row["value"]) == ("late", "1 flip", 0.25)
    assert (row["low"], row["high"]) == (expected.low, expected.high)


def test_scores_are_means_of_finite_trials_beside_the_golden_one(timing):
    (row,) = rows(scores, timing)
    expected = bounded_mean([-1.0, -1.5, -3.0], -10, 0)
    assert (row["measure"], row["golden"], row["n"]) == ("closeness", -1.0, 3)
    assert (row["value"], row["low"], row["high"]) == (expected.value, expected.low, expected.high)


def test_one_condition_shows_how_many_trials_did_how_much_harm(timing):
    def curve(measure):
        found = rows(distribution, timing, measure=measure)
        return {row["at_least"]: (row["value"], row["low"], row["high"]) for row in found}

    def share(trials):
        found = clopper_pearson(trials, 4)
        return found.value, found.low, found.high

    assert curve("harmed") == {0.2: share(2), 0.6: share(1)}
    assert curve("closeness") == {0.5: share(3), 2.0: share(2), math.inf: share(1)}
    assert curve("no harm") == {None: share(2)}
    assert curve("bit-identical") == {None: share(1)}
    assert rows(flips, timing) == []  # a single dot


def test_of_a_classifier_it_is_the_accuracy_lost(small):
    lost = rows(distribution, small, measure="accuracy")
    assert [row["at_least"] for row in lost] == pytest.approx([0.1, 0.2])
    assert [row["value"] for row in lost] == pytest.approx([2 / 3, 1 / 3])


def test_several_conditions_or_a_single_trial_are_no_distribution(
    layer_wise, tmp_path, line, write_campaign
):
    alone = write_campaign(tmp_path / "alone", [line(0, 5, flips=1)])
    assert rows(distribution, layer_wise, alone) == []


def test_a_curve_of_very_many_trials_has_a_few_points(tmp_path, of_task, write_task_campaign):
    lines = [of_task(n, -1.0 - n, flips=1) for n in range(1000)]
    found = rows(distribution, write_task_campaign(tmp_path / "a", lines), measure="closeness")
    assert len(found) == distribution.MOST
    assert (found[0]["at_least"], found[-1]["at_least"]) == (1.0, 999.0)


def test_an_exhaustive_distribution_has_no_interval(tmp_path, of_task, write_task_campaign):
    lines = [of_task(n, -1.0, sdc=n, tensor="stem.weight") for n in range(3)]
    found = rows(distribution, write_task_campaign(tmp_path / "a", lines, mode="exhaustive"))
    assert {row["low"] for row in found} == {None}


def test_harm_by_place_is_the_share_of_samples_corrupted(timing, layer_wise):
    for module in (heatmap, layers, components):
        assert {row["measure"] for row in rows(module, timing)} == {"SDC or DUE"}
        mixed = {row["measure"] for row in rows(module, timing, layer_wise)}
        assert mixed == {"SDC or DUE", "accuracy drop"}
    head = next(row for row in rows(layers, timing) if row["layer"] == "head")
    assert head["value"] == pytest.approx(0.4)
    top = {row["measure"]: row["value"] for row in rows(bits, timing, bit=30)}
    assert top == pytest.approx({"SDC or DUE": 0.4, "SDC": 0.15})


def test_curves_are_of_the_objective_each_on_a_scale_of_its_own(
    tmp_path, of_task, line, write_task_campaign, write_campaign
):
    write_task_campaign(tmp_path / "t", [of_task(n, -1.0 - n, flips=n + 1) for n in range(2)])
    write_task_campaign(
        tmp_path / "u", [of_task(n, None, sdc=n, flips=n + 1) for n in range(2)], objective=""
    )
    write_campaign(tmp_path / "c", [line(n, 9 - n, flips=n + 1) for n in range(2)])
    found = {(row["objective"], row["flips"]): row for row in rows(flips, tmp_path)}
    assert found["closeness", 2]["value"] == -2.0
    assert found["unharmed samples", 2]["value"] == 0.9
    assert found["accuracy", 2]["value"] == 0.8
    figure = next(d.figure for d in draw_figures(read_sources([tmp_path])) if d.module is flips)
    named = {axes.get_ylabel() for axes in figure.axes}
    assert named == {"test closeness", "test unharmed samples", "test accuracy"}


def test_bit_error_rates_have_a_panel_for_each_objective(
    tmp_path, of_task, line, write_task_campaign, write_campaign
):
    write_task_campaign(tmp_path / "t", [of_task(0, -2.0, ber=1e-5)], ber=1e-5)
    write_campaign(tmp_path / "c", [line(0, 8, ber=1e-5)], ber=1e-5)
    assert {row["objective"] for row in rows(error_rates, tmp_path)} == {"closeness", "accuracy"}
    drawn = draw_figures(read_sources([tmp_path]))
    figure = next(item.figure for item in drawn if item.module is error_rates)
    assert [axes.get_ylabel() for axes in figure.axes] == ["test accuracy", "test closeness"]


def test_a_report_of_both_kinds_says_what_is_true_of_both(timing, layer_wise):
    drawn = {item.module: item for item in draw_figures(read_sources([timing, layer_wise]))}
    assert "of tasks other than classification" in drawn[layers].caption
    assert drawn[outcomes].title == "What became of the outputs"
    assert "images or samples" not in drawn[events].caption  # of one campaign


def test_a_score_that_is_never_finite_is_said_to_be(tmp_path, of_task, write_task_campaign):
    lines = [of_task(n, "nan", due=10, flips=1) for n in range(2)]
    run = write_task_campaign(tmp_path / "a", lines)
    (row,) = rows(scores, run)
    assert math.isnan(row["value"])
    assert (row["n"], row["interval"]) == (0, "never finite")
    text = text_of(write_report([run], tmp_path / "page.html").page)
    assert "mean closeness is not finite" in text
    assert ">never finite</text>" in (tmp_path / "page.html").read_text()


def test_events_of_a_classifier_are_shown_too(small):
    sources = read_sources([small])
    (cell,) = sources.campaigns[0].cells
    known = {"top-5": image_rate([1, 2, 3], [10] * 3)}
    cell.__dict__["events"] = known  # as campaigns of images may record them
    (row,) = events.table(sources).rows
    assert (row["measure"], row["value"]) == ("top-5", known["top-5"].value)


def test_golden_scores_have_a_column_each(timing, layer_wise):
    table = overview.golden(read_sources([timing, layer_wise]).campaigns)
    assert table.columns == ("model and data", "samples", "closeness", "accuracy", "AUC")
    assert table.rows[0]["closeness"] == -1.0
    assert table.rows[0]["accuracy"] is None


class Nearness(Task):
    """A score, an event and a loss."""

    objective = "nearness"

    def changed(self, golden, output, batch):
        far = (golden - output).abs().flatten(1).amax(1)
        return {"moved": far > 0.1, "far": far > 1.0}

    def scores(self, outputs, batches):
        pairs = zip(outputs, batches, strict=True)
        return {"nearness": -sum(float((o - b.targets).abs().sum()) for o, b in pairs)}


def test_a_campaign_that_was_run_is_reported(tmp_path):
    torch.manual_seed(0)
    pairs = [(torch.rand(4, 6), torch.rand(4, 2)), (torch.rand(3, 6), torch.rand(3, 2))]
    config = CampaignConfig(mode="random", flips=(1,), bits="30", trials=6, out=str(tmp_path / "a"))
    run_campaign(config, Workload(nn.Linear(6, 2), pairs, Nearness()))
    page = write_report([tmp_path / "a"], figures=tmp_path / "f", formats=("svg",)).page
    text = text_of(page)
    assert not WORDS.search(text), WORDS.search(text)
    assert "nearness" in text
    assert {"events", "scores", "distribution"} <= {p.stem for p in (tmp_path / "f").iterdir()}
    assert "$" not in (tmp_path / "f" / "distribution.svg").read_text().split("</style>")[-1]
