"""Campaigns of models of other people's, by the public API alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from faultsim import CampaignConfig, Workload, run_campaign
from faultsim.campaign import CampaignResult


@pytest.fixture
def campaign(tmp_path) -> Callable[..., CampaignResult]:
    """Runs three trials of a workload, or of a live model and data."""
    count = 0

    def run(work: Workload | None = None, sets: Any = None, **settings: Any) -> CampaignResult:
        nonlocal count
        count += 1
        given = {name: settings.pop(name) for name in ("model", "data") if name in settings}
        live = {name: each for name, each in given.items() if not isinstance(each, str)}
        settings |= {name: each for name, each in given.items() if isinstance(each, str)}
        trials = None if sets is not None or settings.get("mode") == "from-file" else 3
        usual = {
            "mode": "random",
            "trials": trials,
            "flips": (1,),
            "out": str(tmp_path / f"{count}"),
        }
        return run_campaign(CampaignConfig(**usual | settings), work, trials=sets, **live)

    return run


@pytest.fixture
def rows() -> tuple[torch.Tensor, torch.Tensor]:
    """Six samples of eight numbers, and classes of three."""
    generator = torch.Generator().manual_seed(3)
    return torch.rand(6, 8, generator=generator), torch.arange(6) % 3
