"""Trials that run only what their faults can reach."""

from faultsim.replay.prefix import Prefix

__all__ = ["Prefix"]
