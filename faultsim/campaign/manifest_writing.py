"""Describes a campaign for its manifest, and says whether operators are still those described."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import torch

from faultsim.campaign.manifest import TRANSIENT, Manifest
from faultsim.campaign.versions import versions
from faultsim.config import CampaignConfig
from faultsim.errors import JournalError
from faultsim.faultmodels import FaultModel
from faultsim.faultmodels.reach import load_reach
from faultsim.ops.operator_code import code_digest
from faultsim.ops.operators import Op, Operator, operator_of, path_of
from faultsim.run.experiment import Experiment
from faultsim.run.outcome import Outcome
from faultsim.space import FaultSpace
from faultsim.workload.task import Task, ranges_of
from faultsim.workload.workload import REPORTED, SEARCHED


def manifest_of(
    config: CampaignConfig,
    live: list[str],
    experiment: Experiment,
    space: FaultSpace,
    golden: Outcome,
    clean: Outcome | None,
    planned: int,
    fault_model: FaultModel | None = None,
    operators: Iterable[Operator] = (),
) -> dict[str, Any]:
    """The manifest of a campaign; resuming compares its ``config``, ``model`` and ``data``.

    Args:
        config: The settings.
        live: What was given as an object rather than by name: ``model``, ``data``, ...
        experiment: The workload.
        space: The bits that may be struck.
        golden: The golden run that results are compared with.
        clean: The same on images that are not perturbed, where others are.
        planned: How many trials there are to be, or at most.
        fault_model: The events that are drawn, if any.
        operators: Of one's own, beside that of the settings.
    """
    settings = asdict(config)
    settings |= {"threads": torch.get_num_threads(), "device": experiment.device.type}
    if experiment.attack:
        settings["perturb"] = str(experiment.attack.perturbation)
    if fault_model is not None:
        settings["fault_model"] = fault_model.name  # its file may lie elsewhere another time
    for transient in TRANSIENT:
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
            "layers": _held(space),
        },
        "golden": golden.to_json(),
        **({"clean": clean.to_json()} if clean else {}),
        **_objective(config, golden, experiment.workload.task),
        **({"fault_model": fault_model.to_json()} if fault_model else {}),
        **_operators(config, operators),
        **({"reach": load_reach(config.reach).to_json()} if config.reach else {}),
        "planned": planned,
        "versions": versions(),
    }


def _operators(config: CampaignConfig, others: Iterable[Operator]) -> dict[str, Any]:
    named = [own for own in (operator_of(config.op),) if isinstance(own, Operator)]
    digests = {own.path: code_digest(own) for own in (*named, *others)}
    return {"operators": digests} if digests else {}


def check_operators(manifest: Manifest, ops: Iterable[Op]) -> None:
    """Raises JournalError where the code of an operator is not the one recorded."""
    for op in ops:
        was = manifest.operators.get(path_of(op))
        if isinstance(op, Operator) and was is not None and was != code_digest(op):
            raise JournalError(
                f"the operator {op.path} is not the one recorded: its code has changed"
            )


def _held(space: FaultSpace) -> dict[str, int]:
    """Bits that each layer holds at a time; other time steps strike the same memory."""
    held: dict[str, int] = {}
    for site, bits in zip(space.sites, space.bits, strict=True):
        held[site.layer] = held.get(site.layer, 0) + site.numel * len(bits)
    return held


def _objective(config: CampaignConfig, golden: Outcome, task: Task) -> dict[str, Any]:
    if config.granularity == "inference":
        return {"objective": ""}  # one sample has no figures
    if golden.of_images:
        return {}
    ranges = {name: list(ends) for name, ends in ranges_of(task).items()}
    return {"objective": task.objective, **({"ranges": ranges} if ranges else {})}
