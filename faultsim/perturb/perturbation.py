"""A perturbation with its settings, as people type it: ``pgd:eps=1/255,steps=20``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch
from torch import nn

from faultsim.config import ATTACKS
from faultsim.data import Split
from faultsim.errors import ConfigError, FaultSimError, did_you_mean
from faultsim.perturb.attacks import fgsm, pgd
from faultsim.perturb.blur import defocus_blur
from faultsim.perturb.noise import gaussian_noise
from faultsim.perturb.patches import patch_drop
from faultsim.perturb.profiles import Corruption, chosen, profile_for

Value = float | int | str | bool


def _fraction(text: str) -> float:
    return float(Fraction(text))


def _yes(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError("use true or false")
    return text.lower() == "true"


SETTINGS: Mapping[str, Mapping[str, Callable[[str], Value]]] = {
    "fgsm": {"eps": _fraction},
    "pgd": {"eps": _fraction, "step": _fraction, "steps": int, "random_start": _yes},
    "patch-drop": {"grid": int, "fraction": _fraction, "share_mask": _yes},
    "gaussian-noise": {"sigma": _fraction, "severity": int, "profile": str},
    "defocus-blur": {
        "radius": _fraction,
        "alias_sigma": _fraction,
        "severity": int,
        "profile": str,
    },
}
"""The settings of each kind, and how their text is read; a number may be a fraction."""

SWEEPS: Mapping[str, tuple[str, ...]] = {
    "patch-drop": tuple(f"patch-drop:fraction={f}" for f in (0.1, 0.25, 0.5, 0.75, 0.9)),
    "gaussian-noise": tuple(f"gaussian-noise:severity={s}" for s in range(1, 6)),
    "defocus-blur": tuple(f"defocus-blur:severity={s}" for s in range(1, 6)),
}
"""What the bare name of a kind stands for where several settings can be tried."""


class _Mean(nn.Module):
    """The least that an attack can be tried on."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean(dim=(1, 2, 3))[:, None] * torch.tensor([1.0, -1.0])


@dataclass(frozen=True)
class Perturbation:
    """One kind of perturbation with all its settings.

    Attributes:
        kind: A key of :data:`SETTINGS`.
        settings: Every setting by name, defaults and what a severity stands for included.
    """

    kind: str
    settings: Mapping[str, Value]

    @classmethod
    def parse(cls, text: str, side: int) -> Perturbation:
        """Reads ``kind`` or ``kind:name=value,name=value``.

        Without settings the attacks are those of the study, ε = 1/255 and 20 steps of ε/4 (which
        the study does not state); patches are dropped on a grid of 7 × 7; a severity is that of
        the profile made for images of about this size.

        Args:
            text: The specification.
            side: Of the images, in pixels.

        Raises:
            ConfigError: An unknown kind or setting, or a value that cannot be read or is out of
                range.
        """
        kind, _, rest = text.partition(":")
        if kind not in SETTINGS:
            known = f"{', '.join(SETTINGS)}{did_you_mean(kind, SETTINGS)}"
            raise ConfigError(f"unknown perturbation {kind!r}: use {known}")
        given: dict[str, Value] = {}
        for item in filter(None, rest.split(",")):
            name, _, value = item.partition("=")
            name = name.strip().replace("-", "_")
            if name not in SETTINGS[kind]:
                known = ", ".join(SETTINGS[kind])
                raise ConfigError(f"{kind} has no setting {name!r}: it has {known}")
            if name in given:
                raise ConfigError(f"{kind}: {name} is given twice")
            try:
                given[name] = SETTINGS[kind][name](value.strip())
            except (ValueError, ZeroDivisionError, OverflowError) as error:
                raise ConfigError(
                    f"{kind}: {name} = {value.strip()!r} cannot be read: {error}"
                ) from None
        made = cls(kind, _complete(kind, given, side))
        made._try(side)
        return made

    def _try(self, side: int) -> None:
        """Perturbs a grey image, so that numbers out of range are told before any work is done."""
        image, label = torch.full((1, 1, side, side), 0.5), torch.zeros(1, dtype=torch.int64)
        self(_Mean(), image, label, torch.Generator())

    def __str__(self) -> str:
        return f"{self.kind}:" + ",".join(f"{k}={_text(v)}" for k, v in self.settings.items())

    def __call__(
        self,
        model: nn.Module,
        images: torch.Tensor,
        labels: torch.Tensor,
        generator: torch.Generator,
    ) -> torch.Tensor:
        """A perturbed copy of a batch.

        Args:
            model: Images in [0, 1] to logits; only the attacks look at it.
            images: (n, channels, height, width) in [0, 1].
            labels: (n,) classes, or (n, classes) of 0 and 1.
            generator: Of what is random in it.

        Raises:
            ConfigError: A setting out of range.
        """
        # A severity is resolved: the numbers it stands for are in the settings.
        options: dict[str, Any] = {
            k: v for k, v in self.settings.items() if k not in ("severity", "profile")
        }
        if self.kind == "fgsm":
            return fgsm(model, images, labels, **options)
        if self.kind == "pgd":
            return pgd(model, images, labels, generator=generator, **options)
        if self.kind == "patch-drop":
            return patch_drop(images, generator=generator, **options)
        if self.kind == "gaussian-noise":
            return gaussian_noise(images, generator=generator, **options)
        return defocus_blur(images, **options)


def _complete(kind: str, given: dict[str, Value], side: int) -> dict[str, Value]:
    """All settings, in the order of :data:`SETTINGS`."""
    known = dict(given)
    if kind in ATTACKS:
        known = {"eps": 1 / 255, **known}
    if kind == "pgd":
        known = {"step": float(known["eps"]) / 4, "steps": 20, "random_start": False, **known}
    if kind == "patch-drop":
        known = {"grid": 7, "share_mask": False, **known}
    if "severity" in known:
        known = _of_severity(kind, known, side)
    elif "profile" in known:
        raise ConfigError(f"{kind}: a profile goes with a severity")
    missing = [n for n in SETTINGS[kind] if n not in known and n not in ("severity", "profile")]
    if missing:
        other = " or severity" if kind in ("gaussian-noise", "defocus-blur") else ""
        raise ConfigError(f"{kind} needs {' and '.join(missing)}{other}")
    return {name: known[name] for name in SETTINGS[kind] if name in known}


def _of_severity(kind: str, known: dict[str, Value], side: int) -> dict[str, Value]:
    profile = str(known.get("profile", profile_for(side)))
    severity = int(known["severity"])
    corruption: Corruption = "noise" if kind == "gaussian-noise" else "blur"
    values = chosen(corruption, {}, severity, profile)
    found: dict[str, Value] = dict(zip(SETTINGS[kind], map(float, values), strict=False))
    for name in found:
        if known.get(name, found[name]) != found[name]:
            raise ConfigError(f"{kind}: give {name} or a severity, not both")
    return known | found | {"profile": profile}


def _text(value: Value) -> str:
    """Multiples of a 255th as such: intensities are of 8 bits."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        near = Fraction(value).limit_denominator(255 * 64)
        if near and near.denominator % 255 == 0 and float(near) == value:
            return str(near)
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    return str(value)


def expand(text: str) -> tuple[str, ...]:
    """The settings that a bare name stands for where several can be tried; else the text itself."""
    return SWEEPS.get(text, (text,))


def perturb_split(
    perturbation: Perturbation,
    model: nn.Module,
    split: Split,
    *,
    seed: int,
    batch_size: int = 128,
    device: torch.device | str = "cpu",
) -> Split:
    """A split with perturbed images, back on the CPU.

    What is random depends on the seed alone, whatever the batches (``share_mask`` draws one mask a
    batch) and the device.

    Args:
        perturbation: What is done to the images.
        model: In eval mode, on ``device``.
        split: Images and labels.
        seed: Of what is random.
        batch_size: Images perturbed at a time.
        device: Where.

    Raises:
        ConfigError: The model fails under it.
    """
    generator = torch.Generator().manual_seed(seed)
    batches = zip(*(torch.split(t, batch_size) for t in (split.images, split.labels)), strict=True)
    try:
        changed = [
            perturbation(model, images.to(device), labels.to(device), generator).cpu()
            for images, labels in batches
        ]
    except (FaultSimError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # of the user's model, whose gradient may never have been taken
        cause = str(error).partition("\n")[0]
        raise ConfigError(f"the model fails under {perturbation.kind}: {cause}") from error
    return Split(torch.cat(changed) if changed else split.images, split.labels)
