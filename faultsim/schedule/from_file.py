"""The faults of a file: one set, armed together, or a list of sets."""

from __future__ import annotations

import json
from pathlib import Path

from faultsim.errors import ConfigError
from faultsim.faults import FaultSet
from faultsim.schedule.context import Context, Plan
from faultsim.schedule.given import given


def from_file(context: Context) -> Plan:
    """One trial with all faults of the file; or one for each of its sets, with a cell of its own.

    Raises:
        ConfigError: The file is missing, or holds another number of sets than ``trials``.
        FaultError: It cannot be read, or names a tensor the model lacks.
    """
    path = Path(context.config.faults or "")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the fault file {path}: {error}") from None
    sets = [FaultSet.from_json(part, context.space.sites) for part in _parts(text)]
    if len(sets) == 1:
        return given(sets, context.config.trials)
    return given(
        [({"set": n, "flips": faults.flips}, faults) for n, faults in enumerate(sets)],
        context.config.trials,
    )


def _parts(text: str) -> list[str]:
    """The text of each set of a file; of one that holds a single set, its own."""
    try:
        document = json.loads(text)
    except ValueError:
        return [text]  # whose reader says what is wrong
    sets = isinstance(document, list) and document and all(map(_is_set, document))
    return [json.dumps(part) for part in document] if sets else [text]


def _is_set(part: object) -> bool:
    return isinstance(part, list) or (isinstance(part, dict) and "faults" in part)
