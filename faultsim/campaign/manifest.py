"""What a campaign was run with."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import torch

from faultsim.campaign.versions import versions
from faultsim.config import CampaignConfig
from faultsim.run.experiment import Experiment
from faultsim.run.trial import Outcome
from faultsim.space import FaultSpace
from faultsim.workload.workload import REPORTED, SEARCHED


def manifest_of(
    config: CampaignConfig,
    live: list[str],
    experiment: Experiment,
    space: FaultSpace,
    golden: Outcome,
    clean: Outcome | None,
) -> dict[str, Any]:
    """The manifest of a campaign; resuming compares its ``config``, ``model`` and ``data``.

    Args:
        config: The settings.
        live: What was given as an object rather than by name: ``model``, ``data``, ...
        experiment: The workload.
        space: The bits that may be struck.
        golden: The golden run that results are compared with.
        clean: The same on images that are not perturbed, where others are.
    """
    settings = asdict(config)
    settings |= {"threads": torch.get_num_threads(), "device": experiment.device.type}
    if experiment.attack:
        settings["perturb"] = str(experiment.attack.perturbation)
    for transient in ("out", "resume", "replay"):
        del settings[transient]
    splits = {split: experiment.batches(split) for split in (REPORTED, SEARCHED)}
    return {
        "config": settings,
        "live": live,
        "model": {"digest": experiment.digest},
        "data": experiment.workload.record(splits),
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
