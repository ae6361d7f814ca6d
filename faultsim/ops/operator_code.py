"""What an operator of one's own does, as a digest: its name stays when its code changes."""

from __future__ import annotations

import ast
import hashlib
import inspect
import types
from collections.abc import Callable, Iterator
from textwrap import dedent
from typing import Any

import numpy as np

from faultsim.ops.operators import Operator


def code_digest(operator: Operator) -> str:
    """SHA-256 of an operator's source, and of the functions and constants that it names.

    Comments and the layout of the source do not count.
    """
    text = "\n".join(_parts(operator.function, set()))
    return hashlib.sha256(text.encode()).hexdigest()


def _parts(function: Callable[..., Any], seen: set[int]) -> Iterator[str]:
    if id(function) in seen:
        return
    seen.add(id(function))
    yield _source(function)
    named = inspect.getclosurevars(function)
    for name, value in sorted({**named.globals, **named.nonlocals}.items()):
        inner = _function(value)
        if inner is not None:
            yield name
            yield from _parts(inner, seen)
        else:
            yield f"{name} = {_constant(value)}"


def _source(function: Callable[..., Any]) -> str:
    """As the parser reads it; of a function without a source, its bytecode."""
    try:
        return ast.unparse(ast.parse(dedent(inspect.getsource(function))))
    except (OSError, SyntaxError):
        code = function.__code__
        return f"{code.co_code.hex()} {code.co_consts}"


def _function(value: Any) -> Callable[..., Any] | None:
    """The Python function of another operator, or of one that numba compiled."""
    inner = value.function if isinstance(value, Operator) else getattr(value, "py_func", value)
    return inner if isinstance(inner, types.FunctionType) else None


def _constant(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.shape} {hashlib.sha256(value.tobytes()).hexdigest()}"
    if isinstance(value, bool | int | float | complex | str | bytes | tuple | None):
        return repr(value)
    return getattr(value, "__name__", type(value).__qualname__)  # of an object: no addresses
