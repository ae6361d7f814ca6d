"""What a campaign was run with."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import torch

from faultsim.campaign.versions import versions
from faultsim.config import CampaignConfig
from faultsim.data.dataset import SPLITS
from faultsim.run.bench import Bench
from faultsim.run.trial import Outcome
from faultsim.space import FaultSpace


def manifest_of(
    config: CampaignConfig,
    live: list[str],
    bench: Bench,
    space: FaultSpace,
    golden: Outcome,
    clean: Outcome | None,
) -> dict[str, Any]:
    """The manifest of a campaign; resuming compares its ``config``, ``model`` and ``data``.

    Args:
        config: The settings.
        live: What was given as an object rather than by name: ``model``, ``data``.
        bench: The model and its data.
        space: The bits that may be struck.
        golden: The golden run on the test split.
        clean: The same on images that are not perturbed, where others are.
    """
    settings = asdict(config)
    settings |= {"threads": torch.get_num_threads(), "device": bench.device.type}
    if bench.attack:
        settings["perturb"] = str(bench.attack.perturbation)
    for transient in ("out", "resume", "replay"):
        del settings[transient]
    return {
        "config": settings,
        "live": live,
        "model": {"digest": bench.digest},
        "data": {
            "name": bench.data.name,
            "digest": bench.data.digest,
            "task": bench.data.task,
            "positive": bench.golden("test").positive,
            "images": {split: len(bench.data.split(split)) for split in SPLITS},
        },
        "space": {
            "tensors": len(space.sites),
            "bits": len(space),
            "skipped": space.skipped,
            "sites": {site.name: site.dtype for site in space.sites},  # in the model's order
        },
        "golden": golden.to_json(),
        **({"clean": clean.to_json()} if clean else {}),
        "versions": versions(),
    }
