"""The command line: one file a sub-command. Nothing heavy is imported before it is needed."""

from faultsim.cli.main import main

__all__ = ["main"]
