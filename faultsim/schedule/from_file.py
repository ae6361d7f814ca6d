"""The faults of a file: one set, armed together, or a list of sets."""

from __future__ import annotations

from pathlib import Path

import msgspec

from faultsim.errors import ConfigError
from faultsim.faults import FaultSet
from faultsim.faults.archive import SUFFIX
from faultsim.files import UNFIT, read_bytes
from faultsim.schedule.context import Context, Plan
from faultsim.schedule.given import given


def from_file(context: Context) -> Plan:
    """One trial with all faults of the file; or one for each of its sets, with a cell of its own.

    Raises:
        ConfigError: The file is missing, or holds another number of sets than ``trials``.
        FaultError: It cannot be read, or names a tensor the model lacks.
    """
    path = Path(context.config.faults or "")
    if path.suffix == SUFFIX:
        return given([FaultSet.load(path, context.space)], context.config.trials)
    text = read_bytes(path, ConfigError)
    parts = _parts(text)
    if len(parts) == 1:
        faults = FaultSet.from_json(parts[0], context.space.sites, f"fault file {path}")
        return given([faults], context.config.trials)
    sets = [
        FaultSet.from_json(part, context.space.sites, f"set {number} of fault file {path}")
        for number, part in enumerate(parts)
    ]
    return given(
        [({"set": n, "flips": faults.flips}, faults) for n, faults in enumerate(sets)],
        context.config.trials,
    )


def _parts(text: bytes) -> list[bytes]:
    """The text of each set of a file; of one that holds a single set, its own."""
    try:
        parts = list(map(bytes, msgspec.json.decode(text, type=list[msgspec.Raw])))
    except UNFIT:
        return [text]  # one set, or its reader says what is wrong
    return parts if parts and all(map(_is_set, parts)) else [text]


def _is_set(part: bytes) -> bool:
    if part.startswith(b"{"):
        return "faults" in msgspec.json.decode(part, type=dict[str, msgspec.Raw])
    return part.startswith(b"[")
