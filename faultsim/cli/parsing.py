"""Arguments to a command: defaults, then the config file, then flags."""

from __future__ import annotations

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from copy import copy
from pathlib import Path
from typing import Annotated, Any, Union

from faultsim.cli.commands import COMMANDS, Campaign, Command
from faultsim.cli.complaint import complaint
from faultsim.cli.groups import grouped
from faultsim.config import checked_settings
from faultsim.config.toml import read_toml
from faultsim.errors import ConfigError

ABOUT = (
    "Bit-level fault injection for PyTorch models: exact, fast, reproducible. "
    "faultsim --version tells the version; faultsim COMMAND --help lists a command's flags."
)


class Told(io.StringIO):
    """What is printed on the way to the screen, drawn with the characters that the screen has."""

    encoding = "utf-8"

    def __init__(self) -> None:
        super().__init__()
        self.encoding = (getattr(sys.stdout, "encoding", None) or "utf-8").lower()


def parse(argv: list[str]) -> Command:
    """The command that the arguments ask for.

    Raises:
        ConfigError: A wrong flag or value, or a config file that cannot be used.
        SystemExit: ``--help``, which has been printed.
    """
    import tyro

    defaults = {"campaign": _campaign_defaults(argv)}
    choices = tuple(
        Annotated[kind, tyro.conf.subcommand(name, **_default(defaults.get(name)))]
        for name, kind in COMMANDS.items()
    )
    union: Any = Annotated[Union[choices], tyro.conf.OmitSubcommandPrefixes]  # noqa: UP007
    said, told = io.StringIO(), Told()
    try:
        with redirect_stderr(said), redirect_stdout(told):
            parsed: Command = tyro.cli(
                union,
                prog="faultsim",
                description=ABOUT,
                args=argv or ["--help"],
                config=(tyro.conf.FlagCreatePairsOff,),
            )
    except SystemExit as end:
        if end.code:
            raise ConfigError(complaint(argv, said.getvalue())) from None
        print(grouped(told.getvalue()), end="")
        raise
    return parsed


def _default(command: Campaign | None) -> dict[str, Any]:
    return {} if command is None else {"default": command}


def _campaign_defaults(argv: list[str]) -> Campaign:
    """The defaults of ``campaign``, with those of the ``--config`` file it names, if any.

    What does not go together is for the flags to decide, so it is judged only with them.
    """
    defaults = copy(Campaign())
    for name, value in _config_file(argv).items():
        object.__setattr__(defaults, name, value)
    return defaults


def _config_file(argv: list[str]) -> dict[str, Any]:
    path = None
    for flag, value in zip(argv, [*argv[1:], ""], strict=True):
        if flag == "--config":
            path = value
        elif flag.startswith("--config="):
            path = flag.partition("=")[2]
    if path is None:
        return {}
    try:
        return checked_settings(read_toml(Path(path)))
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
