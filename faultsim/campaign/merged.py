"""The summary of shards that were put together: what the campaign that nobody had cut would say."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from faultsim.campaign.damaging import MOST_TRIALS
from faultsim.campaign.directory import SUMMARY, read_trials
from faultsim.campaign.fit import known_fit
from faultsim.campaign.manifest import MANIFEST, read_manifest
from faultsim.campaign.summary import summarise


def merged_summary(places: Sequence[Path], whole: Path) -> dict[str, Any]:
    """``summary.json`` of a merged campaign.

    Args:
        places: Of the shards, in order, each with a summary.
        whole: Where they were put together.
    """
    parts = [json.loads((place / SUMMARY).read_bytes()) for place in places]
    manifest, lines = read_manifest(whole), read_trials(whole)
    perturbed = manifest.clean is not None
    cells = summarise(
        lines,
        sampled=manifest.config["mode"] != "exhaustive",
        attack_loss=parts[0]["clean"]["acc"] - parts[0]["golden"]["acc"] if perturbed else 0.0,
        objective=manifest.objective,
        ranges={name: (float(low), float(high)) for name, (low, high) in manifest.ranges.items()},
    )
    found = {**parts[0], "cells": [cell.to_json() for cell in cells]}
    for name in ("damaging", "fit"):
        found.pop(name, None)
    recorded = json.loads((whole / MANIFEST).read_bytes())
    return {**found, "damaging": _most_damaging(parts), **known_fit(recorded, lines)}


def _most_damaging(parts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Of the worst trials of each shard the worst of all, by their numbers in the whole."""
    numbered = [
        {**record, "trial": record["trial"] * len(parts) + shard}
        for shard, part in enumerate(parts)
        for record in part["damaging"]
    ]
    return sorted(numbered, key=_order)[:MOST_TRIALS]


def _order(record: Mapping[str, Any]) -> tuple[float, int]:
    score = float(record["acc"] if "acc" in record else record["score"])
    return score if math.isfinite(score) else -math.inf, record["trial"]
