"""Tasks, one file each."""

from faultsim.workload.tasks.classification import Classification
from faultsim.workload.tasks.segmentation import Segmentation

__all__ = ["Classification", "Segmentation"]
