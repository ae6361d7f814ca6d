"""Campaign directories and perturbation records made by hand, so that every number is known."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
import pytest

from faultsim import CampaignConfig
from faultsim.campaign.lines import Line
from faultsim.campaign.summary import summarise
from faultsim.report import write_report
from faultsim.stats import clopper_pearson

IMAGES, GOLDEN = 10, 0.9
OUTCOME = (
    "n", "correct", "due", "sdc", "benign", "masked", "loss", "max_dev", "acc", "auc",
)  # fmt: skip
SITES = {"stem.weight": "float32", "body.weight": "float32", "head.weight": "float32"}


def journal_line(
    trial: int,
    correct: int,
    *faults: tuple[str, int],
    sdc: int = 0,
    due: int = 0,
    masked: int = 0,
    **cell: Any,
) -> dict[str, Any]:
    """A journal line with ``correct`` of ten images right; a fault is a tensor and a bit."""
    records = [{"tensor": t, "index": 0, "mask": 1 << bit, "op": "flip"} for t, bit in faults]
    benign = IMAGES - sdc - due - masked
    return {
        "trial": trial, "cell": cell, "seed": 0, "flips": len(faults), "faults": records,
        "n": IMAGES, "correct": correct, "due": due, "sdc": sdc, "benign": benign,
        "masked": masked, "loss": 0.1, "max_dev": 1.0, "acc": correct / IMAGES, "auc": 0.5,
    }  # fmt: skip


def make_campaign(
    directory: Path,
    lines: Sequence[dict[str, Any]],
    *,
    sites: dict[str, str] = SITES,
    summary: dict[str, Any] | None = {},  # noqa: B006 - never changed
    digest: str = "aa" * 32,
    live: Sequence[str] = (),
    clean: dict[str, Any] | None = None,
    **settings: Any,
) -> Path:
    """A campaign directory; unfinished where ``summary`` is None."""
    directory.mkdir(parents=True)
    config = asdict(CampaignConfig()) | {"mode": "random", "threads": 1, "device": "cpu"} | settings
    del config["out"], config["resume"], config["replay"]
    lines = [item | {"seed": config["seed"]} for item in lines]
    golden = {key: journal_line(0, 9, masked=IMAGES)[key] for key in OUTCOME}
    manifest = {
        "config": config,
        "live": list(live),
        "model": {"digest": digest},
        "data": {"name": config["data"], "digest": "bb" * 32, "task": "multi-class"},
        "space": {"tensors": len(sites), "bits": 96, "skipped": {}, "sites": sites},
        "golden": golden,
        "versions": {"faultsim": "0.1.0"},
    }
    manifest |= {} if clean is None else {"clean": golden | clean}
    (directory / "manifest.json").write_text(json.dumps(manifest))
    text = "".join(json.dumps(item) + "\n" for item in lines)
    (directory / "trials-0.jsonl").write_text(text)
    if summary is not None:
        cells = [cell.to_json() for cell in summarise(msgspec.convert(lines, list[Line]))]
        usual = {"golden": golden, "cells": cells, "worst": {}, "directions": {}, "damaging": []}
        (directory / "summary.json").write_text(json.dumps(usual | summary))
    return directory


def make_perturbation(directory: Path, rows: Sequence[dict[str, Any]], **config: Any) -> Path:
    """A perturbation record; a row has kind, parameters and accuracy in hundredths."""
    directory.mkdir(parents=True)

    def measured(row: dict[str, Any]) -> dict[str, Any]:
        what = {key: row[key] for key in ("kind", "parameters") if key in row}
        estimate = clopper_pearson(row["hundredths"], 100).to_json()
        setting = f"{row['kind']}:{row['parameters']}" if what else "clean"
        figures = {"accuracy": estimate, "auc": row.get("auc")}
        return {"setting": setting, **what, "n": 100, **figures}

    document = {
        "config": {"model": "medmamba-n", "data": "digits", "seed": 0} | config,
        "model": {"digest": "cc" * 32},
        "data": {"name": config.get("data", "digits"), "digest": "dd" * 32},
        "versions": {"faultsim": "0.1.0"},
        "clean": measured({"hundredths": 95}),
        "live": [],
        "rows": [measured(row) for row in rows],
    }
    (directory / "perturb.json").write_text(json.dumps(document))
    return directory


def task_line(
    trial: int, closeness: float | str | None, *faults: tuple[str, int], late: int = 0, **known: Any
) -> dict[str, Any]:
    """A journal line of a task that is no classification, with a score and an event."""
    line = journal_line(trial, 0, *faults, **known)
    of_images = ("correct", "loss", "acc", "auc")
    line = {name: value for name, value in line.items() if name not in of_images}
    return line | {"events": {"late": late}, "metrics": {"closeness": closeness}}


RANGES = {"closeness": [-10, 0]}


def make_task_campaign(
    directory: Path, lines: Sequence[dict[str, Any]], objective: str = "closeness", **known: Any
) -> Path:
    """A campaign of a workload whose task is no classification; its golden score is -1."""
    known = {"live": ["work"], "summary": None, "digest": "ee" * 32, **known}
    path = make_campaign(directory, lines, **known) / "manifest.json"
    manifest = json.loads(path.read_text())
    golden = task_line(0, -1.0, masked=IMAGES)
    heads = ("trial", "cell", "seed", "flips", "faults")
    manifest["golden"] = {name: value for name, value in golden.items() if name not in heads}
    samples = {"test": IMAGES, "val": 0}
    data = {"name": directory.name, "digest": "bb" * 32, "task": "Timing", "samples": samples}
    path.write_text(json.dumps(manifest | {"objective": objective, "ranges": RANGES, "data": data}))
    return directory


PGD = [{"kind": "pgd", "parameters": {"eps": n / 255, "steps": 20}, "hundredths": 80 // n}
       for n in (1, 2, 4)]  # fmt: skip


@pytest.fixture
def line():
    return journal_line


@pytest.fixture
def write_campaign():
    return make_campaign


@pytest.fixture
def of_task():
    return task_line


@pytest.fixture
def write_task_campaign():
    return make_task_campaign


@pytest.fixture
def write_perturbation():
    return make_perturbation


@pytest.fixture
def pgd():
    """Rows of a perturbation record: a stronger attack, a lower accuracy."""
    return PGD


def make_layer_wise(directory: Path) -> Path:
    """Two trials in each of three layers; the head is hurt in one of its exponents."""
    return make_campaign(
        directory,
        [
            journal_line(0, 9, ("stem.weight", 31), masked=10, layer="stem", flips=1),
            journal_line(1, 9, ("stem.weight", 3), masked=4, layer="stem", flips=1),
            journal_line(2, 9, ("body.weight", 3), layer="body", flips=1),
            journal_line(3, 7, ("body.weight", 3), sdc=2, layer="body", flips=1),
            journal_line(4, 1, ("head.weight", 30), sdc=4, due=5, layer="head", flips=1),
            journal_line(5, 9, ("head.weight", 30), layer="head", flips=1),
            journal_line(
                6, 0, ("head.weight", 29), ("head.weight", 30), due=10, layer="head", flips=2
            ),
        ],
        mode="layer-wise",
        flips=[1, 2],
    )


def make_worst_case(directory: Path) -> Path:
    """A search and its curves."""
    lines = [
        journal_line(
            0, 0, ("stem.weight", 30), curve="worst-case", flips=1, split="val", search="probe"
        ),
        journal_line(1, 2, ("stem.weight", 30), sdc=7, curve="worst-case", flips=1),
        journal_line(2, 9, ("body.weight", 1), curve="random", flips=1),
        journal_line(3, 8, ("body.weight", 2), curve="random", flips=1),
    ]
    record = {
        "trial": 1,
        "cell": {"curve": "worst-case", "flips": 1},
        "acc": 0.2,
        "faults": ["stem.weight[0] bit 30 (exponent) flip: 0.5 → 1.7e38"],
    }
    summary = {"worst": {"worst-case": record["faults"]}, "damaging": [record]}
    return make_campaign(directory, lines, summary=summary, mode="worst-case", flips=[1])


@pytest.fixture
def layer_wise(tmp_path: Path) -> Path:
    return make_layer_wise(tmp_path / "layer-wise")


@pytest.fixture
def worst_case(tmp_path: Path) -> Path:
    return make_worst_case(tmp_path / "worst-case")


@pytest.fixture(scope="session")
def whole(tmp_path_factory) -> Path:
    """A page of a layer-wise and a worst-case campaign and a perturbation run, read by many."""
    root = tmp_path_factory.mktemp("whole")
    make_layer_wise(root / "layer-wise")
    make_worst_case(root / "worst-case")
    make_perturbation(root / "perturbed", PGD)
    return write_report([root]).page


@pytest.fixture
def small(tmp_path: Path, line) -> Path:
    """Three trials of no known faults: two figures."""
    return make_campaign(tmp_path / "small", [line(n, 9 - n, sdc=n, flips=4) for n in range(3)])
