"""``faultsim schema``: the JSON Schema of a kind of file."""

from __future__ import annotations

import json

from faultsim.cli.commands import Schema


def run(command: Schema) -> int:
    """Prints it."""
    from faultsim.campaign.schemas import schema

    print(json.dumps(schema(command.kind), indent=1, ensure_ascii=False))
    return 0
