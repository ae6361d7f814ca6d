"""Evaluation data: the embedded digits, MedMNIST files, and anything a factory returns."""

from faultsim.data.dataset import Dataset, Split
from faultsim.data.loading import load_data

__all__ = ["Dataset", "Split", "load_data"]
