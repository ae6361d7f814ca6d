"""What is wrong with arguments that the parser refused, in one line."""

from __future__ import annotations

import re
from collections.abc import Sequence

from faultsim.cli.commands import COMMANDS
from faultsim.cli.flags import Flag, flags_of, grouped
from faultsim.errors import ConfigError, did_you_mean, shown


def complaint(argv: Sequence[str], said: str) -> str:
    """Names what is wrong, the nearest flag or value, and the help to read.

    Args:
        argv: The arguments that were refused.
        said: What the parser printed, of which a part is taken where nothing is found here.
    """
    name = argv[0]
    if name not in COMMANDS:
        what = "a command comes first" if name.startswith("-") else f"unknown command {shown(name)}"
        return f"{what}{did_you_mean(name, COMMANDS)}; there are {', '.join(COMMANDS)}"
    try:
        _check(flags_of(COMMANDS[name]), argv[1:])
        found = _essence(said)
    except ConfigError as error:
        found = str(error)
    return f"{found}; see faultsim {name} --help"


def _check(flags: dict[str, Flag], given: Sequence[str]) -> None:
    """Raises ConfigError for the first flag, value or argument that does not fit."""
    words: list[str] = []
    seen = set()
    for name, values in grouped(given):
        if name and name not in flags:
            raise ConfigError(f"unknown flag {name}{did_you_mean(name, flags)}")
        taken = values[: flags[name].takes] if name else []  # [:None] is all
        if name:
            flags[name].check(taken)
            seen.add(name)
        words += values[len(taken) :]
    for place in (flag for flag in flags.values() if flag.positional):
        taken, words = words[: place.takes], words[place.takes :] if place.takes else []
        seen |= {place.name} if taken else set()
    if words:
        raise ConfigError(f"unexpected argument {shown(words[0])}")
    for flag in flags.values():
        if flag.required and flag.name not in seen:
            raise ConfigError(f"{flag.name} is missing")


def _essence(said: str) -> str:
    """The first paragraph below the title of the parser's box."""
    lines = [line.strip("│| ") for line in said.splitlines()[1:]]
    paragraphs = re.split(r"^[─-]+$", "\n".join(lines), flags=re.MULTILINE)
    found = (" ".join(paragraph.split()) for paragraph in paragraphs)
    return next(filter(None, found), "the arguments cannot be read")
