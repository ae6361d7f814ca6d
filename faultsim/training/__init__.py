"""Training a classifier: the loop, its state on disk, the checkpoint and its model card."""

from faultsim.training.card import model_card
from faultsim.training.checkpoint import save_checkpoint
from faultsim.training.loop import train
from faultsim.training.trainer import Epoch

__all__ = ["Epoch", "model_card", "save_checkpoint", "train"]
