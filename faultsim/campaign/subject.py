"""The workload and the fault space that settings name, or that were given."""

from __future__ import annotations

from copy import copy
from pathlib import Path
from typing import Any

from torch import nn

from faultsim.config import AnySubject, CampaignConfig, Evaluation, Subject
from faultsim.config.granularity import alone
from faultsim.data import Dataset, load_data
from faultsim.data.loading import dataset_of
from faultsim.data.workload import ImageWorkload, labelled
from faultsim.devices import choose_device
from faultsim.errors import ConfigError, FaultError
from faultsim.kinds import KINDS
from faultsim.models import load_model
from faultsim.models.checkpoint import load_checkpoint
from faultsim.ops.operators import compiled, strikes_bits
from faultsim.perturb import Perturbation
from faultsim.protections import protect
from faultsim.run.attack import Attack
from faultsim.run.experiment import Experiment
from faultsim.run.ragged import common_shapes
from faultsim.run.steps import common_steps
from faultsim.space import FaultSpace
from faultsim.targets.closed import check_open
from faultsim.workload import Workload
from faultsim.workload.loading import load_workload
from faultsim.workload.single import single
from faultsim.workload.stated import Stated
from faultsim.workload.tasks.targeted import Targeted
from faultsim.workload.workload import REPORTED, SEARCHED

OFFERED = ("data_root", "size", "batch_size")
"""Settings that the factory of a workload may ask for, by the names of its parameters."""

LIVE = "data"
"""Name of data that were given as objects without one."""


def load_subject(config: Subject) -> tuple[nn.Module, Dataset]:
    """The model and the data.

    Raises:
        ConfigError: One of them cannot be loaded.
    """
    data = load_data(config.data, config.data_root, config.size)
    return _model(config, data), data


def _model(config: Subject, data: Dataset) -> nn.Module:
    return load_model(
        config.model,
        num_classes=data.num_classes,
        in_channels=data.in_channels,
        checkpoint=config.checkpoint,
        data=data.name,
        image_size=data.image_size,
    )


def make_workload(config: AnySubject, model: nn.Module | None = None, data: Any = None) -> Workload:
    """The workload that the settings name, or else what :func:`make_classifier` makes."""
    if config.workload is None:
        return make_classifier(config, model, data)
    if model is not None or data is not None:
        raise ConfigError("the workload of the settings has its own model and data")
    return _from_factory(config, config.workload)


def make_classifier(config: Subject, model: nn.Module | None = None, data: Any = None) -> Workload:
    """A classifier and its data, each given or as the settings name it.

    Args:
        config: The settings.
        model: A live model.
        data: A :class:`Dataset`, or what :func:`faultsim.data.loading.splits_of` takes.

    Raises:
        ConfigError: One of them cannot be loaded or used.
    """
    if data is None:
        data = load_data(config.data, config.data_root, config.size)
    if model is not None:
        return labelled(model, data, LIVE)
    known = dataset_of(data, LIVE)
    return ImageWorkload(_model(config, known), known)


def _from_factory(config: AnySubject, path: str) -> Workload:
    """A workload, whose model is given the checkpoint of the settings."""
    options = {name: getattr(config, name) for name in OFFERED if hasattr(config, name)}
    workload = load_workload(path, options)
    if config.checkpoint is not None:
        load_checkpoint(workload.model, Path(config.checkpoint))
    return workload


def make_experiment(config: Evaluation, workload: Workload) -> Experiment:
    """The workload of a campaign or an evaluation, protected as it says, on its device.

    Raises:
        ConfigError: There is no such device or protection, or the samples cannot be perturbed.
    """
    device = choose_device(config.device)
    if isinstance(config, CampaignConfig) and config.protect is not None:
        workload.model.to(device)
        batches = workload.read(REPORTED, config.batch_size, config.limit)
        workload = protect(workload, config.protect, batches=batches)
    return Experiment(
        _aimed(config, workload),
        batch_size=config.batch_size,
        limit=config.limit,
        device=device,
        attack=_attack(config, workload),
        replay=isinstance(config, CampaignConfig) and config.replay,
        allow_unsound=isinstance(config, CampaignConfig) and config.allow_unsound,
        when=config.when if isinstance(config, CampaignConfig) else "after",
    )


def _aimed(config: Evaluation, workload: Workload) -> Workload:
    """The workload as a targeted attack sees it; as it is, where there is none."""
    if not isinstance(config, CampaignConfig):
        return workload
    target, stealthy = config.target_class, config.stealthy
    if config.target_samples:
        return Stated(workload, config.target_samples, target, stealthy=stealthy)
    if target is None:
        return workload
    aimed = copy(workload)
    aimed.task = Targeted(workload.task, target, config.source_class, stealthy=stealthy)
    return aimed


def _attack(config: Evaluation, workload: Workload) -> Attack | None:
    if not isinstance(config, CampaignConfig) or config.perturb is None:
        return None
    side = images_of(workload).test.images.shape[-1]
    perturbation = Perturbation.parse(config.perturb, side)
    return Attack(perturbation, config.seed, config.attack_model == "faulty", config.when)


def images_of(workload: Workload) -> Dataset:
    """The data set of a classifier of images.

    Raises:
        ConfigError: It is none, so that there is nothing that could be perturbed.
    """
    if not isinstance(workload, ImageWorkload):
        raise ConfigError(f"only images with labels can be perturbed, not {workload.name}")
    return workload.data


def make_space(config: CampaignConfig, experiment: Experiment) -> FaultSpace:
    """The fault space of a campaign; a fault file may name any site of the model."""
    everything, singly = config.mode == "from-file", alone(config)
    targets = _seen_targets(experiment.workload.model) if everything else (config.target,)
    space = FaultSpace(
        experiment.workload.model,
        targets,
        "all" if everything else config.bits,
        config.include or None,
        config.exclude or None,
        inputs=_inputs(experiment, alone=singly) if targets != ("weights",) else None,
        run=experiment.workload.run,
        integers=everything or config.integers,
    )
    splits = (REPORTED, SEARCHED) if config.mode == "worst-case" else (REPORTED,)
    batches = [batch for split in splits for batch in experiment.batches(split)]
    if singly and config.target != "weights":
        batches = [single(batch, n) for batch in batches for n in range(batch.size)]
    space = common_steps(experiment.workload, batches, space, experiment.device)
    space = common_shapes(experiment.workload, batches, space, experiment.device)
    return space if strikes_bits(compiled(config.op)) else space.words


def _inputs(experiment: Experiment, *, alone: bool) -> Any:
    """What a trial's first pass is given, on the device."""
    if alone:
        return experiment.singles.sample(0).to(experiment.device).inputs
    return experiment.first_inputs()


def _seen_targets(model: nn.Module) -> tuple[str, ...]:
    """All but what only hooks could strike, where a model is closed to them."""
    try:
        check_open(model)
    except FaultError:
        return ("weights",)
    return KINDS
