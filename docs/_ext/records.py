"""``{record} module:Name``: the fields of a file's record, from the type that reads it."""

from __future__ import annotations

import importlib
import re
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from msgspec import inspect as kinds
from sphinx.util.docutils import SphinxDirective


def words(kind: kinds.Type) -> str:
    """A type in the words of JSON."""
    match kind:
        case kinds.UnionType(types):
            return " or ".join(dict.fromkeys(words(one) for one in types if said(one)))
        case kinds.ListType(item) | kinds.VarTupleType(item):
            return f"list of {words(item)}"
        case kinds.DictType(value_type=value):
            return f"object of {words(value)}"
        case kinds.LiteralType(values):
            return ", ".join(f"`{value!r}`".replace("'", '"') for value in values)
        case kinds.StructType(cls):
            return f"`{cls.__name__}`"
        case kinds.IntType():
            return f"integer{bounds(kind)}"
        case kinds.FloatType():
            return f"number{bounds(kind)}"
        case kinds.NoneType():
            return "null"
    return {"StrType": "string", "BoolType": "boolean"}.get(type(kind).__name__, "any")


def said(kind: kinds.Type) -> bool:
    return not isinstance(kind, kinds.CustomType) and "Unset" not in repr(kind)


def bounds(kind: Any) -> str:
    least, most = kind.ge, kind.le
    if least is None and most is None:
        return ""
    return f" ≥ {least}" if most is None or most >= 2**53 else f", {least} to {most}"


def rows(record: type) -> list[str]:
    """Lines of a table of its fields."""
    info = kinds.type_info(record)
    lines = ["| field | value | |", "|---|---|---|"]
    for field in info.fields:
        kind = words(field.type).replace("|", "\\|")
        lines.append(f"| `{field.encode_name}` | {kind} | {'' if field.required else 'optional'} |")
    return lines


class Record(SphinxDirective):
    """A table of the fields."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        module, name = self.arguments[0].split(":")
        record = getattr(importlib.import_module(module), name)
        node = nodes.container()
        self.state.nested_parse(StringList(rows(record), re.sub(r"\W", "-", name)), 0, node)
        return [node]


def setup(app: Any) -> dict[str, bool]:
    app.add_directive("record", Record)
    return {"parallel_read_safe": True}
