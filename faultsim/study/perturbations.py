"""How well a model copes with perturbed images: each setting paired with the clean ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import nn

from faultsim.campaign.manifest import check_same
from faultsim.campaign.subject import images_of, make_classifier, make_experiment
from faultsim.campaign.versions import versions
from faultsim.config import PerturbConfig
from faultsim.data import Split
from faultsim.data.evaluation import Figures, Predictions
from faultsim.devices import reproducibly
from faultsim.errors import ConfigError, JournalError
from faultsim.files import locked, write_json
from faultsim.perturb import Perturbation, expand, perturb_split
from faultsim.run.engine import WholePass
from faultsim.run.experiment import Experiment
from faultsim.run.golden import Golden, golden_run
from faultsim.study.record import RECORD, read_record
from faultsim.workload.batch import read_batches

Row = dict[str, Any]


@dataclass(frozen=True)
class PerturbResult:
    """What :func:`run_perturbations` found.

    Attributes:
        record: As ``perturb.json`` holds it: ``clean`` and ``rows`` of figures with intervals.
        path: The file; None where no folder was given.
    """

    record: Mapping[str, Any]
    path: Path | None


def run_perturbations(
    config: PerturbConfig | None = None,
    *,
    model: nn.Module | None = None,
    data: Any = None,
    progress: Callable[[str, int, int], None] = lambda setting, done, total: None,
) -> PerturbResult:
    """Evaluates the test split clean and under each perturbation.

    Each row has accuracy and AUC with 95 % intervals over images, and their changes against the
    clean images, paired image by image.

    Args:
        config: The settings.
        model: A live model instead of the one that ``config`` names; it is put in eval mode.
        data: A live data set instead of the one that ``config`` names.
        progress: Called with each setting before it is tried, its number from 0 and their total.

    Raises:
        FaultSimError: In one line, what cannot be used.
    """
    config = config or PerturbConfig()
    with reproducibly(config.threads):
        experiment = make_experiment(config, make_classifier(config, model, data))
        side = images_of(experiment.workload).test.images.shape[-1]
        wanted = [Perturbation.parse(one, side) for text in config.attack for one in expand(text)]
        path = Path(config.out) / RECORD if config.out else None
        live = [name for name, given in (("model", model), ("data", data)) if given is not None]
        clean = _predictions(experiment, experiment.clean("test"))
        record = {**_header(config, experiment, clean), "live": live, "rows": []}
        with nullcontext() if path is None else _alone(path, resume=config.resume):
            if path is not None:
                record = _resumed(path, record) if config.resume else record
                write_json(path, record)  # so that a bad folder is known at once
            for number, perturbation in enumerate(wanted):
                setting = str(perturbation)
                progress(setting, number, len(wanted))
                if setting in [row["setting"] for row in record["rows"]]:
                    continue
                record["rows"].append(_row(perturbation, experiment, clean, config))
                if path is not None:
                    write_json(path, record)
    return PerturbResult(record, path)


def _predictions(experiment: Experiment, golden: Golden) -> Predictions:
    labels = torch.cat([batch.targets for batch in golden.batches])
    return Predictions(torch.cat(list(golden.outputs)), labels, images_of(experiment.workload))


def _header(config: PerturbConfig, experiment: Experiment, clean: Predictions) -> dict[str, Any]:
    settings = asdict(config)
    settings |= {"threads": torch.get_num_threads(), "device": experiment.device.type}
    del settings["out"], settings["resume"]
    n, data = len(clean.labels), images_of(experiment.workload)
    return {
        "config": settings,
        "model": {"digest": experiment.digest},
        "data": {
            "name": data.name,
            "digest": data.digest,
            "task": data.task,
            "images": n,
        },
        "versions": versions(),
        "clean": {"setting": "clean", "n": n, **_json(clean.figures())},
    }


def _row(
    perturbation: Perturbation, experiment: Experiment, clean: Predictions, config: PerturbConfig
) -> Row:
    workload, device = experiment.workload, experiment.device
    batches = experiment.batches("test")
    images = torch.cat([batch.inputs for batch in batches])
    part = perturb_split(
        perturbation,
        workload.model,
        Split(images, clean.labels),
        seed=config.seed,
        batch_size=config.batch_size,
        device=device,
    )
    perturbed = read_batches((part.images, part.labels), config.batch_size, None, whole=False)
    run = golden_run(workload, perturbed, WholePass(workload, device))
    found = _predictions(experiment, run)
    changes = found.changes(clean)
    return {
        "setting": str(perturbation),
        "kind": perturbation.kind,
        "parameters": dict(perturbation.settings),
        "n": len(part),
        **_json(found.figures()),
        **_json({f"{name}_change": change for name, change in changes.items()}),
    }


def _json(figures: Figures) -> Row:
    return {name.lower(): value and value.to_json() for name, value in figures.items()}


@contextmanager
def _alone(path: Path, *, resume: bool) -> Iterator[None]:
    """Keeps other processes from the folder of a record that is begun, or gone on with."""
    _check_use(path, resume)
    with locked(path.parent):
        _check_use(path, resume)  # another process may have been here meanwhile
        yield


def _check_use(path: Path, resume: bool) -> None:
    try:
        there = path.exists()
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from None
    if there and not resume:
        raise ConfigError(f"{path} exists: give --resume to go on with it, or another --out")
    if resume and not there:
        raise JournalError(f"{path.parent} holds no record to go on with: it has no {RECORD}")


def _resumed(path: Path, fresh: dict[str, Any]) -> dict[str, Any]:
    """What was recorded; perturbations may be added to it, all else must be the same."""
    record: dict[str, Any] = msgspec.to_builtins(read_record(path))
    attack = list(dict.fromkeys([*record["config"]["attack"], *fresh["config"]["attack"]]))
    config = record["config"] | {"attack": attack}
    now = {**fresh, "config": fresh["config"] | {"attack": attack}}
    check_same(path, {**record, "config": config}, now, ("config", "model", "data"))
    return {**record, "config": config}
