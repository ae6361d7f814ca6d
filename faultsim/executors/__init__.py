"""Executors: where trials are run, one file each; outcomes come in the order of the trials."""

from faultsim.executors.executor import Executor
from faultsim.executors.growing import Growing
from faultsim.executors.in_process import InProcess
from faultsim.executors.local import LocalWorkers
from faultsim.executors.ray_actors import RayActors
from faultsim.executors.sharing import Shared

__all__ = ["Executor", "Growing", "InProcess", "LocalWorkers", "RayActors", "Shared"]
