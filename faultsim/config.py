"""Settings, shared by Python and the command line; no torch here, so that it answers at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from faultsim.errors import ConfigError

Mode = Literal["random", "layer-wise", "bit-wise", "worst-case", "exhaustive", "from-file"]

ATTACKS = ("fgsm", "pgd")
"""Perturbations that look at the model."""

# Field docstrings are the command line's help texts.


@dataclass(frozen=True)
class Subject:
    """A trained model and its data."""

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


@dataclass(frozen=True)
class Evaluation(Subject):
    """How a model is run over its data."""

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

    def __post_init__(self) -> None:
        """Refuses settings that no model could make sense of.

        Raises:
            ConfigError: One line that names the setting.
        """
        for name, value in {"batch-size": self.batch_size, "limit": self.limit}.items():
            if value is not None and value < 1:
                raise ConfigError(f"--{name} must be at least 1, not {value}")
        _check_seed_and_threads(self.seed, self.threads)


def _check_seed_and_threads(seed: int, threads: int) -> None:
    if not 0 <= seed < 1 << 64:
        raise ConfigError(f"--seed must lie between 0 and 2^64 - 1, not {seed}")
    if threads < 0:
        raise ConfigError(f"--threads must not be negative, not {threads}")


@dataclass(frozen=True)
class CampaignConfig(Evaluation):
    """Strike a model with faults, trial by trial, and record what becomes of its predictions."""

    mode: Mode = "worst-case"
    """How faults are chosen."""
    target: Literal["weights", "activations", "states"] = "weights"
    """What is struck: parameters and buffers, outputs of modules, or hidden states of scans."""
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
    perturb: str | None = None
    """Perturb the images too: fgsm, pgd:eps=1/255,steps=20, gaussian-noise:severity=3, ..."""
    attack_model: Literal["golden", "faulty"] = "golden"
    """Compute the attacks of --perturb once on the golden model, or in each trial on the faulty."""
    replay: bool = True
    """Let a trial run only what its faults can reach, or else all: slower, with equal outcomes."""
    out: str | None = None
    """Campaign directory; a new one under runs/ unless given."""
    resume: bool = False
    """Go on with the campaign in --out."""

    def __post_init__(self) -> None:
        """Refuses settings that no model could make sense of.

        Raises:
            ConfigError: One line that names the setting.
        """
        super().__post_init__()
        if self.trials is not None and self.trials < 1:
            raise ConfigError(f"--trials must be at least 1, not {self.trials}")
        if not self.flips or min(self.flips) < 1:
            raise ConfigError("--flips needs one or more numbers of at least 1")
        if self.ber is not None and not 0 <= self.ber <= 1:
            raise ConfigError(f"--ber must lie between 0 and 1, not {self.ber}")
        if self.ber is not None and self.mode not in ("random", "layer-wise", "bit-wise"):
            raise ConfigError(f"--ber does not go with --mode {self.mode}")
        if (self.mode == "from-file") != (self.faults is not None):
            raise ConfigError("--mode from-file and --faults FILE go together")
        if self.resume and self.out is None:
            raise ConfigError("--resume needs --out, the directory to go on with")
        if self.attack_model == "faulty" and (self.perturb or "").split(":")[0] not in ATTACKS:
            raise ConfigError("--attack-model faulty needs --perturb with an attack: fgsm or pgd")
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
        if not fits(value, hints[name]):
            raise ConfigError(
                f"{name} = {value!r} does not fit; faultsim campaign --help says more"
            )
    return {name: tuple(v) if isinstance(v, list) else v for name, v in settings.items()}


def fits(value: Any, hint: Any) -> bool:
    """Whether a value of a TOML or JSON table is of the type that a setting has."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return any(fits(value, argument) for argument in arguments)
    if origin is Literal:
        return value in arguments
    if origin is tuple:
        return isinstance(value, list) and all(fits(item, arguments[0]) for item in value)
    if hint is NoneType or isinstance(value, bool):
        return value is None if hint is NoneType else hint is bool
    return isinstance(value, (int, float) if hint is float else hint)


@dataclass(frozen=True)
class PerturbConfig(Evaluation):
    """Perturb the test images and compare predictions with those of the clean ones."""

    attack: tuple[str, ...] = ("fgsm", "pgd", "patch-drop", "gaussian-noise", "defocus-blur")
    """Perturbations: a name for its usual settings, or with settings, as pgd:eps=2/255,steps=10."""
    out: str | None = None
    """Folder for the record, perturb.json, which faultsim report reads."""
    resume: bool = False
    """Go on with the record in --out."""

    def __post_init__(self) -> None:
        """Refuses settings that no model could make sense of.

        Raises:
            ConfigError: One line that names the setting.
        """
        super().__post_init__()
        if not self.attack or isinstance(self.attack, str):
            raise ConfigError("--attack needs one or more perturbations, in Python a tuple of them")
        if self.resume and self.out is None:
            raise ConfigError("--resume needs --out, the folder of the record to go on with")


@dataclass(frozen=True)
class StudyConfig:
    """The whole study of one model over several data sets, part by part."""

    data: tuple[str, ...] = ()
    """Data sets, named as in a campaign; without any, a small version on the embedded digits."""
    settings: str | None = None
    """TOML file of what is done; by default a small version for digits, else the real one."""
    model: str = "medmamba-n"
    """medmamba-n, -t, -s, -b, or package.module:factory."""
    checkpoint: str | None = None
    """As in a campaign; {data} in it stands for the name of the data set."""
    data_root: str | None = None
    """Folder of MedMNIST's files, where nothing is downloaded; ~/.medmnist unless given."""
    size: int | None = None
    """Side of the images: MedMNIST has 28 (the default), 64, 128, 224; folders are resized."""
    seed: int = 0
    """Key of the random streams."""
    threads: int = 0
    """Threads of torch; 0 leaves its default."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the model runs."""
    out: str | None = None
    """Directory of the study; a new one under runs/ unless given."""
    resume: bool = False
    """Go on with the study in --out."""

    def __post_init__(self) -> None:
        """Refuses settings that no study could use.

        Raises:
            ConfigError: One line that names the setting.
        """
        _check_seed_and_threads(self.seed, self.threads)
        if self.resume and self.out is None:
            raise ConfigError("--resume needs --out, the directory to go on with")


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
        for name, number in not_negative.items():
            if not number >= 0:
                raise ConfigError(f"--{name} must not be negative, not {number}")
        _check_seed_and_threads(self.seed, self.threads)
        if self.precision == "mixed" and self.device == "cpu":
            raise ConfigError("--precision mixed needs CUDA; use float32 on the CPU")
