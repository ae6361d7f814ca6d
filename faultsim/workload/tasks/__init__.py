"""Tasks, one file each."""

from faultsim.workload.tasks.classification import Classification
from faultsim.workload.tasks.detection import Detection
from faultsim.workload.tasks.multi import Multi
from faultsim.workload.tasks.segmentation import Segmentation

__all__ = ["Classification", "Detection", "Multi", "Segmentation"]
