"""What a model is run on, and what its outputs mean: workloads, batches, tasks."""

from faultsim.workload.batch import Batch
from faultsim.workload.task import Task
from faultsim.workload.workload import Workload

__all__ = ["Batch", "Task", "Workload"]
