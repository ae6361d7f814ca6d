"""The faults of a file, armed together."""

from __future__ import annotations

from pathlib import Path

from faultsim.errors import ConfigError
from faultsim.faults import FaultSet
from faultsim.files import read_bytes
from faultsim.run.trial import Trial
from faultsim.schedule.context import Context, Plan, Trials


def from_file(context: Context) -> Plan:
    """One trial with all faults of the file.

    Raises:
        ConfigError: The file is missing.
        FaultError: It cannot be read, or names a tensor the model lacks.
    """
    path = Path(context.config.faults or "")
    text = read_bytes(path, ConfigError)
    faults = FaultSet.from_json(text, context.space.sites, f"fault file {path}")
    return Plan(_generate(faults), 1)


def _generate(faults: FaultSet) -> Trials:
    yield Trial(faults, {"flips": faults.flips})
