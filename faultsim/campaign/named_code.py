"""The code that a campaign directory names, which is not of this project."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from faultsim.campaign.lines import Line
from faultsim.config.importing import foreign_code


def named_code(config: Mapping[str, Any], line: Line, live: Sequence[str]) -> str | None:
    """The first import path that must be trusted for the trial to run again; None if there is none.

    Args:
        config: The settings of the campaign.
        line: The trial.
        live: What was given as an object, and is no code that the directory names.
    """
    subject = ("model", "data") if config.get("workload") is None else ("workload",)
    used = () if "work" in live else [config[name] for name in subject if name not in live]
    return foreign_code(*used, config["op"], *(fault.op for fault in line.faults))
