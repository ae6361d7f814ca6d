"""The fault space: every bit of a model that a fault can strike."""

from faultsim.space.space import FaultSpace

__all__ = ["FaultSpace"]
