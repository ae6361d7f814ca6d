"""The flags of a command, as people type them, and whether a value fits one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, dataclass, fields
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from tyro.conf import Positional

from faultsim.config.settings import Settings, flag
from faultsim.config.values import fitting
from faultsim.errors import ConfigError

_POSITIONAL = get_args(Positional[str])[1]


@dataclass(frozen=True)
class Flag:
    """One argument of a command.

    Attributes:
        name: ``--trials``; ``--no-replay`` for what is on by default; a positional argument's in
            capitals.
        hint: The type of its setting.
        required: Whether it has no default.
    """

    name: str
    hint: Any
    required: bool

    @property
    def positional(self) -> bool:
        return not self.name.startswith("--")

    @property
    def takes(self) -> int | None:
        """How many values follow it; None for any number."""
        if _base(self.hint) is bool:
            return 0
        return None if _many(self.hint) else 1

    def check(self, texts: Sequence[str]) -> None:
        """Raises ConfigError where its values are missing or do not fit."""
        if self.takes == 1 and not texts:
            raise ConfigError(f"{self.name} needs a value")
        values = [_read(text, self.hint) for text in texts]
        if values:
            fitting(values if self.takes is None else values[0], self.hint, self.name)


def flags_of(kind: type[Settings]) -> dict[str, Flag]:
    """The arguments of a command by name."""
    hints, found = get_type_hints(kind, include_extras=True), {}
    for field in fields(kind):  # type: ignore[arg-type]  # every command is a dataclass
        hint = hints[field.name]
        name = flag(f"no_{field.name}" if field.default is True else field.name)
        if get_origin(hint) is Annotated and _POSITIONAL in get_args(hint):
            name = field.name.upper()
        found[name] = Flag(name, hint, field.default is MISSING)
    return found


def grouped(argv: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Each flag with what follows it up to the next; what precedes the first, under no name."""
    name, values = "", list[str]()
    for token in argv:
        if not re.match(r"--?[A-Za-z]", token):
            values.append(token)
            continue
        yield name, values
        name, _, value = token.partition("=")
        name, values = name.replace("_", "-"), [value] if "=" in token else []
    yield name, values


def _read(text: str, hint: Any) -> Any:
    """As a number where one is wanted and this is one."""
    if text == "None" and NoneType in get_args(hint):
        return None
    try:
        return _base(hint)(text) if _base(hint) in (int, float) else text
    except ValueError:
        return text


def _many(hint: Any) -> bool:
    return get_origin(hint) is tuple or any(map(_many, get_args(hint)))


def _base(hint: Any) -> Any:
    """The type of a single value."""
    if get_origin(hint) is Literal or not get_args(hint):
        return hint
    return _base(next(inner for inner in get_args(hint) if inner is not NoneType))
