"""Runs the command line and turns every expected error into one line and exit code 2."""

from __future__ import annotations

import errno
import importlib
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

from faultsim import __version__
from faultsim.cli.commands import COMMANDS
from faultsim.cli.parsing import parse
from faultsim.cli.stopping import Ended, forget_output, say_last, stoppable
from faultsim.errors import FaultSimError

BAD_INPUT, INTERRUPTED = 2, 130
BY_SIGNAL = 128
"""Plus its number: what a shell says of a command that a signal has ended."""

UNPRINTABLE = (errno.EIO, errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
"""Of a terminal that is gone and a disk that is full; files have errors in a line of their own."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one sub-command.

    Args:
        argv: Arguments without the program's name; those of the process unless given.

    Returns:
        0; 1 where a reproduced trial differs; 2 for bad input; 130 after Ctrl-C, 143 and 129 after
        SIGTERM and SIGHUP, 141 where nobody reads what is printed any more.
    """
    arguments = sys.argv[1:] if argv is None else list(argv)
    if arguments == ["--version"]:
        print(f"faultsim {__version__}")
        return 0
    try:
        command = parse(arguments)
        name = next(name for name, kind in COMMANDS.items() if kind is type(command))
        run: Callable[[Any], int] = importlib.import_module(f"faultsim.cli.{name}").run
        with stoppable():
            return run(command)
    except FaultSimError as error:
        say_last(f"faultsim: {error}")
        return BAD_INPUT
    except Ended as end:
        say_last(f"faultsim: ended by {end.signal.name}")
        return BY_SIGNAL + end.signal
    except KeyboardInterrupt:
        say_last("faultsim: interrupted")
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output went away
        forget_output()
        return BY_SIGNAL + signal.SIGPIPE
    except OSError as error:
        if error.errno not in UNPRINTABLE:
            raise
        say_last(f"faultsim: cannot print: {error.strerror}")
        forget_output()
        return BAD_INPUT
