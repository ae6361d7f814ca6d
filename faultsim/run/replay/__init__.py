"""Trials that run only what their faults can reach, on a CUDA device as graphs."""

from faultsim.run.replay.captured import CapturedTrials
from faultsim.run.replay.prefix import Prefix

__all__ = ["CapturedTrials", "Prefix"]
