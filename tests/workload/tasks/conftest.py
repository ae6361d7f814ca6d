"""Campaigns that every task must go through."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from faultsim import CampaignConfig, Workload, run_campaign

WEIGHTS = {"bits": "exponent", "flips": (1, 4), "trials": 4}
ACTIVATIONS = {"target": "activations", "bits": "28-30", "flips": (2,), "trials": 4}
SEARCH = {"mode": "worst-case", "flips": (1,), "trials": 2}


@pytest.fixture
def campaigns(tmp_path) -> Callable[..., list[dict]]:
    """Runs several, with replay and without, and gives the lines of all."""
    count = 0

    def journal(work: Workload, settings: dict) -> bytes:
        nonlocal count
        count += 1
        config = CampaignConfig(**{"mode": "random", **settings}, out=str(tmp_path / str(count)))
        return (run_campaign(config, work).directory / "trials-0.jsonl").read_bytes()

    def go(work: Workload, *, search: bool = False, activations: bool = True, **more) -> list[dict]:
        found, chosen = [], [WEIGHTS, *[ACTIVATIONS] * activations, *[SEARCH] * search]
        for settings in chosen:
            text = journal(work, settings | more)
            assert text == journal(work, settings | more | {"replay": False}), settings
            found += [json.loads(line) for line in text.splitlines()]
        assert sum(line["sdc"] + line["due"] for line in found) > 0
        for line in found:
            assert line["due"] + line["sdc"] + line["benign"] + line["masked"] == line["n"]
        return found

    return go
