"""Faults while a model is trained, in the user's own loop."""

from faultsim.training_faults.context import TrainingFaults, while_training

__all__ = ["TrainingFaults", "while_training"]
