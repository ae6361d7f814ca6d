"""The settings of a training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from faultsim.config.settings import Settings
from faultsim.config.values import Count, NotNegative, Patience, Pixels, Seed, Threads
from faultsim.errors import ConfigError


@dataclass(frozen=True, repr=False)
class TrainConfig(Settings):
    """Train a model and save its checkpoint with the recipe in its metadata."""

    model: str = "medmamba-n"
    """medmamba-n, -t, -s, -b or package.module:factory."""
    data: str = "digits"
    """digits, a MedMNIST name, an .npz file, an image folder, or package.module:factory."""
    data_root: str | None = None
    """Folder of MedMNIST's files, where nothing is downloaded; ~/.medmnist unless given."""
    size: Pixels | None = None
    """Side of the images: MedMNIST has 28 (the default), 64, 128, 224; folders are resized."""
    out: str = "checkpoint.safetensors"
    """Where to write the checkpoint."""
    epochs: Count = 100
    """Passes over the training split, unless patience ends it before."""
    batch_size: Count = 128
    """Images in a step, at most; the batches of an epoch are of equal size."""
    lr: float = 1e-3
    """Learning rate at the start; a tenth after half, a hundredth after three quarters."""
    weight_decay: NotNegative = 0.01
    """AdamW's."""
    augment: Literal["none", "flip", "affine", "flip-affine"] = "none"
    """Mirror training images at random; shift, turn and scale them a little; or both."""
    class_weights: Literal["none", "balanced"] = "none"
    """Let every class, or the two values of every label, weigh the same in the loss."""
    monitor: Literal["auc", "accuracy"] = "auc"
    """Validation figure whose best epoch is kept; accuracy where the AUC is undefined."""
    patience: Patience = 0
    """Stop after so many epochs without a better one; 0 never stops early."""
    precision: Literal["float32", "mixed"] = "float32"
    """mixed computes the forward pass in float16 where that is safe; needs CUDA."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the model is trained."""
    seed: Seed = 0
    """Of the initial weights, the order of images, their augmentation and stochastic depth."""
    threads: Threads = 0
    """Threads of torch; 0 leaves its default."""
    resume: bool = False
    """Go on with the interrupted training of --out."""

    def __post_init__(self) -> None:
        """Refuses values that do not fit, and settings that do not go together.

        Raises:
            ConfigError: One line that names the setting.
        """
        super().__post_init__()
        if self.lr <= 0:
            raise ConfigError(f"--lr must be positive, not {self.lr}")
        if self.precision == "mixed" and self.device == "cpu":
            raise ConfigError("--precision mixed needs CUDA; use float32 on the CPU")
