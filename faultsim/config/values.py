"""What a value may be, read from the type of its setting: one rule for Python, TOML and flags."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from faultsim.errors import ConfigError, did_you_mean, shown

FIELDS = ("all", "sign", "exponent", "mantissa", "magnitude")
STRATA = ("bit", "layer")


@dataclass(frozen=True)
class Bounds:
    """The least and the greatest number a setting may be, both included."""

    low: float
    high: float = math.inf

    def check(self, value: float, name: str) -> None:
        """Raises ConfigError for what lies outside."""
        if value < self.low:
            raise ConfigError(f"{name} must be at least {self.low:g}, not {shown(value)}")
        if value > self.high:
            raise ConfigError(f"{name} must be at most {self.high}, not {shown(value)}")


@dataclass(frozen=True)
class Within:
    """The numbers between which a setting lies, neither included."""

    low: float
    high: float

    def check(self, value: float, name: str) -> None:
        """Raises ConfigError for what lies outside."""
        if not self.low < value < self.high:
            raise ConfigError(
                f"{name} must lie between {self.low:g} and {self.high:g}, not {shown(value)}"
            )


@dataclass(frozen=True)
class BitNames:
    """Fields, bits and ranges, as ``sign,23-30``; whether a word has them, its format knows."""

    def check(self, value: str, name: str) -> None:
        """Raises ConfigError for what cannot be read."""
        for item in map(str.strip, value.split(",")):
            bits = re.fullmatch(r"(\d{1,2})(?:-(\d{1,2}))?", item)
            rising = bits is not None and int(bits[1]) <= int(bits[2] or bits[1])
            if item not in FIELDS and not rising:
                raise ConfigError(
                    f"{name} {shown(item)} not understood; use all, sign, exponent, mantissa, "
                    f"a bit (30) or a range (23-30){did_you_mean(item, FIELDS)}"
                )


@dataclass(frozen=True)
class StrataNames:
    """What tells strata apart: one of the names, both in any order, or none."""

    def fit(self, value: str, name: str) -> str:
        """The names in the order in which they are recorded; ConfigError for any others."""
        items = [item.strip() for item in value.split(",")]
        for item in items:
            if item not in STRATA and items != ["none"]:
                raise ConfigError(
                    f"{name} {shown(item)} not understood; use bit,layer for both, bit, layer "
                    f"or none{did_you_mean(item, (*STRATA, 'none'))}"
                )
        return ",".join(each for each in STRATA if each in items) or "none"


# The greatest numbers are what a 32-bit count holds, and more threads than any machine has cores:
# OpenMP ends the process where it cannot start as many as it is told to.
Count = Annotated[int, Bounds(1, 2**31 - 1)]
Index = Annotated[int, Bounds(0, 2**31 - 1)]
Patience = Annotated[int, Bounds(0, 2**31 - 1)]
Pixels = Annotated[int, Bounds(1, 2**14)]
Threads = Annotated[int, Bounds(0, 1024)]
Workers = Annotated[int, Bounds(1, 4096)] | Literal["auto"]
Seed = Annotated[int, Bounds(0, 2**64 - 1)]
Rate = Annotated[float, Bounds(0, 1)]
Share = Annotated[float, Within(0, 1)]
NotNegative = Annotated[float, Bounds(0)]
Bits = Annotated[str, BitNames()]
Strata = Annotated[str, StrataNames()]


def fitting(value: Any, hint: Any, name: str) -> Any:
    """The value in the type that its setting has.

    A single item may stand for a tuple of one, a list for a tuple, a path for its text, NumPy's
    numbers for Python's. Nothing is rounded, and no bool is a number.

    Args:
        value: Anything.
        hint: ``bool``, ``int``, ``float``, ``str``, a ``Literal`` of names, ``tuple[T, ...]``,
            ``T | None``, or one of these ``Annotated`` with what else it must fulfil.
        name: What messages call the setting.

    Raises:
        ConfigError: The value does not fit; it says what would.
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        plain = fitting(value, arguments[0], name)
        for rule in arguments[1:]:
            if isinstance(rule, StrataNames):
                plain = rule.fit(plain, name)
            if isinstance(rule, Bounds | Within | BitNames):
                rule.check(plain, name)
        return plain
    if origin in (Union, UnionType):
        if value is None and NoneType in arguments:
            return None
        inner, *words = (each for each in arguments if each is not NoneType)
        if words and isinstance(value, str):  # a number, or a word that stands for one
            return _choice(value, ("a number", *get_args(words[0])), name)
        return fitting(value, inner, name)
    if origin is Literal:
        return _choice(value, arguments, name)
    if origin is tuple:
        items = value if isinstance(value, list | tuple | range) else [value]
        return tuple(fitting(item, arguments[0], name) for item in items)
    return {bool: _truth, int: _integer, float: _number, str: _text}[hint](value, name)


def _choice(value: Any, choices: tuple[str, ...], name: str) -> str:
    if isinstance(value, str) and value in choices:
        return choices[choices.index(value)]
    listed = f"{', '.join(choices[:-1])} or {choices[-1]}"
    raise ConfigError(f"{name} must be {listed}, not {shown(value)}{did_you_mean(value, choices)}")


def _truth(value: Any, name: str) -> bool:
    if not isinstance(value, bool):
        raise ConfigError(f"{name} must be true or false, not {shown(value)}")
    return value


def _integer(value: Any, name: str) -> int:
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise ConfigError(f"{name} must be a whole number, not {shown(value)}")
    return int(value)


def _number(value: Any, name: str) -> float:
    try:
        if isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value):
            return float(value)
    except OverflowError:  # an integer beyond float
        pass
    raise ConfigError(f"{name} must be a finite number, not {shown(value)}")


def _text(value: Any, name: str) -> str:
    text = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(text, str):
        quoted = f": did you mean '{shown(text)}'?" if type(text) in (int, float) else ""
        raise ConfigError(f"{name} must be text, not {shown(value)}{quoted}")
    if "\0" in text:
        raise ConfigError(f"{name} must not hold a NUL character")
    return text
