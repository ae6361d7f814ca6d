"""The one exception family: catch :class:`FaultSimError` and nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from reprlib import Repr

LIKE = 0.7  # of difflib's ratio: "Random" is like "random", "gpu" is not like "cpu"


class FaultSimError(Exception):
    """Base of every error faultsim raises on purpose.

    Its text is one line that names the thing at fault and, where there is one, the remedy.
    """

    def __str__(self) -> str:  # may quote the text of another exception
        return " ".join(line.strip() for line in super().__str__().splitlines() if line.strip())


class ConfigError(FaultSimError):
    """A setting, file or name the user gave cannot be used as it stands."""


class NativeError(FaultSimError):
    """The native module is missing, or was compiled for another version of faultsim."""


class FormatError(FaultSimError):
    """A dtype without a bit format, or bits that a format does not have."""


class FaultError(FaultSimError):
    """A fault that cannot exist: missing tensor, index or bit out of range, clashing masks."""


class InjectionError(FaultSimError):
    """Faults could not be armed, fired or undone exactly."""


class JournalError(FaultSimError):
    """A campaign directory that does not fit what is asked of it."""


class ExecutorError(FaultSimError):
    """Workers that could not run trials."""


_SHORT = Repr()
_SHORT.maxstring = _SHORT.maxother = 80


def shown(value: object) -> str:
    """A value as a message quotes it: short, whatever it is."""
    try:
        return _SHORT.repr(value)
    except Exception:  # an integer of too many digits, a repr of the user's that fails
        return f"this {type(value).__name__}"


def did_you_mean(value: object, choices: Iterable[str]) -> str:
    """``": did you mean 'random'?"``; nothing where no choice is like the value."""
    if not isinstance(value, str):
        return ""
    text, plain = value.lower(), {choice.lower(): choice for choice in choices}
    begun = [choice for choice in plain if len(text) > 2 and choice.startswith(text)]
    near = begun or get_close_matches(text, plain, n=1, cutoff=LIKE)
    return f": did you mean {plain[near[0]]!r}?" if near else ""
