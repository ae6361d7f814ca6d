"""Recurrent and sequence layers of torch.nn, time first and batch first."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from benchmarks.architectures.architecture import Architecture
from benchmarks.architectures.inputs import SAMPLES, labelled, labels
from faultsim import Batch, Workload, tasks

FAMILY = "torch.nn"
STEPS, FEATURES, HIDDEN = 12, 16, 32


class Reader(nn.Module):
    """Classifies by what a recurrent layer makes of the last step."""

    def __init__(self, kind: type[nn.RNNBase], **options: Any) -> None:
        super().__init__()
        self.layer = kind(FEATURES, HIDDEN, num_layers=2, **options)
        width = HIDDEN * (2 if options.get("bidirectional") else 1)
        self.head = nn.Linear(width, 10)
        self.last = (slice(None), -1) if self.layer.batch_first else -1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.layer(x)[0][self.last])


def sequences() -> torch.Tensor:
    """(n, steps, features)."""
    return torch.rand(SAMPLES, STEPS, FEATURES)


def lstm() -> tuple[nn.Module, Any]:
    return Reader(nn.LSTM, batch_first=True, bidirectional=True), labelled(sequences())


def gru() -> tuple[nn.Module, Any]:
    return Reader(nn.GRU, batch_first=True), labelled(sequences())


def time_first(kind: type[nn.RNNBase]) -> tuple[nn.Module, Any]:
    return Reader(kind), [(sequences().transpose(0, 1), labels())]


def by_time(model: nn.Module, batches: Any) -> Workload:
    batches = [Batch(steps, targets, len(targets)) for steps, targets in batches]
    return Workload(model, batches, tasks.Classification(), search=batches)


ARCHITECTURES = [
    Architecture("LSTM, two ways", FAMILY, lstm),
    Architecture("GRU", FAMILY, gru),
    Architecture("GRU, time first", FAMILY, lambda: time_first(nn.GRU), by_time),
    Architecture("RNN, time first", FAMILY, lambda: time_first(nn.RNN), by_time),
]
