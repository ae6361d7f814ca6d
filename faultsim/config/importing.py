"""User code by import path: ``package.module:name``."""

from __future__ import annotations

import importlib
import inspect
import os
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any

from faultsim.errors import ConfigError, did_you_mean


def import_factory(path: str) -> Callable[..., Any]:
    """The callable at ``package.module:name``; the working directory is searched too.

    Raises:
        ConfigError: The module cannot be imported, or has no such callable.
    """
    module_name, _, name = path.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    try:
        module = importlib.import_module(module_name)
        found = getattr(module, name, None)
    except Exception as error:
        said = f"{type(error).__name__}: {error}{_looked(error, module_name)}"
        raise ConfigError(f"cannot import {module_name}: {said}") from None
    if not callable(found):
        own = (each for each, value in vars(module).items() if callable(value))
        raise ConfigError(f"{module_name} has no callable {name!r}{did_you_mean(name, own)}")
    factory: Callable[..., Any] = found
    return factory


def _looked(error: Exception, module: str) -> str:
    """Where it was looked for, of a module that is not there; not of one that it imports."""
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    if missing is None or not f"{module}.".startswith(f"{missing}."):
        return ""
    return f"; looked in the current folder ({os.getcwd()}) and in what is installed"


def call_factory(
    path: str, options: Mapping[str, Any], synonyms: Mapping[str, str] | None = None
) -> Any:
    """Calls the factory with those of ``options`` that its signature takes.

    One that takes any (``**kwargs``) is given them all, and those that it then refuses by name are
    left out.

    Args:
        path: ``package.module:name``.
        options: What it may be given, by name.
        synonyms: Of an option, the name that it has elsewhere; tried where the first is unknown.

    Raises:
        ConfigError: It cannot be imported, or fails.
    """
    factory, others = import_factory(path), synonyms or {}
    try:
        parameters = inspect.signature(factory).parameters.values()
    except ValueError:  # some built-ins have no signature
        parameters = {}.values()
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters)
    names = {p.name for p in parameters}
    taken = {}
    for option, value in options.items():
        name = option if option in names else others.get(option, option)
        if name in names or takes_any:
            taken[name if name in names else option] = value
    try:
        return _call(factory, taken, names, others)
    except Exception as error:
        raise ConfigError(f"{path} failed: {type(error).__name__}: {error}") from error


def _call(
    factory: Callable[..., Any], options: dict[str, Any], sure: set[str], others: Mapping[str, str]
) -> Any:
    try:
        return factory(**options)
    except TypeError as error:
        found = re.search(r"unexpected keyword argument '(\w+)'", str(error))
        if found is None or found[1] in sure or found[1] not in options:
            raise
        refused = found[1]
    rest = {name: value for name, value in options.items() if name != refused}
    if refused in others:
        rest[others[refused]] = options[refused]
    return _call(factory, rest, sure, others)


def foreign_code(*paths: str) -> str | None:
    """The first of the settings that names a factory outside this project, if any does."""
    named = (path for path in paths if ":" in path)
    return next((path for path in named if not path.startswith(("faultsim.", "faultsim:"))), None)
