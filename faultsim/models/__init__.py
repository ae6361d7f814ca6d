"""The MedMamba family, and any other model by import path."""

from faultsim.models.digest import model_digest
from faultsim.models.loading import load_model
from faultsim.models.medmamba import MedMamba, medmamba

__all__ = ["MedMamba", "load_model", "medmamba", "model_digest"]
