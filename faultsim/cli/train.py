"""``faultsim train``: a model from scratch to a checkpoint."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from tempfile import TemporaryFile

from rich.console import Console

from faultsim.cli.commands import Train
from faultsim.config import TrainConfig
from faultsim.errors import ConfigError


def run(command: Train) -> int:
    """Trains, printing each epoch, and saves."""
    import torch

    from faultsim.data import load_data
    from faultsim.models.loading import build
    from faultsim.training import evaluate, save, train

    names = [field.name for field in fields(TrainConfig)]
    config = TrainConfig(**{name: getattr(command, name) for name in names})
    path = Path(config.out)
    _check_out(path)
    if config.threads:
        torch.set_num_threads(config.threads)
    data = load_data(config.data, config.data_root, config.size)
    torch.manual_seed(config.seed)  # the initial weights
    model = build(config.model, data.num_classes, data.in_channels)
    console = Console()
    train(
        model,
        data,
        config,
        lambda epoch: console.print(
            f"epoch {epoch.number:3}/{config.epochs}  loss {epoch.loss:.4f}  "
            f"validation accuracy {epoch.val_accuracy:.2%}",
            highlight=False,
        ),
    )
    results = {"val": evaluate(model, data.val), "test": evaluate(model, data.test)}
    save(model, path, config, results)
    console.print(f"Test accuracy {results['test']:.2%} on {len(data.test):,} images")
    console.print(f"Checkpoint: {path}", soft_wrap=True)
    return 0


def _check_out(path: Path) -> None:
    """Raises now what would be a pity after the training."""
    if path.suffix != ".safetensors":
        raise ConfigError(f"--out must end in .safetensors, not {path.name!r}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from None
