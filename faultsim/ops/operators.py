"""What faults do to a word: the built-in operators and those of one's own, by number.

A fault set holds operators as numbers. Those of :data:`OPS` are the same everywhere; those of one's
own are numbered as a process comes to know them, and travel by name.
"""

from __future__ import annotations

import inspect
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from faultsim.config.importing import import_factory
from faultsim.errors import ConfigError, FaultError, did_you_mean, shown
from faultsim.formats import signed

OPS = (
    "flip",
    "stuck-at-0",
    "stuck-at-1",
    "replace",
    "random",
    "zero",
    "set",
    "add",
    "scale",
    "gaussian",
    "byte-shift",
)
"""The built-in operators.

``flip``, ``stuck-at-0`` and ``stuck-at-1`` are XOR, AND NOT and OR with the mask; ``replace`` puts
the operand in the word's place. Of the others only the bits of the mask reach the word. ``random``
takes them from the fault's random bits, ``zero`` clears them, ``byte-shift`` shifts the word by so
many bytes (towards the most significant; less than 0: the least), and zeros come in. ``set``,
``add`` and ``scale`` compute with the word's value in float64; ``gaussian`` multiplies it by
1 + ``operand`` · z, z a standard normal deviate that the random bits give.

What is computed is rounded once to the word's format, to nearest, ties to even. In a floating
format what is too large becomes infinity, or NaN where there is none; an integer stops at the ends
of its range, and NaN makes it 0. 64-bit integers beyond 2^53 are rounded to float64 before. A NaN
stays the NaN it was.
"""

BIT_OPS = OPS[:3]
"""Those that need no operand and strike bits, so that a bit alone is a fault."""

VALUE_OPS = ("set", "add", "scale", "gaussian")
"""Those that compute with the number that a word holds; their operand is one."""

RANDOM_OPS = ("random", "gaussian")
"""Those that depend on the random bits of a fault."""

FIRST_OWN = 64
"""The number of the first operator of one's own."""

Operand = int | float


class Operator:
    """An operator of one's own, as :func:`operator` and :func:`value_operator` make it.

    Attributes:
        name: ``package.module:name``; only live operators have one that cannot be imported.
        function: In Python.
        of_values: Whether it computes with numbers rather than words.
        number: In the columns of fault sets, in this process.
    """

    def __init__(self, function: Callable[..., Any], of_values: bool) -> None:
        """Checks what can be checked without numba.

        Raises:
            FaultError: No function of three arguments.
        """
        what = "value" if of_values else "word"
        if not inspect.isfunction(function):
            raise FaultError(f"an operator is a Python function, not {shown(function)}")
        try:
            inspect.signature(function).bind(0, 0, 0)
        except TypeError:
            name = function.__qualname__
            raise FaultError(
                f"{name} must take three arguments: ({what}, operand, random)"
            ) from None
        self.__module__, self.__qualname__ = function.__module__, function.__qualname__
        self.__doc__, self.__wrapped__ = function.__doc__, function
        self.name = f"{function.__module__}:{function.__qualname__}"
        self.function, self.of_values = function, of_values
        self.number = FIRST_OWN + len(_OWN)
        self._compiled: Any = None
        _OWN.append(self)

    def compiled(self) -> Operator:
        """The operator, as native code that the kernels know.

        Raises:
            FaultError: numba is missing, or cannot compile the function.
        """
        if self._compiled is None:
            from faultsim.ops.native_code import native_code

            self._compiled = native_code(self)
        return self

    @property
    def path(self) -> str:
        """The import path, by which files name the operator.

        Raises:
            FaultError: It cannot be imported by it.
        """
        if "<locals>" in self.name or self.__module__ == "__main__":
            raise FaultError(
                f"the operator {self.name} has no import path, by which a file could name it: "
                "define it at the top of a module other than __main__"
            )
        return self.name

    def __call__(self, word: Any, operand: Any = 0, random: Any = 0) -> Any:
        """What the function gives in Python, where nothing is cut to a width."""
        return self.function(word, operand, random)

    def __repr__(self) -> str:
        return self.name

    def __reduce__(self) -> str:
        return self.__qualname__  # as functions are pickled


_OWN: list[Operator] = []

Op = str | Operator


def operator(function: Callable[[Any, Any, Any], Any]) -> Operator:
    """A fault operator from a Python function of unsigned integers, run as native code.

    ``(word, operand, random) -> word``: the word without bits beyond its own, as a 64-bit unsigned
    integer, whatever its width; the fault's operand; its 64 random bits. The result is cut to the
    width of the word. numba compiles the function at its first use, so it may use what numba knows;
    a division by 0 gives 0.

    Example:
        >>> @faultsim.operator
        ... def gray(word, operand, random):
        ...     return word ^ (word >> 1)
        >>> faultsim.Fault("fc.weight", (2, 5), op=gray)

    Raises:
        FaultError: It is no function of three arguments.
    """
    return Operator(function, of_values=False)


def value_operator(function: Callable[[Any, Any, Any], Any]) -> Operator:
    """A fault operator from a Python function of numbers, run as native code.

    ``(value, operand, random) -> value``, all float64: the number that the word holds; the fault's
    operand; a random number in [0, 1), 53 of the fault's random bits. The result is rounded to the
    word's format as :data:`OPS` says. Otherwise as :func:`operator`; a division by 0 gives infinity
    or NaN.

    Raises:
        FaultError: It is no function of three arguments.
    """
    return Operator(function, of_values=True)


def operator_of(op: Any) -> Op:
    """An operator, given as such, or by its name or import path.

    Raises:
        FaultError: There is none of this name.
    """
    if isinstance(op, Operator) or (isinstance(op, str) and op in OPS):
        return op
    if not isinstance(op, str) or not is_path(op):
        known = f"{', '.join(OPS)}, or your own as package.module:name{did_you_mean(op, OPS)}"
        raise FaultError(f"unknown operator {shown(op)}: use one of {known}")
    try:
        found = import_factory(op)
    except ConfigError as error:
        raise FaultError(f"unknown operator {op}: {error}") from None
    if not isinstance(found, Operator):
        raise FaultError(f"{op} is no operator: decorate it with @faultsim.operator")
    return found


def is_path(name: str) -> bool:
    """Whether a name is an import path, ``package.module:name``."""
    module, colon, attribute = name.partition(":")
    return bool(colon) and all(map(str.isidentifier, (*module.split("."), attribute)))


def check_op(op: str) -> None:
    """Raises ValueError unless a name may be an operator's; nothing is imported."""
    if op not in OPS and not is_path(op):
        known = f"{', '.join(OPS)}, or package.module:name"
        raise ValueError(f"unknown operator {shown(op)}: use one of {known}{did_you_mean(op, OPS)}")


def number_of(op: Any) -> int:
    """The number of an operator; errors as :func:`operator_of`."""
    known = operator_of(op)
    return known.number if isinstance(known, Operator) else OPS.index(known)


def numbered(number: int) -> Op:
    """The operator of a number."""
    return OPS[number] if number < FIRST_OWN else _OWN[number - FIRST_OWN]


def compiled(op: Any) -> Op:
    """An operator that can be applied; errors as :func:`operator_of` and where numba has some."""
    known = operator_of(op)
    return known.compiled() if isinstance(known, Operator) else known


def compile_all(numbers: npt.NDArray[np.int64]) -> None:
    """Makes native code of those among some operators that are one's own."""
    for operator in own_operators(numbers):
        operator.compiled()


def own_operators(numbers: npt.NDArray[np.int64]) -> list[Operator]:
    """Those of one's own among some operators."""
    if not _OWN:  # as nearly always
        return []
    return [_OWN[n - FIRST_OWN] for n in np.unique(numbers[numbers >= FIRST_OWN]).tolist()]


def is_number(number: int) -> bool:
    """Whether an operator has the number."""
    return 0 <= number < len(OPS) or 0 <= number - FIRST_OWN < len(_OWN)


def path_of(op: Op) -> str:
    """The name of an operator in files; raises FaultError where it has none."""
    return op if isinstance(op, str) else op.path


def strikes_bits(op: Op) -> bool:
    """Whether an operator strikes bits one by one, rather than words."""
    return isinstance(op, str) and op in BIT_OPS


def takes_number(op: Op) -> bool:
    """Whether the operand of an operator is a number, rather than bits or bytes."""
    return op.of_values if isinstance(op, Operator) else op in VALUE_OPS


def takes_word(op: Op) -> bool:
    """Whether the operand of an operator is a word, which must fit."""
    return not op.of_values if isinstance(op, Operator) else op == "replace"


def takes_random(op: Op) -> bool:
    """Whether an operator may depend on the random bits of a fault."""
    return isinstance(op, Operator) or op in RANDOM_OPS


def needs_operand(op: Op) -> bool:
    """Whether an operator says nothing without an operand."""
    return isinstance(op, str) and op in ("byte-shift", *VALUE_OPS)


def column_of(op: Op, operand: Operand) -> int:
    """An operand as a column of a fault set holds it: a number as the bits of a float64."""
    if takes_number(op):
        return int(struct.unpack("<q", struct.pack("<d", operand))[0])
    return signed(int(operand))


def operand_of(op: Op, column: int) -> Operand:
    """An operand from the column of a fault set."""
    return float(struct.unpack("<d", struct.pack("<q", column))[0]) if takes_number(op) else column
