"""Settings, shared by Python and the command line; no torch here, so that it answers at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from faultsim.errors import ConfigError

Mode = Literal["random", "layer-wise", "bit-wise", "worst-case", "exhaustive", "from-file"]

# Field docstrings are the command line's help texts.


@dataclass(frozen=True)
class CampaignConfig:
    """Strike a model with faults, trial by trial, and record what becomes of its predictions."""

    mode: Mode = "worst-case"
    """How faults are chosen."""
    target: Literal["weights", "activations", "states"] = "weights"
    """What is struck: parameters and buffers, outputs of modules, or hidden states of scans."""
    model: str = "medmamba-n"
    """medmamba-n, -t, -s, -b, or package.module:factory."""
    checkpoint: str | None = None
    """A .safetensors or torch.save file; without it the one shipped for the data."""
    data: str = "digits"
    """digits, a MedMNIST name, an .npz file, an image folder, or package.module:factory."""
    data_root: str | None = None
    """Folder of MedMNIST's files, where nothing is downloaded; ~/.medmnist unless given."""
    size: int | None = None
    """Side of the images: MedMNIST has 28 (the default), 64, 128, 224; folders are resized."""
    flips: tuple[int, ...] = (1, 2, 4)
    """Bits struck in a trial; each number is a cell of its own."""
    trials: int | None = None
    """Trials in each cell; by default 100 for random, 20 a layer or bit, 10 beside worst-case."""
    ber: float | None = None
    """Bit-error rate, instead of flips (random, layer-wise and bit-wise)."""
    bits: str = "all"
    """Bits that may be struck: sign, exponent, mantissa, all, a bit (30) or a range (23-30)."""
    op: Literal["flip", "stuck-at-0", "stuck-at-1"] = "flip"
    """What happens to a struck bit."""
    direction: Literal["0to1", "1to0"] | None = None
    """Strike only bits that are 0, or only bits that are 1."""
    allow_nonfinite: bool = False
    """Let the worst-case search use flips that make a word or an output infinite or NaN."""
    include: tuple[str, ...] = ()
    """Name patterns of the tensors to strike; a module's name takes all below it."""
    exclude: tuple[str, ...] = ()
    """Name patterns of tensors to leave alone."""
    faults: str | None = None
    """The fault file of from-file."""
    seed: int = 0
    """Key of the random streams."""
    threads: int = 0
    """Threads of torch; 0 leaves its default."""
    batch_size: int = 128
    """Images in a forward pass."""
    limit: int | None = None
    """Use only the first images of each split."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the model runs."""
    out: str | None = None
    """Campaign directory; a new one under runs/ unless given."""
    resume: bool = False
    """Go on with the campaign in --out."""

    def __post_init__(self) -> None:
        """Refuses settings that no model could make sense of.

        Raises:
            ConfigError: One line that names the setting.
        """
        positive = {"trials": self.trials, "batch-size": self.batch_size, "limit": self.limit}
        for name, value in positive.items():
            if value is not None and value < 1:
                raise ConfigError(f"--{name} must be at least 1, not {value}")
        if not self.flips or min(self.flips) < 1:
            raise ConfigError("--flips needs one or more numbers of at least 1")
        if self.ber is not None and not 0 <= self.ber <= 1:
            raise ConfigError(f"--ber must lie between 0 and 1, not {self.ber}")
        if self.ber is not None and self.mode not in ("random", "layer-wise", "bit-wise"):
            raise ConfigError(f"--ber does not go with --mode {self.mode}")
        if not 0 <= self.seed < 1 << 64:
            raise ConfigError(f"--seed must lie between 0 and 2^64 - 1, not {self.seed}")
        if self.threads < 0:
            raise ConfigError(f"--threads must not be negative, not {self.threads}")
        if (self.mode == "from-file") != (self.faults is not None):
            raise ConfigError("--mode from-file and --faults FILE go together")
        if self.resume and self.out is None:
            raise ConfigError("--resume needs --out, the directory to go on with")
        if self.direction is not None and self.target != "weights":
            raise ConfigError(
                f"--direction needs --target weights: {self.target} have no value yet"
            )
        if self.direction is not None and self.op != "flip":
            raise ConfigError(f"--direction goes with --op flip; {self.op} implies one")


def checked_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Keyword arguments for :class:`CampaignConfig` from a TOML or JSON table.

    Raises:
        ConfigError: An unknown name, or a value of the wrong type.
    """
    hints = get_type_hints(CampaignConfig)
    for name, value in settings.items():
        if name not in hints:
            raise ConfigError(f"unknown setting {name!r}; faultsim campaign --help lists them")
        if not _fits(value, hints[name]):
            raise ConfigError(
                f"{name} = {value!r} does not fit; faultsim campaign --help says more"
            )
    return {name: tuple(v) if isinstance(v, list) else v for name, v in settings.items()}


def _fits(value: Any, hint: Any) -> bool:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return any(_fits(value, argument) for argument in arguments)
    if origin is Literal:
        return value in arguments
    if origin is tuple:
        return isinstance(value, list) and all(_fits(item, arguments[0]) for item in value)
    if hint is NoneType or isinstance(value, bool):
        return value is None if hint is NoneType else hint is bool
    return isinstance(value, (int, float) if hint is float else hint)


@dataclass(frozen=True)
class TrainConfig:
    """Train a model and save its checkpoint with the recipe in its metadata."""

    model: str = "medmamba-n"
    """medmamba-n, -t, -s, -b or package.module:factory."""
    data: str = "digits"
    """digits, a MedMNIST name, an .npz file, an image folder, or package.module:factory."""
    data_root: str | None = None
    """Folder of MedMNIST's files, where nothing is downloaded; ~/.medmnist unless given."""
    size: int | None = None
    """Side of the images: MedMNIST has 28 (the default), 64, 128, 224; folders are resized."""
    out: str = "checkpoint.safetensors"
    """Where to write the checkpoint."""
    epochs: int = 100
    """Passes over the training split, unless patience ends it before."""
    batch_size: int = 128
    """Images in a step, at most; the batches of an epoch are of equal size."""
    lr: float = 1e-3
    """Learning rate at the start; a tenth after half, a hundredth after three quarters."""
    weight_decay: float = 0.01
    """AdamW's."""
    augment: Literal["none", "flip", "affine", "flip-affine"] = "none"
    """Mirror training images at random; shift, turn and scale them a little; or both."""
    class_weights: Literal["none", "balanced"] = "none"
    """Let every class, or the two values of every label, weigh the same in the loss."""
    monitor: Literal["auc", "accuracy"] = "auc"
    """Validation figure whose best epoch is kept; accuracy where the AUC is undefined."""
    patience: int = 0
    """Stop after so many epochs without a better one; 0 never stops early."""
    precision: Literal["float32", "mixed"] = "float32"
    """mixed computes the forward pass in float16 where that is safe; needs CUDA."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the model is trained."""
    seed: int = 0
    """Of the initial weights, the order of images, their augmentation and stochastic depth."""
    threads: int = 0
    """Threads of torch; 0 leaves its default."""
    resume: bool = False
    """Go on with the interrupted training of --out."""

    def __post_init__(self) -> None:
        """Refuses settings that no training could use.

        Raises:
            ConfigError: One line that names the setting.
        """
        for name, value in {"epochs": self.epochs, "batch-size": self.batch_size}.items():
            if value < 1:
                raise ConfigError(f"--{name} must be at least 1, not {value}")
        if not 0 < self.lr < float("inf"):
            raise ConfigError(f"--lr must be positive, not {self.lr}")
        not_negative = {"weight-decay": self.weight_decay, "patience": self.patience}
        for name, number in {**not_negative, "threads": self.threads}.items():
            if not number >= 0:
                raise ConfigError(f"--{name} must not be negative, not {number}")
        if not 0 <= self.seed < 1 << 64:
            raise ConfigError(f"--seed must lie between 0 and 2^64 - 1, not {self.seed}")
        if self.precision == "mixed" and self.device == "cpu":
            raise ConfigError("--precision mixed needs CUDA; use float32 on the CPU")
