"""An architecture of the table: what its user has, and what its user writes."""

from __future__ import annotations

import importlib
import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from faultsim import CampaignConfig, Workload
from faultsim.campaign.subject import make_workload

Make = Callable[[], tuple[nn.Module, Any]]
Write = Callable[[nn.Module, Any], Workload]

NOTHING = "run_campaign(config, model=model, data=data)"
"""What is written where no workload is needed."""


@dataclass(frozen=True)
class Architecture:
    """A row of the table.

    Attributes:
        name: Of the row.
        family: Heading under which it stands.
        make: The model and the data that its user has.
        write: What the user writes to have a :class:`Workload` of them; None where the campaign
            takes model and data as they are.
        needs: Packages that have to be there.
    """

    name: str
    family: str
    make: Make
    write: Write | None = None
    needs: tuple[str, ...] = ()

    def workload(self, config: CampaignConfig, model: nn.Module, data: Any) -> Workload:
        """What the user's lines make of a model and data."""
        return self.write(model, data) if self.write else make_workload(config, model, data)

    @property
    def code(self) -> str:
        """The user's lines: the body of ``write``, as it is run."""
        return body_of(self.write) if self.write else NOTHING

    @property
    def lines(self) -> int:
        """How many lines the user writes besides the call of ``run_campaign``."""
        return len(self.code.splitlines()) if self.write else 0

    def missing(self) -> str | None:
        """Which package is not there, in words; None if all are."""
        for package in self.needs:
            try:
                importlib.import_module(package)
            except ImportError:
                return f"{package} is not installed"
            except Exception as error:  # torchvision beside another torch than its own
                return f"{package} cannot be imported: {error}"
        return None


def body_of(function: Callable[..., Any]) -> str:
    """The source of a function without its signature and docstring."""
    lines = textwrap.dedent(inspect.getsource(function)).splitlines()
    start = next(n for n, line in enumerate(lines) if line.endswith(":")) + 1
    body = textwrap.dedent("\n".join(lines[start:]))
    if inspect.getdoc(function):
        body = body.split('"""', 2)[2]
    return body.strip("\n")
