"""The kinds of files that have a JSON Schema."""

from __future__ import annotations

from typing import Literal

SchemaName = Literal["journal", "manifest", "summary", "observed", "faults", "fault-model"]
