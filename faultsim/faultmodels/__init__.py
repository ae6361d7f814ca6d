"""Fault models: mixtures of events as hardware makes them, read from files and drawn exactly."""

from typing import TYPE_CHECKING

from faultsim.lazily import on_first_use

if TYPE_CHECKING:
    from faultsim.faultmodels.faultmodel import FaultModel as FaultModel
    from faultsim.faultmodels.loading import NAMES as NAMES
    from faultsim.faultmodels.loading import load_fault_model as load_fault_model
    from faultsim.faultmodels.sampler import Sampler as Sampler

_HOMES = {
    "FaultModel": "faultsim.faultmodels.faultmodel",
    "NAMES": "faultsim.faultmodels.loading",
    "Sampler": "faultsim.faultmodels.sampler",
    "load_fault_model": "faultsim.faultmodels.loading",
}

__all__ = sorted(_HOMES)

if not TYPE_CHECKING:  # a checker that saw this would take any misspelt name
    __getattr__ = on_first_use(__name__, _HOMES)
