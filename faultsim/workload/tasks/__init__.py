"""Tasks, one file each."""

from faultsim.workload.tasks.classification import Classification
from faultsim.workload.tasks.detection import Detection
from faultsim.workload.tasks.embedding import Embedding
from faultsim.workload.tasks.generation import Generation
from faultsim.workload.tasks.language_model import LanguageModel
from faultsim.workload.tasks.multi import Multi
from faultsim.workload.tasks.regression import Regression
from faultsim.workload.tasks.segmentation import Segmentation
from faultsim.workload.teacher import teacher_forced

__all__ = [
    "Classification",
    "Detection",
    "Embedding",
    "Generation",
    "LanguageModel",
    "Multi",
    "Regression",
    "Segmentation",
    "teacher_forced",
]
