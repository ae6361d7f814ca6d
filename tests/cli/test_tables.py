"""Tables as a terminal of 100 columns shows them."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from faultsim.campaign import CampaignConfig, CampaignResult, CellSummary
from faultsim.cli.tables import golden_lines, show_result
from faultsim.run.trial import Outcome
from faultsim.stats import Estimate

SHARE = Estimate(0.125, 0.0625, 0.25, 9, "")


def golden(n: int, acc: float, auc: float | None = None, **figures) -> Outcome:
    metrics = {"correct": 140, "loss": 0.3, "acc": acc, "auc": auc, **figures}
    return Outcome(n, 0, 0, 0, n, 0.0, metrics=metrics)


GOLDEN = golden(156, 0.9, 0.875, sensitivity=0.75, specificity=0.5)
DIRECTIONS = {"missed": "malignant → normal, benign", "false_alarms": "normal, benign → malignant"}


def printed(mode: str, cell: dict, directions=None, diagnosis=(), width: int = 100) -> str:
    summary = CellSummary(
        cell=cell,
        trials=9,
        rates=dict.fromkeys(("due", "sdc", "benign", "masked"), SHARE),
        any_sdc=SHARE,
        any_due=SHARE,
        accuracy=SHARE,
        lowest=0.1,
        diagnosis=dict.fromkeys(diagnosis, SHARE),
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
    assert narrow.count("┓") == narrow.count("┏") == 2  # no column is cut off
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
    assert text.count("┏") == tables
    assert text.count("[6.2–25.0%]") == 4
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
