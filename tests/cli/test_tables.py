"""Tables as a terminal of 100 columns shows them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from faultsim.campaign import CampaignConfig, CampaignResult, CellSummary, Progress
from faultsim.campaign.objective import Objective
from faultsim.cli.tables import golden_lines, show_result
from faultsim.faults import FaultSet
from faultsim.progress import CampaignBar
from faultsim.run.outcome import Outcome
from faultsim.run.trial import Trial
from faultsim.stats import Estimate

SHARE = Estimate(0.125, 0.0625, 0.25, 9, "")


def golden(n: int, acc: float, auc: float | None = None, **figures) -> Outcome:
    metrics = {"correct": 140, "loss": 0.3, "acc": acc, "auc": auc, **figures}
    return Outcome(n, 0, 0, 0, n, 0.0, metrics=metrics)


GOLDEN = golden(156, 0.9, 0.875, sensitivity=0.75, specificity=0.5)
DIRECTIONS = {"missed": "malignant → normal, benign", "false_alarms": "normal, benign → malignant"}


def printed(
    mode: str, cell: dict, directions=None, diagnosis=(), width: int = 100, events=()
) -> str:
    summary = CellSummary(
        cell=cell,
        trials=9,
        rates=dict.fromkeys(("due", "sdc", "benign", "masked"), SHARE),
        any_sdc=SHARE,
        any_due=SHARE,
        accuracy=SHARE,
        lowest=0.1,
        diagnosis=dict.fromkeys(diagnosis, SHARE),
        events=dict.fromkeys(events, SHARE),
    )
    result = CampaignResult(Path("runs/a"), GOLDEN, [summary], {}, directions or {})
    console = Console(width=width)
    with console.capture() as capture:
        show_result(console, CampaignConfig(mode=mode), result)
    return capture.get()


LAYER = {"layer": "layers.0.blocks.0.self_attention.in_proj", "flips": 4}
CURVE = {"curve": "worst-case without the top exponent bit", "flips": 4}


@pytest.mark.parametrize(("mode", "cell"), [("layer-wise", LAYER), ("worst-case", CURVE)])
def test_binary_sets_show_directions_and_diagnosis(mode, cell):
    names = ("sensitivity", "specificity", "missed", "false_alarms")
    narrow = printed(mode, cell, DIRECTIONS, names, width=80)
    assert max(map(len, narrow.splitlines())) <= 80
    assert narrow.count("┓") == narrow.count("┏") >= 2  # no column is cut off
    text = printed(mode, cell, DIRECTIONS, names)
    words = text.replace("┃", " ").split()
    assert words.count("→") == 2
    assert {"malignant", "benign", "sensitivity", "specificity"} <= set(words)
    assert "…" not in text
    assert text.count("[6.2–25.0%]") >= 4


@pytest.mark.parametrize(
    ("cell", "width", "tables"),
    [({"flips": 4}, 100, 1), ({"flips": 4}, 80, 2), (LAYER, 80, 2), (LAYER, 140, 1)],
)
def test_other_sets_show_as_few_tables_as_keep_intervals_whole(cell, width, tables):
    text = printed("layer-wise", cell, width=width)
    assert "sensitivity" not in text
    assert text.count("┏") == tables + 1  # the last is by trial
    assert {"trials", "with", "SDC", "DUE"} <= set(text.replace("┃", " ").split())
    assert text.count("[6.2–25.0%]") == 6
    assert max(map(len, text.splitlines())) <= width


@pytest.mark.parametrize("width", [60, 80, 100])
def test_many_events_go_on_in_a_further_table(width):
    events = ("top-1", "top-5", "confidence-10%", "confidence-20%")
    text = printed("random", {"flips": 64}, width=width, events=events)
    assert text.count("[6.2–25.0%]") == 4 + len(events) + 2
    assert max(map(len, text.splitlines())) <= width


def test_what_is_undefined_is_a_dash():
    assert "–  " in printed("random", {"flips": 4}, DIRECTIONS, ("specificity",)).replace("│", " ")


def test_the_golden_lines_name_what_is_defined():
    assert golden_lines(GOLDEN, None, None) == [
        "Golden accuracy 90.00%, AUC 0.8750, sensitivity 75.00%, specificity 50.00% on 156 test "
        "images"
    ]
    plain = golden(1156, 0.9)
    assert golden_lines(plain, None, None) == ["Golden accuracy 90.00% on 1,156 test images"]


def test_under_a_perturbation_there_are_two():
    attacked = golden(1156, 0.3)
    clean = golden(1156, 0.9)
    assert golden_lines(attacked, clean, "pgd:eps=1/255") == [
        "Golden accuracy 90.00% on 1,156 test images",
        "Under pgd:eps=1/255: accuracy 30.00% on 1,156 test images",
    ]


def of_task(objective: str, width: int = 100, mode: str = "random", **known) -> str:
    score = Estimate(-1234.5678, -2345.678, -0.0123456, 7, "")
    summary = CellSummary(
        cell={"flips": 1} | ({"curve": "random"} if mode == "worst-case" else {}),
        trials=9,
        rates=dict.fromkeys(("due", "sdc", "benign", "masked"), SHARE),
        any_sdc=SHARE,
        any_due=SHARE,
        accuracy=score if objective else SHARE,
        lowest=-98765.4,
        diagnosis={},
        objective=objective,
        events={"[late]": SHARE},
    )
    golden = Outcome(10, 0, 0, 0, 10, 0.0, metrics={"closeness": -1.5, "other": None})
    known = {"objective": Objective(objective, "samples"), **known}
    result = CampaignResult(Path("runs/a"), golden, [summary], {}, {}, **known)
    console = Console(width=width)
    with console.capture() as capture:
        show_result(console, CampaignConfig(mode=mode), result)
    return capture.get()


@pytest.mark.parametrize("width", [80, 100, 160])
def test_another_task_shows_its_objective_and_its_events(width):
    text = of_task("closeness", width)
    assert "accuracy" not in text
    assert "images" not in text
    assert "[late]" in text
    assert "-1235" in text
    assert "-9.877e+04" in text
    assert "Share of samples with each outcome, mean closeness" in text.replace("\n", " ")
    assert "2 trials have no finite closeness, and no part in its mean." in text
    assert "[-2346,-0.01235]" in text
    assert max(map(len, text.splitlines())) <= width
    assert text.count("┓") == text.count("┏")


def test_without_an_objective_it_is_the_share_that_is_unharmed():
    assert "unharmed samples" in of_task("")


def test_a_search_is_told_in_the_objective():
    text = of_task("closeness", width=140, mode="worst-case")
    assert "Test closeness after the most harmful flips" in " ".join(text.split())
    assert "Searched on validation samples" in text
    assert "-1.5" in text
    assert "accuracy" not in text


def test_the_golden_line_of_another_task_has_its_scores():
    golden = Outcome(10, 0, 0, 0, 10, 0.0, metrics={"closeness": -1.5, "other": None})
    objective = Objective("closeness", "samples")
    line = "Golden closeness -1.5 on 10 test samples"
    assert golden_lines(golden, None, None, objective) == [line]
    bare = Outcome(10, 0, 0, 0, 10, 0.0)
    assert golden_lines(bare, None, None, objective) == ["Golden run on 10 test samples"]


def test_the_bar_shows_what_counts():
    golden = Outcome(10, 0, 0, 0, 10, 0.0, metrics={"closeness": -1.5})
    trial = Trial(FaultSet.of([]), {"flips": 1})
    start = Progress(Path("a"), golden, None, True, {}, 1, 2, objective=Objective("closeness"))
    console = Console(width=120, force_terminal=True)
    with console.capture() as capture, CampaignBar(console) as bar:
        bar.advance(replace(start, trial=trial, outcome=golden))
    assert "closeness -1.5" in capture.get()
