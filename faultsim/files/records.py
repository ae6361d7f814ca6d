"""What the types of files are made of: a record with known names, and numbers with bounds."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta


class Record(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """An object of a file. Other names than its fields are refused, as is a value of another type.

    What is left out of a file has the default that the field declares.
    """


Count = Annotated[int, Meta(ge=0, le=2**53)]
"""A number of things, exact as a float too."""

Whole = Annotated[int, Meta(ge=0, le=2**63 - 1)]
"""A position or a size that fits a word."""

Share = Annotated[float, Meta(ge=0, le=1)]
"""A part of a whole."""

Number = float | Literal["nan", "inf", "-inf"]
"""A float; JSON has no words for those that are not finite."""

Scalar = bool | int | float | str | None


def json_schema(kind: Any) -> dict[str, Any]:
    """The JSON Schema (2020-12) of what a type accepts."""
    schema = msgspec.json.schema(kind)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
