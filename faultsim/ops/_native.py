"""The one place that imports the compiled module."""

from __future__ import annotations

import importlib
from functools import cache
from typing import TYPE_CHECKING

from faultsim.errors import NativeError

if TYPE_CHECKING:
    from types import ModuleType

ABI = 11
"""Raised with every change of the native module's interface; compiled into it by setup.py."""

_REMEDY = "reinstall faultsim with a C++17 compiler at hand (pip install .)"


@cache
def native() -> ModuleType:
    """The compiled module.

    Raises:
        NativeError: It is missing, cannot load, or was compiled from other sources.
    """
    try:
        module = importlib.import_module("faultsim._C")
    except ImportError as error:
        raise NativeError(f"the native module cannot be loaded ({error}); {_REMEDY}") from None
    if getattr(module, "abi", None) != ABI:
        raise NativeError(f"the native module was compiled for another faultsim; {_REMEDY}")
    return module
