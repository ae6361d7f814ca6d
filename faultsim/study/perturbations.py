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
from faultsim.campaign.subject import make_bench
from faultsim.campaign.versions import versions
from faultsim.config import PerturbConfig
from faultsim.data import Dataset
from faultsim.data.evaluation import Figures, Predictions
from faultsim.devices import reproducibly
from faultsim.errors import ConfigError, JournalError
from faultsim.files import locked, write_json
from faultsim.perturb import Perturbation, expand, perturb_split
from faultsim.run.bench import Bench
from faultsim.study.record import RECORD, read_record

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
    data: Dataset | None = None,
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
        bench = make_bench(config, model, data)
        side = bench.data.test.images.shape[-1]
        wanted = [Perturbation.parse(one, side) for text in config.attack for one in expand(text)]
        path = Path(config.out) / RECORD if config.out else None
        live = [name for name, given in (("model", model), ("data", data)) if given is not None]
        golden = bench.clean("test")
        clean = Predictions(golden.logits, golden.split.labels, bench.data)
        record = {**_header(config, bench, clean), "live": live, "rows": []}
        with nullcontext() if path is None else _alone(path, resume=config.resume):
            if path is not None:
                record = _resumed(path, record) if config.resume else record
                write_json(path, record)  # so that a bad folder is known at once
            for number, perturbation in enumerate(wanted):
                setting = str(perturbation)
                progress(setting, number, len(wanted))
                if setting in [row["setting"] for row in record["rows"]]:
                    continue
                record["rows"].append(_row(perturbation, bench, clean, config.seed))
                if path is not None:
                    write_json(path, record)
    return PerturbResult(record, path)


def _header(config: PerturbConfig, bench: Bench, clean: Predictions) -> dict[str, Any]:
    settings = asdict(config)
    settings |= {"threads": torch.get_num_threads(), "device": bench.device.type}
    del settings["out"], settings["resume"]
    n = len(clean.labels)
    return {
        "config": settings,
        "model": {"digest": bench.digest},
        "data": {
            "name": bench.data.name,
            "digest": bench.data.digest,
            "task": bench.data.task,
            "images": n,
        },
        "versions": versions(),
        "clean": {"setting": "clean", "n": n, **_json(clean.figures())},
    }


def _row(perturbation: Perturbation, bench: Bench, clean: Predictions, seed: int) -> Row:
    part = perturb_split(
        perturbation,
        bench.model,
        bench.clean("test").split,
        seed=seed,
        batch_size=bench.batch_size,
        device=bench.device,
    )
    found = Predictions(bench.logits_of(part), part.labels, bench.data)
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
