"""The whole study of a model: clean, perturbed, and under faults, over several data sets."""

from faultsim.study.run import Step, StudyResult, run_study

__all__ = ["Step", "StudyResult", "run_study"]
