"""Summaries of campaigns whose figures are not finite."""

from __future__ import annotations

import json
import math

import torch
from torch import nn

from faultsim import Task, Workload


class Largest(Task):
    objective = "head room"

    def changed(self, golden, output, batch):
        return (golden != output).any(1)

    def scores(self, outputs, batches):
        return {"head room": -float(torch.cat(list(outputs)).abs().max())}


def test_figures_that_are_not_finite_are_the_most_damaging(campaign, rows):
    torch.manual_seed(0)
    work = Workload(nn.Linear(8, 3).double(), [rows[0].double() * 1e300], Largest())
    result = campaign(work, bits="exponent", trials=30)
    summary = json.loads((result.directory / "summary.json").read_text())
    scores = [float(trial["score"]) for trial in summary["damaging"]]
    assert not math.isfinite(scores[0])
    assert scores == sorted(scores, key=lambda score: score if math.isfinite(score) else -math.inf)
