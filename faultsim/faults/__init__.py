"""A fault, a set of them, and their file."""

from typing import TYPE_CHECKING

from faultsim.lazily import on_first_use

if TYPE_CHECKING:
    from faultsim.faults.eventset import EventSet as EventSet
    from faultsim.faults.fault import Fault as Fault
    from faultsim.faults.faultset import FaultSet as FaultSet
    from faultsim.faults.site import Site as Site
    from faultsim.ops.operators import OPS as OPS

_HOMES = {
    "EventSet": "faultsim.faults.eventset",
    "Fault": "faultsim.faults.fault",
    "FaultSet": "faultsim.faults.faultset",
    "OPS": "faultsim.ops.operators",
    "Site": "faultsim.faults.site",
}

__all__ = sorted(_HOMES)

if not TYPE_CHECKING:  # a checker that saw this would take any misspelt name
    __getattr__ = on_first_use(__name__, _HOMES)
