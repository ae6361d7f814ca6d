"""The rate that a campaign estimated, with each stratum's own, as ``summary.json`` has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from faultsim.config import CampaignConfig
from faultsim.run.outcome import Cell, plain
from faultsim.schedule import Learnt
from faultsim.stats import Estimate


def estimate_record(
    config: CampaignConfig, learnt: Learnt, parts: Sequence[tuple[Cell, Estimate]]
) -> dict[str, Any]:
    """The estimate, what was asked, each bit and layer, and the strata in the model's order.

    Args:
        config: The settings.
        learnt: From all trials.
        parts: Each bit and layer, with its rate.
    """
    rate = learnt.rate
    strata = zip(learnt.strata, rate.weights.tolist(), rate.own(), strict=True)
    return {
        "rate": config.rate,
        **rate.estimate.to_json(),
        "confidence": config.confidence,
        "margin": config.margin,
        "relative": config.relative,
        **({} if config.part_margin is None else {"part_margin": config.part_margin}),
        "reached": rate.reached,
        "parts": [{"cell": dict(cell), **_plain(part)} for cell, part in parts],
        "strata": [
            {"cell": dict(cell), "share": share, **_plain(own)} for cell, share, own in strata
        ],
    }


def _plain(estimate: Estimate) -> Mapping[str, Any]:
    return {**estimate.to_json(), "value": plain(estimate.value)}
