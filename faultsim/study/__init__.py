"""The whole study of a model: clean, perturbed, and under faults, over several data sets."""

from typing import TYPE_CHECKING

from faultsim.lazily import on_first_use

if TYPE_CHECKING:
    from faultsim.study.run import Step as Step
    from faultsim.study.run import StudyResult as StudyResult
    from faultsim.study.run import run_study as run_study

_HOMES = {
    "Step": "faultsim.study.run",
    "StudyResult": "faultsim.study.run",
    "run_study": "faultsim.study.run",
}

__all__ = sorted(_HOMES)

if not TYPE_CHECKING:  # a checker that saw this would take any misspelt name
    __getattr__ = on_first_use(__name__, _HOMES)
