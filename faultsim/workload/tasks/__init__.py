"""Tasks, one file each."""

from faultsim.workload.tasks.classification import Classification

__all__ = ["Classification"]
