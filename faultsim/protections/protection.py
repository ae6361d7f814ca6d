"""What a protection is."""

from __future__ import annotations

from typing import Protocol

from torch import nn

from faultsim.workload import Workload


class Protection(Protocol):
    """Changes a model so that it sees faults: by modules, whose words are struck like any others.

    Attributes:
        name: As the command line knows it.
    """

    name: str

    def apply(self, model: nn.Module, work: Workload) -> None:
        """Puts itself into a model.

        Args:
            model: A copy of that of ``work``, with the protections applied before.
            work: As it was: for a golden run, of which bounds are known.

        Raises:
            ConfigError: There is nothing that it could protect.
        """
