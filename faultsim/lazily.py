"""Names of a package that load on first use (PEP 562), so that importing the package costs nothing.

What reads recorded campaigns needs no torch; the packages that also hold what runs them must not
bring it along.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


def on_first_use(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """The ``__getattr__`` of a package: it imports the module that a public name lives in.

    Args:
        package: Its ``__name__``.
        homes: The module of each public name; one that ends in ``:`` is itself what is meant.
    """

    def load(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        home, itself, _ = homes[name].partition(":")
        module = importlib.import_module(home)
        value = module if itself else getattr(module, name)
        setattr(sys.modules[package], name, value)
        return value

    return load
