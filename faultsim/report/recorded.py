"""What every recorded run has, of whatever kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

MANIFEST = ("config", "model", "data", "live", "versions")


@dataclass(frozen=True)
class Recorded:
    """A run that was read.

    Attributes:
        directory: Where it lies.
        manifest: Configuration, digests of model and data, versions.
        label: What tells it from the others of its report.
    """

    directory: Path
    manifest: Mapping[str, Any]
    label: str = field(default="", kw_only=True)

    @property
    def config(self) -> Mapping[str, Any]:
        config: Mapping[str, Any] = self.manifest["config"]
        return config


def manifest_of(record: msgspec.Struct) -> dict[str, Any]:
    """The manifest that a record of a single file has within it."""
    whole = msgspec.to_builtins(record)
    return {key: whole[key] for key in MANIFEST}
