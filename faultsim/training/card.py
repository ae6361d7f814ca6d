"""The model card that lies beside a checkpoint (Mitchell et al., "Model Cards", FAT* 2019)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import nn

from faultsim.config import TrainConfig
from faultsim.data import Dataset
from faultsim.data.dataset import BINARY, SPLITS
from faultsim.data.evaluation import Figures
from faultsim.data.medmnist import set_of
from faultsim.stats import Estimate
from faultsim.training.recipe import command
from faultsim.training.trainer import Epoch

TEMPLATE = """\
# {model} for {data}

**Not for clinical use.** This model exists to study how faults change a network's predictions. It
is no medical device, and no diagnosis may rest on it.

- Model: {model}, {parameters:,} parameters; inputs {shape} in [0, 1]
- Data: {origin}
- Licence of the data: {licence}
- Task: {task}
- Images: {sizes}

## Recipe

```
{command}
```

AdamW and {loss}; the learning rate falls to a tenth after half of the epochs and to a hundredth
after three quarters. Kept are the weights of epoch {epoch}, the best by validation {monitor}.
torch {torch} on {device}, threads: {threads}.

## Results

{table}

95 % intervals over images. The validation split chose the epoch, so its figures flatter; the test
split was evaluated once, after training.
"""


class Source(NamedTuple):
    """Where data come from, and under which terms."""

    origin: str
    licence: str


DIGITS = (
    'E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning '
    "Repository, 1998, as bundled with scikit-learn and enlarged to 32 × 32"
)
MEDMNIST = (
    'J. Yang et al., "MedMNIST v2: A large-scale lightweight benchmark for 2D and 3D biomedical '
    'image classification", Scientific Data 10, 41, 2023; files of Zenodo record 10519652'
)


def source_of(name: str) -> Source:
    """Origin and licence of a data set, by its name."""
    flag = set_of(name)
    if name == "digits":
        return Source(DIGITS, "CC BY 4.0")
    if flag is not None:
        return Source(MEDMNIST, "CC BY-NC 4.0" if flag == "dermamnist" else "CC BY 4.0")
    return Source(name, "as the data's owner says")


def model_card(
    model: nn.Module,
    data: Dataset,
    config: TrainConfig,
    best: Epoch,
    results: Mapping[str, Figures],
) -> str:
    """Markdown: what the model is, what it was made from and how, and what it reaches.

    Args:
        model: As trained.
        data: What it was trained and evaluated on.
        config: The recipe.
        best: The epoch whose weights were kept.
        results: By split.
    """
    source = source_of(data.name)
    return TEMPLATE.format(
        model=config.model,
        data=data.name,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        shape=" × ".join(map(str, data.test.images.shape[1:])),
        origin=source.origin,
        licence=source.licence,
        task=_task(data),
        sizes=", ".join(f"{len(data.split(split)):,} {split}" for split in SPLITS),
        command=command(config),
        loss=f"{'binary ' if data.multi_label else ''}cross entropy",
        epoch=best.number,
        monitor="AUC" if config.monitor == "auc" and best.val_auc is not None else "accuracy",
        torch=torch.__version__,
        device=next(model.parameters()).device.type,
        threads=torch.get_num_threads(),
        table=_table(results, data),
    )


def _task(data: Dataset) -> str:
    classes = f"{data.task}: {' / '.join(data.classes)}"
    if data.task != BINARY:
        return classes
    return (
        f"{classes}; sensitivity is that for class {data.positive}, {data.classes[data.positive]}"
    )


def _table(results: Mapping[str, Figures], data: Dataset) -> str:
    names = list(next(iter(results.values())))
    rows = [["split", "images", *names], ["---"] * (len(names) + 2)]
    for split, figures in results.items():
        rows.append([split, f"{len(data.split(split)):,}", *map(_cell, figures.values())])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _cell(estimate: Estimate | None) -> str:
    if estimate is None:
        return "undefined"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.3f}"
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"
