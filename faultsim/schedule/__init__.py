"""Schedules: which faults are tried, one file a mode."""

from __future__ import annotations

from collections.abc import Callable

from faultsim.schedule.bit_wise import bit_wise
from faultsim.schedule.context import Context, Learnt, Plan, Trials
from faultsim.schedule.estimate import estimate
from faultsim.schedule.exhaustive import exhaustive
from faultsim.schedule.from_file import from_file
from faultsim.schedule.inference import inferences
from faultsim.schedule.layer_wise import layer_wise
from faultsim.schedule.random import random
from faultsim.schedule.shard import sharded
from faultsim.schedule.worst_case import worst_case

SCHEDULES: dict[str, Callable[[Context], Plan]] = {
    "random": random,
    "layer-wise": layer_wise,
    "bit-wise": bit_wise,
    "worst-case": worst_case,
    "exhaustive": exhaustive,
    "estimate": estimate,
    "from-file": from_file,
}

__all__ = ["SCHEDULES", "Context", "Learnt", "Plan", "Trials", "inferences", "sharded"]
