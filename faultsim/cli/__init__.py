"""The command line: one file a sub-command. Nothing heavy is imported before it is needed."""

import sys

try:
    from faultsim.cli.main import main
except (KeyboardInterrupt, RuntimeError) as error:  # this takes a tenth of a second, before main()
    if KeyboardInterrupt not in (type(error), type(error.__cause__)):  # as __set_name__ wraps it
        raise
    print("faultsim: interrupted", file=sys.stderr)
    sys.exit(130)

__all__ = ["main"]
