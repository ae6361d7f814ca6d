"""What a protection is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from torch import nn

Rehearsal = Callable[[], None]
"""Runs all batches through the model as it is by now, without faults."""


class Protection(Protocol):
    """Changes a model so that it sees faults: by modules, whose words are struck like any others.

    Attributes:
        name: As the command line knows it.
    """

    name: str

    def apply(self, model: nn.Module, rehearse: Rehearsal) -> None:
        """Puts itself into a model.

        Args:
            model: In eval mode, with the protections applied before.
            rehearse: For who wants to see what a golden run is like.

        Raises:
            ConfigError: There is nothing that it could protect.
        """
