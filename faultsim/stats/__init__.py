"""Rates and means with intervals; a leaf that any stage may use."""

from faultsim.stats.area import Areas, areas
from faultsim.stats.bounded import bounded_mean, image_rate
from faultsim.stats.estimate import CONFIDENCE, Estimate
from faultsim.stats.goal import Goal
from faultsim.stats.plan import sample_size
from faultsim.stats.proportions import clopper_pearson, paired_change
from faultsim.stats.sequential import SequentialRate

__all__ = [
    "CONFIDENCE",
    "Areas",
    "Estimate",
    "Goal",
    "SequentialRate",
    "areas",
    "bounded_mean",
    "clopper_pearson",
    "image_rate",
    "paired_change",
    "sample_size",
]
