"""The settings of an evaluation on perturbed images."""

from __future__ import annotations

from dataclasses import dataclass

from faultsim.config.subject import Evaluation
from faultsim.errors import ConfigError


@dataclass(frozen=True, repr=False)
class PerturbConfig(Evaluation):
    """Perturb the test images and compare predictions with those of the clean ones."""

    attack: tuple[str, ...] = ("fgsm", "pgd", "patch-drop", "gaussian-noise", "defocus-blur")
    """Perturbations: a name for its usual settings, or with settings, as pgd:eps=2/255,steps=10."""
    out: str | None = None
    """Folder for the record, perturb.json, which faultsim report reads."""
    resume: bool = False
    """Go on with the record in --out."""

    def __post_init__(self) -> None:
        """Refuses values that do not fit, and settings that do not go together.

        Raises:
            ConfigError: One line that names the setting.
        """
        super().__post_init__()
        if not self.attack:
            raise ConfigError("--attack needs one or more perturbations")
        if self.resume and self.out is None:
            raise ConfigError("--resume needs --out, the folder of the record to go on with")
