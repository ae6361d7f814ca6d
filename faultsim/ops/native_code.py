"""Operators of one's own as native code, by numba."""

from __future__ import annotations

import dis
import importlib
from typing import TYPE_CHECKING, Any

from faultsim.errors import FaultError
from faultsim.ops._native import native

if TYPE_CHECKING:
    from faultsim.ops.operators import Operator


def native_code(operator: Operator) -> Any:
    """The native function, made known to the kernels; it must be kept.

    Raises:
        FaultError: numba is missing, or cannot compile the function.
    """
    numba = _numba(operator)
    _check_raises_nothing(operator)
    kind = numba.float64 if operator.of_values else numba.uint64
    arguments = (kind, kind, kind)
    try:
        # A division by 0 has a result, and is no exception.
        inner = numba.njit([arguments], error_model="numpy")(operator.function)
        _check_result(numba, operator, inner.overloads[arguments].signature.return_type)
        outer = _loop(numba, inner, kind)
    except FaultError:
        raise
    except Exception as error:
        raise FaultError(f"numba cannot compile {operator.name}: {_reason(error)}") from None
    native().define_operator(operator.number, outer.address, operator.of_values)
    return outer


def _loop(numba: Any, inner: Any, kind: Any) -> Any:
    """Over n words, operands and random numbers: a call for each word would cost more."""

    def loop(words: Any, operands: Any, random: Any, n: int) -> None:
        for i in range(n):
            words[i] = inner(words[i], operands[i], random[i])

    column = numba.types.CPointer(kind)
    signature = numba.void(column, column, column, numba.types.intp)
    return numba.cfunc(signature, error_model="numpy")(loop)


def _numba(operator: Operator) -> Any:
    try:
        return importlib.import_module("numba")
    except ImportError as error:
        raise FaultError(
            f"the operator {operator.name} needs numba ({error}): pip install 'faultsim[numba]'"
        ) from None


def _check_raises_nothing(operator: Operator) -> None:
    if any(step.opname == "RAISE_VARARGS" for step in dis.get_instructions(operator.function)):
        raise FaultError(
            f"the operator {operator.name} raises an exception, which nothing could catch: return "
            "the word as it is"
        )


def _check_result(numba: Any, operator: Operator, kind: Any) -> None:
    """Refuses what would be cast without a word: a float to bits, None to anything."""
    integers = (numba.types.Integer, numba.types.Boolean)
    wanted = (*integers, numba.types.Float) if operator.of_values else integers
    if not isinstance(kind, wanted):
        what = "a number" if operator.of_values else "an integer"
        raise FaultError(f"the operator {operator.name} returns {kind}, where {what} is due")


def _reason(error: Exception) -> str:
    """The line of numba's message that says what is wrong."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith(("Failed in", "During:", "-", "\x1b"))]
    return (told or lines or [type(error).__name__])[0]
