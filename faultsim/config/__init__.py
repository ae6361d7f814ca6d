"""Settings as dataclasses without torch, and where they come from: TOML, import paths."""

from faultsim.config.campaign import ATTACKS, CampaignConfig, Mode
from faultsim.config.perturb import PerturbConfig
from faultsim.config.study import StudyConfig
from faultsim.config.subject import AnySubject, Evaluation, Subject
from faultsim.config.tables import checked_settings
from faultsim.config.train import TrainConfig
from faultsim.config.values import fitting

__all__ = [
    "ATTACKS",
    "AnySubject",
    "CampaignConfig",
    "Evaluation",
    "Mode",
    "PerturbConfig",
    "StudyConfig",
    "Subject",
    "TrainConfig",
    "checked_settings",
    "fitting",
]
