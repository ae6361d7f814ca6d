"""The model, the data and the fault space that settings name."""

from __future__ import annotations

from torch import nn

from faultsim.config import CampaignConfig, Evaluation, Subject
from faultsim.data import Dataset, load_data
from faultsim.devices import choose_device
from faultsim.errors import FaultError
from faultsim.models import load_model
from faultsim.perturb import Perturbation
from faultsim.run.bench import Attack, Bench
from faultsim.space import TARGETS, FaultSpace
from faultsim.targets.closed import check_open


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
    )


def make_bench(
    config: Evaluation, model: nn.Module | None = None, data: Dataset | None = None
) -> Bench:
    """The model and data of a campaign or an evaluation, on its device.

    Raises:
        ConfigError: One of them cannot be loaded, or there is no such device.
    """
    device = choose_device(config.device)
    data = data if data is not None else load_data(config.data, config.data_root, config.size)
    return Bench(
        model if model is not None else _model(config, data),
        data,
        batch_size=config.batch_size,
        limit=config.limit,
        device=device,
        attack=_attack(config, data),
        replay=isinstance(config, CampaignConfig) and config.replay,
    )


def _attack(config: Evaluation, data: Dataset) -> Attack | None:
    if not isinstance(config, CampaignConfig) or config.perturb is None:
        return None
    perturbation = Perturbation.parse(config.perturb, data.test.images.shape[-1])
    return Attack(perturbation, config.seed, config.attack_model == "faulty")


def make_space(config: CampaignConfig, bench: Bench) -> FaultSpace:
    """The fault space of a campaign; a fault file may name any site of the model."""
    everything = config.mode == "from-file"
    targets = _seen_targets(bench.model) if everything else (config.target,)
    return FaultSpace(
        bench.model,
        targets,
        "all" if everything else config.bits,
        config.include or None,
        config.exclude or None,
        inputs=bench.first_batch() if targets != ("weights",) else None,
    )


def _seen_targets(model: nn.Module) -> tuple[str, ...]:
    """All but what only hooks could strike, where a model is closed to them."""
    try:
        check_open(model)
    except FaultError:
        return ("weights",)
    return TARGETS
