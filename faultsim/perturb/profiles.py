"""Severities 1 to 5 of published benchmarks, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from faultsim.errors import ConfigError

Corruption = Literal["noise", "blur"]


@dataclass(frozen=True)
class Profile:
    """What the severities of one benchmark mean.

    Attributes:
        source: Where the figures are from.
        side: Of the images they were made for, in pixels.
        noise: Standard deviation of the Gaussian noise of each severity; empty where it has none.
        blur: Radius and smoothing of the defocus blur of each severity, in pixels; likewise.
    """

    source: str
    side: int
    noise: tuple[tuple[float], ...] = ()
    blur: tuple[tuple[float, float], ...] = ()


def _sigmas(*values: float) -> tuple[tuple[float], ...]:
    return tuple((value,) for value in values)


_COMMON = "Hendrycks and Dietterich, ICLR 2019"
_MEDICAL = "Di Salvo et al., MedMNIST-C, 2024: the registry of medmnistc 0.1.0"
_SKIN = _sigmas(0.04, 0.08, 0.12, 0.18, 0.26)
_ORGANS = _sigmas(0.04, 0.08, 0.12, 0.16, 0.20)
_WIDE = ((4, 0.1), (5, 0.2), (6, 0.3), (7, 0.4), (8, 0.5))

_MEDMNIST_C = {
    "bloodmnist": Profile(_MEDICAL, 224, blur=((2, 0.01), (3, 0.1), (4, 0.1), (5, 0.1), (6, 0.1))),
    "breastmnist": Profile(_MEDICAL, 224),
    "chestmnist": Profile(_MEDICAL, 224, noise=_SKIN),
    "dermamnist": Profile(_MEDICAL, 224, noise=_SKIN, blur=_WIDE),
    "octmnist": Profile(
        _MEDICAL, 224, blur=((0.5, 0.6), (1, 0.5), (1.5, 0.1), (2, 0.5), (2.5, 0.1))
    ),
    "organamnist": Profile(_MEDICAL, 224, noise=_ORGANS),
    "organcmnist": Profile(_MEDICAL, 224, noise=_ORGANS),
    "organsmnist": Profile(_MEDICAL, 224, noise=_ORGANS),
    "pathmnist": Profile(_MEDICAL, 224, blur=((3, 0.1), (4, 0.1), (5, 0.2), (6, 0.2), (7, 0.3))),
    "pneumoniamnist": Profile(_MEDICAL, 224, noise=_sigmas(0.04, 0.05, 0.06, 0.07, 0.08)),
    "retinamnist": Profile(_MEDICAL, 224, noise=_ORGANS, blur=_WIDE),
    "tissuemnist": Profile(_MEDICAL, 224),
}

PROFILES: Mapping[str, Profile] = {
    "cifar-10-c": Profile(
        _COMMON,
        32,
        noise=_sigmas(0.04, 0.06, 0.08, 0.09, 0.10),
        # One pixel up to severity 3: only the smoothing acts.
        blur=((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)),
    ),
    "tiny-imagenet-c": Profile(
        _COMMON,
        64,
        noise=_sigmas(0.04, 0.08, 0.12, 0.15, 0.18),
        blur=((0.5, 0.6), (1, 0.1), (1.5, 0.1), (2.5, 0.01), (3, 0.1)),
    ),
    "imagenet-c": Profile(
        _COMMON,
        224,
        noise=_sigmas(0.08, 0.12, 0.18, 0.26, 0.38),
        blur=((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)),
    ),
    **{f"medmnist-c/{name}": profile for name, profile in _MEDMNIST_C.items()},
}
"""The profiles by name; a set of MedMNIST may lack noise or blur, as its benchmark does."""


def profile_for(side: int) -> str:
    """The common-corruptions profile that was made for images nearest this side in pixels."""
    return min(
        ("cifar-10-c", "tiny-imagenet-c", "imagenet-c"), key=lambda n: abs(PROFILES[n].side - side)
    )


def chosen(
    corruption: Corruption,
    explicit: Mapping[str, float | None],
    severity: int | None,
    profile: str | None,
) -> tuple[float, ...]:
    """The numbers of a corruption: given one by one, or as a severity of a profile.

    Raises:
        ConfigError: Neither or both, a part of either, or a severity that the profile lacks.
    """
    names = " and ".join(explicit)
    values = tuple(value for value in explicit.values() if value is not None)
    if severity is None and profile is None:
        if len(values) < len(explicit):
            raise ConfigError(f"{corruption} needs {names}, or a severity and its profile")
        return values
    if values:
        raise ConfigError(f"{corruption} takes {names}, or a severity and its profile: not both")
    if severity is None or profile is None:
        raise ConfigError(f"{corruption}: a severity and a profile go together, give both")
    return _severity(corruption, severity, profile)


def _severity(corruption: Corruption, severity: int, profile: str) -> tuple[float, ...]:
    if profile not in PROFILES:
        raise ConfigError(f"unknown profile {profile!r}: use one of {', '.join(PROFILES)}")
    table = _table(corruption, profile)
    if not table:
        able = [name for name in PROFILES if _table(corruption, name)]
        raise ConfigError(f"{profile} has no {corruption}; these have: {', '.join(able)}")
    if severity not in range(1, 6):
        raise ConfigError(f"severity must be a whole number from 1 to 5, not {severity}")
    return table[severity - 1]


def _table(corruption: Corruption, profile: str) -> tuple[tuple[float, ...], ...]:
    found = PROFILES[profile]
    return found.noise if corruption == "noise" else found.blur
