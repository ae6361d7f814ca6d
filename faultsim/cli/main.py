"""Runs the command line and turns every expected error into one line and exit code 2."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from faultsim import __version__
from faultsim.cli.commands import COMMANDS
from faultsim.cli.parsing import parse
from faultsim.errors import FaultSimError

BAD_INPUT, INTERRUPTED = 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one sub-command.

    Args:
        argv: Arguments without the program's name; those of the process unless given.

    Returns:
        0; 1 where a reproduced trial differs; 2 for bad input; 130 after Ctrl-C.
    """
    arguments = sys.argv[1:] if argv is None else list(argv)
    if arguments == ["--version"]:
        print(f"faultsim {__version__}")
        return 0
    try:
        command = parse(arguments)
        name = next(name for name, kind in COMMANDS.items() if kind is type(command))
        run: Callable[[Any], int] = importlib.import_module(f"faultsim.cli.{name}").run
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
