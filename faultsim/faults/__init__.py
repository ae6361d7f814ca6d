"""A fault, a set of them, and their file."""

from faultsim.faults.eventset import EventSet
from faultsim.faults.fault import Fault
from faultsim.faults.faultset import FaultSet
from faultsim.faults.site import Site
from faultsim.ops.operators import OPS

__all__ = ["OPS", "EventSet", "Fault", "FaultSet", "Site"]
