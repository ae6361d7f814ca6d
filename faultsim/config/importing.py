"""User code by import path: ``package.module:name``."""

from __future__ import annotations

import importlib
import inspect
import os
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any

from faultsim.errors import ConfigError


def import_factory(path: str) -> Callable[..., Any]:
    """The callable at ``package.module:name``; the working directory is searched too.

    Raises:
        ConfigError: The module cannot be imported, or has no such callable.
    """
    module_name, _, name = path.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    try:
        found = getattr(importlib.import_module(module_name), name, None)
    except Exception as error:
        raise ConfigError(f"cannot import {module_name}: {type(error).__name__}: {error}") from None
    if not callable(found):
        raise ConfigError(f"{module_name} has no callable {name!r}")
    factory: Callable[..., Any] = found
    return factory


def call_factory(path: str, options: Mapping[str, Any]) -> Any:
    """Calls the factory with those of ``options`` that its signature takes.

    One that takes any (``**kwargs``) is given them all, and those that it then refuses by name are
    left out.

    Raises:
        ConfigError: It cannot be imported, or fails.
    """
    factory = import_factory(path)
    try:
        parameters = inspect.signature(factory).parameters.values()
    except ValueError:  # some built-ins have no signature
        parameters = {}.values()
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters)
    names = {p.name for p in parameters}
    taken = {key: value for key, value in options.items() if takes_any or key in names}
    try:
        return _call(factory, taken, sure=names)
    except Exception as error:
        raise ConfigError(f"{path} failed: {type(error).__name__}: {error}") from error


def _call(factory: Callable[..., Any], options: dict[str, Any], sure: set[str]) -> Any:
    try:
        return factory(**options)
    except TypeError as error:
        found = re.search(r"unexpected keyword argument '(\w+)'", str(error))
        if found is None or found[1] in sure or found[1] not in options:
            raise
        rest = {name: value for name, value in options.items() if name != found[1]}
    return _call(factory, rest, sure)


def foreign_code(*paths: str) -> str | None:
    """The first of the settings that names a factory outside this project, if any does."""
    named = (path for path in paths if ":" in path)
    return next((path for path in named if not path.startswith(("faultsim.", "faultsim:"))), None)
