"""``faultsim train``: a model from scratch to a checkpoint and its card."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from faultsim.cli.commands import Train
from faultsim.config import TrainConfig
from faultsim.errors import ConfigError

if TYPE_CHECKING:
    from torch import nn

    from faultsim.data import Dataset
    from faultsim.training import Epoch


def run(command: Train) -> int:
    """Trains, then evaluates the test split, once, and writes checkpoint and card."""
    import torch

    from faultsim.data import load_data
    from faultsim.devices import use_threads
    from faultsim.models.loading import build

    config = TrainConfig(**{f.name: getattr(command, f.name) for f in fields(TrainConfig)})
    path, console = Path(config.out), Console()
    _check_out(path)
    with use_threads(config.threads):
        data = load_data(config.data, config.data_root, config.size)
        torch.manual_seed(config.seed)  # the initial weights
        model = build(config.model, data.num_classes, data.in_channels, data.image_size)
        state = path.with_suffix(".state.pt")
        best = _train(model, data, config, state, console)
        _finish(model, data, config, best, console)
        state.unlink()
    return 0


def _train(
    model: nn.Module, data: Dataset, config: TrainConfig, state: Path, console: Console
) -> Epoch:
    """Trains under a bar that shows the epoch at hand, with a line for each that is over."""
    from faultsim.training import train

    columns = (TextColumn("training"), BarColumn(), MofNCompleteColumn(), TextColumn("images"))
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=len(data.train))

        def report(epoch: Epoch) -> None:
            console.print(_line(epoch, config.epochs), highlight=False)
            bar.reset(task)

        try:
            return train(
                model, data, config, report, step=lambda n: bar.advance(task, n), state=state
            )
        except KeyboardInterrupt:
            if state.exists():
                console.print("Interrupted. To go on, give the same command and --resume")
            raise


def _line(epoch: Epoch, epochs: int) -> str:
    auc = "undefined" if epoch.val_auc is None else f"{epoch.val_auc:.4f}"
    return (
        f"epoch {epoch.number:3}/{epochs}  rate {epoch.lr:.0e}  loss {epoch.loss:.4f}  "
        f"validation accuracy {epoch.val_accuracy:.2%}  AUC {auc}"
    )


def _finish(
    model: nn.Module, data: Dataset, config: TrainConfig, best: Epoch, console: Console
) -> None:
    from faultsim.data.evaluation import assess
    from faultsim.files import replacing
    from faultsim.training import model_card, save_checkpoint

    path = Path(config.out)
    card = path.with_suffix(".md")
    results = {split: assess(model, data, split) for split in ("val", "test")}
    save_checkpoint(model, path, config, results)
    with replacing(card) as draft:
        draft.write_text(model_card(model, data, config, best, results), encoding="utf-8")
    console.print(f"Kept are the weights of epoch {best.number}.")
    for name, estimate in results["test"].items():
        console.print(f"Test {name} {estimate}", highlight=False)
    console.print(f"Checkpoint: {path}\nModel card: {card}", soft_wrap=True)


def _check_out(path: Path) -> None:
    """Raises now what would be a pity after the training."""
    if path.suffix != ".safetensors":
        raise ConfigError(f"--out must end in .safetensors, not {path.name!r}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from None
