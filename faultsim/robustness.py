"""How well a model copes with perturbed images: each setting paired with the clean ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import nn

from faultsim.bench import Bench
from faultsim.campaign.journal import write_json
from faultsim.config import PerturbConfig
from faultsim.data import Dataset
from faultsim.devices import use_threads
from faultsim.errors import ConfigError, JournalError
from faultsim.evaluation import changes_of, figures_of, logits_of
from faultsim.judge import Golden
from faultsim.perturb import Perturbation, expand, perturb_split
from faultsim.subject import make_bench
from faultsim.versions import versions

RECORD = "perturb.json"
COMPARED = ("model", "checkpoint", "data", "data_root", "size", "seed", "batch_size", "limit")
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
    with use_threads(config.threads):
        bench = make_bench(config, model, data)
        side = bench.data.test.images.shape[-1]
        wanted = [Perturbation.parse(one, side) for text in config.attack for one in expand(text)]
        path = Path(config.out) / RECORD if config.out else None
        clean = bench.clean("test")
        live = [name for name, given in (("model", model), ("data", data)) if given is not None]
        record = _open(path, config, {**_header(config, bench, clean), "live": live, "rows": []})
        for number, perturbation in enumerate(wanted):
            setting = str(perturbation)
            progress(setting, number, len(wanted))
            if setting in [row["setting"] for row in record["rows"]]:
                continue
            record["rows"].append(_row(perturbation, bench, clean, config))
            if path is not None:
                write_json(path, record)
    return PerturbResult(record, path)


def _header(config: PerturbConfig, bench: Bench, clean: Golden) -> dict[str, Any]:
    settings = asdict(config)
    del settings["out"], settings["resume"]
    figures = figures_of(clean.logits, clean.split.labels, bench.data)
    return {
        "config": settings,
        "model": {"digest": bench.digest},
        "data": {
            "name": bench.data.name,
            "digest": bench.data.digest,
            "task": bench.data.task,
            "images": len(clean.split),
        },
        "versions": versions(),
        "clean": {"setting": "clean", "n": len(clean.split), **_json(figures)},
    }


def _row(perturbation: Perturbation, bench: Bench, clean: Golden, config: PerturbConfig) -> Row:
    part = perturb_split(
        perturbation,
        bench.model,
        clean.split,
        seed=config.seed,
        batch_size=config.batch_size,
        device=bench.device,
    )
    logits = logits_of(bench.model, part, config.batch_size)
    changes = changes_of(clean.logits, logits, part.labels)
    return {
        "setting": str(perturbation),
        "kind": perturbation.kind,
        "parameters": dict(perturbation.settings),
        "n": len(part),
        **_json(figures_of(logits, part.labels, bench.data)),
        **_json({f"{name}_change": change for name, change in changes.items()}),
    }


def _json(figures: Mapping[str, Any]) -> Row:
    return {name.lower(): value and value.to_json() for name, value in figures.items()}


def _open(path: Path | None, config: PerturbConfig, fresh: dict[str, Any]) -> dict[str, Any]:
    """The record to go on with; the file is written, so that a bad folder is known at once."""
    if path is None:
        return fresh
    record = _resumed(path, fresh) if config.resume else fresh
    if path.exists() and not config.resume:
        raise ConfigError(f"{path} exists: give --resume to go on with it, or another --out")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, record)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from None
    return record


def _resumed(path: Path, fresh: dict[str, Any]) -> dict[str, Any]:
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        before = [record["config"][key] for key in COMPARED]
        before += [record[part]["digest"] for part in ("model", "data")]
        rows = record["rows"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise JournalError(f"{path} cannot be resumed: {error}") from None
    now = [fresh["config"][key] for key in COMPARED]
    now += [fresh[part]["digest"] for part in ("model", "data")]
    names = (*COMPARED, "model digest", "data digest")
    for name, was, new in zip(names, before, now, strict=True):
        if was != new:
            raise JournalError(
                f"{path} was begun with {name} = {was}, now it is {new}; resume with the same, or "
                "start another"
            )
    return fresh | {"rows": rows}
