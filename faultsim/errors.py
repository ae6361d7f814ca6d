"""The one exception family: catch :class:`FaultSimError` and nothing else."""


class FaultSimError(Exception):
    """Base of every error faultsim raises on purpose.

    Its text is one line that names the thing at fault and, where there is one, the remedy.
    """


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
