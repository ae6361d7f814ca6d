"""Fault models: mixtures of events as hardware makes them, read from files and drawn exactly."""

from faultsim.faultmodels.faultmodel import FaultModel
from faultsim.faultmodels.loading import NAMES, load_fault_model
from faultsim.faultmodels.sampler import Sampler

__all__ = ["NAMES", "FaultModel", "Sampler", "load_fault_model"]
