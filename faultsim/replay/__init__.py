"""Trials that run only what their faults can reach, on a CUDA device as graphs."""

from faultsim.replay.captured import CapturedTrials
from faultsim.replay.prefix import Prefix

__all__ = ["CapturedTrials", "Prefix"]
