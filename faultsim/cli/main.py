"""Parses the command line and turns every expected error into one line and exit code 2."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Union

from faultsim.cli.commands import (
    Campaign,
    Command,
    Inspect,
    Perturb,
    Report,
    Reproduce,
    Study,
    Train,
)
from faultsim.config import checked_settings
from faultsim.config.toml import read_toml
from faultsim.errors import ConfigError, FaultSimError

MODULES = {
    Campaign: "faultsim.cli.campaign",
    Perturb: "faultsim.cli.perturb",
    Study: "faultsim.cli.study",
    Inspect: "faultsim.cli.inspect",
    Train: "faultsim.cli.train",
    Reproduce: "faultsim.cli.reproduce",
    Report: "faultsim.cli.report",
}
BAD_INPUT, INTERRUPTED = 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one sub-command.

    Args:
        argv: Arguments without the program's name; those of the process unless given.

    Returns:
        0; 1 where a reproduced trial differs; 2 for bad input; 130 after Ctrl-C.
    """
    try:
        command = parse(sys.argv[1:] if argv is None else list(argv))
        run: Callable[[Any], int] = importlib.import_module(MODULES[type(command)]).run
        return run(command)
    except FaultSimError as error:
        print(f"faultsim: {error}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("faultsim: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output went away
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def parse(argv: list[str]) -> Command:
    """The command of the given arguments: defaults, then the config file, then flags.

    Raises:
        ConfigError: A config file that cannot be used.
        SystemExit: A wrong flag, or ``--help``; the parser has printed why.
    """
    import tyro

    if not argv:
        argv = ["--help"]
    defaults = _campaign_defaults(argv)
    commands: dict[str, tuple[Any, dict[str, Any]]] = {
        "campaign": (Campaign, {"default": defaults}),
        "perturb": (Perturb, {}),
        "study": (Study, {}),
        "inspect": (Inspect, {}),
        "train": (Train, {}),
        "reproduce": (Reproduce, {}),
        "report": (Report, {}),
    }
    choices = tuple(
        Annotated[kind, tyro.conf.subcommand(name, **options)]
        for name, (kind, options) in commands.items()
    )
    union: Any = Annotated[Union[choices], tyro.conf.OmitSubcommandPrefixes]  # noqa: UP007
    parsed: Command = tyro.cli(
        union,
        prog="faultsim",
        description="Bit-level fault injection for PyTorch models: exact, fast, reproducible.",
        args=argv,
        config=(tyro.conf.FlagCreatePairsOff,),
    )
    return parsed


def _campaign_defaults(argv: list[str]) -> Campaign:
    """The defaults of ``campaign``, with those of the ``--config`` file it names, if any."""
    name = None
    for flag, value in zip(argv, [*argv[1:], ""], strict=True):
        if flag == "--config":
            name = value
        elif flag.startswith("--config="):
            name = flag.partition("=")[2]
    return Campaign() if name is None else Campaign(**_read_settings(Path(name)))


def _read_settings(path: Path) -> dict[str, Any]:
    try:
        return checked_settings(read_toml(path))
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
