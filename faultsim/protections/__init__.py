"""Protections: a workload made from a workload, whose modules see faults and are struck by them."""

from faultsim.protections.alarms import Detected, Guard
from faultsim.protections.protected import Protected, protect, protections_of
from faultsim.protections.protection import Protection

__all__ = ["Detected", "Guard", "Protected", "Protection", "protect", "protections_of"]
