"""faultsim: bit-level fault injection for PyTorch models, exact and reproducible.

The public names load on first use, so that ``import faultsim`` costs nothing.

Example:
    >>> space = faultsim.FaultSpace(model, bits="exponent")
    >>> with faultsim.inject(model, space.sample(4, seed=1)):
    ...     faulty = model(images)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from faultsim.lazily import on_first_use

if TYPE_CHECKING:
    from faultsim import ops as ops
    from faultsim import perturb as perturb
    from faultsim.campaign import CampaignConfig as CampaignConfig
    from faultsim.campaign import compare as compare
    from faultsim.campaign import compare_protections as compare_protections
    from faultsim.campaign import export as export
    from faultsim.campaign import harden as harden
    from faultsim.campaign import load_result as load_result
    from faultsim.campaign import run_campaign as run_campaign
    from faultsim.campaign import score_detector as score_detector
    from faultsim.data import load_data as load_data
    from faultsim.errors import FaultSimError as FaultSimError
    from faultsim.faults import Fault as Fault
    from faultsim.faults import FaultSet as FaultSet
    from faultsim.faults import Site as Site
    from faultsim.injector import Injector as Injector
    from faultsim.injector import inject as inject
    from faultsim.models import load_model as load_model
    from faultsim.ops import operator as operator
    from faultsim.ops import value_operator as value_operator
    from faultsim.protections import protect as protect
    from faultsim.run.observer import observe as observe
    from faultsim.space import FaultSpace as FaultSpace
    from faultsim.training_faults import while_training as while_training
    from faultsim.workload import Batch as Batch
    from faultsim.workload import Task as Task
    from faultsim.workload import Workload as Workload

__version__ = "0.1.0"

_HOMES = {
    "Batch": "faultsim.workload",
    "CampaignConfig": "faultsim.campaign",
    "Fault": "faultsim.faults",
    "FaultSet": "faultsim.faults",
    "FaultSimError": "faultsim.errors",
    "FaultSpace": "faultsim.space",
    "Injector": "faultsim.injector",
    "Site": "faultsim.faults",
    "Task": "faultsim.workload",
    "Workload": "faultsim.workload",
    "compare": "faultsim.campaign",
    "compare_protections": "faultsim.campaign",
    "harden": "faultsim.campaign",
    "export": "faultsim.campaign",
    "inject": "faultsim.injector",
    "load_data": "faultsim.data",
    "load_model": "faultsim.models",
    "load_result": "faultsim.campaign",
    "observe": "faultsim.run.observer",
    "operator": "faultsim.ops",
    "protect": "faultsim.protections",
    "run_campaign": "faultsim.campaign",
    "score_detector": "faultsim.campaign",
    "value_operator": "faultsim.ops",
    "while_training": "faultsim.training_faults",
}

_MODULES = {
    "ops": "faultsim.ops",
    "perturb": "faultsim.perturb",
    "tasks": "faultsim.workload.tasks",
}

__all__ = sorted(_HOMES)


if not TYPE_CHECKING:  # a checker that saw this would take any misspelt name
    __getattr__ = on_first_use(__name__, _HOMES | {name: f"{at}:" for name, at in _MODULES.items()})


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES, *_MODULES})
