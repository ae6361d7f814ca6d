"""Failures in time that a campaign measured: of the whole memory struck, and of each layer's."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from faultsim.campaign.findings import EstimatedRecord, FitPartRecord, FitRecord, RateRecord
from faultsim.campaign.lines import Line
from faultsim.campaign.manifest import Manifest
from faultsim.errors import ConfigError
from faultsim.faults import Site
from faultsim.run.outcome import plain
from faultsim.stats import CONFIDENCE, Estimate, clopper_pearson, image_rate
from faultsim.stats.fit import fit, total

MODES = ("random", "layer-wise", "exhaustive", "estimate")
"""Modes whose trials say what share of all events in a layer, or in all, become failures."""

OUTCOMES = ("failure", "sdc", "due")
TRIAL = "trial_"
UNSEEN = "no trial"


@dataclass(frozen=True)
class Part:
    """A memory and its failures.

    Attributes:
        bits: That it holds.
        rates: In 10⁹ hours: ``sdc``, ``due`` and ``failure``, which is either, of one inference;
            with ``trial_`` before them, of any of the inferences of a trial.
    """

    bits: int
    rates: Mapping[str, Estimate]

    def record(self) -> FitPartRecord:
        return FitPartRecord(
            bits=self.bits, rates={name: _record(rate) for name, rate in self.rates.items()}
        )


@dataclass(frozen=True)
class Fit:
    """Failures in time.

    Attributes:
        fit_per_mbit: Events in 10⁹ hours and 2²⁰ bits.
        whole: Of all that could be struck.
        layers: Of each layer, by its name.
    """

    fit_per_mbit: float
    whole: Part
    layers: Mapping[str, Part] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        record = FitRecord(
            fit_per_mbit=self.fit_per_mbit,
            whole=self.whole.record(),
            layers={name: part.record() for name, part in self.layers.items()},
        )
        found: dict[str, Any] = msgspec.to_builtins(record)
        return found


def _record(rate: Estimate) -> RateRecord:
    ends = {"low": rate.low, "high": rate.high, "n": rate.n, "method": rate.method}
    return RateRecord(value=plain(rate.value), **ends)  # type: ignore[arg-type]


def known_rate(manifest: Manifest) -> float | None:
    """Events in 10⁹ hours and 2²⁰ bits, as the settings or the fault model have them."""
    given = manifest.config.get("fit_per_mbit")
    if given is not None:
        return float(given)
    return manifest.fault_model.content.fit_per_mbit if manifest.fault_model else None


def fit_of(
    manifest: Manifest,
    lines: Iterable[Line],
    estimate: EstimatedRecord | None = None,
    fit_per_mbit: float | None = None,
) -> Fit:
    """What a campaign says of failures in time.

    Trials of a single event each count: one flip, or one event of a fault model. Of a layer-wise
    campaign the whole is the sum over layers, whose intervals are made wider so that all of them
    hold at once.

    Args:
        manifest: Of the campaign.
        lines: Its trials.
        estimate: What it found, if it estimated a rate.
        fit_per_mbit: Instead of the rate that the manifest knows.

    Raises:
        ConfigError: No rate is known, or the campaign does not tell.
    """
    rate = known_rate(manifest) if fit_per_mbit is None else fit_per_mbit
    if rate is None:
        raise ConfigError("how often events happen is not recorded: give --fit-per-mbit")
    mode, held = str(manifest.config["mode"]), manifest.space.layers
    if mode not in MODES:
        raise ConfigError(f"a {mode} campaign does not tell FIT; {', '.join(MODES)} do")
    if not held:
        raise ConfigError("the campaign was recorded before bits of layers were: run it again")
    if mode == "estimate":
        return _estimated(held, estimate, rate)
    return _measured(manifest, [line for line in lines if _single(line)], rate)


def known_fit(
    manifest: Mapping[str, Any], lines: Iterable[Line], told: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """``{"fit": …}`` for a summary; nothing of a campaign that does not tell or knows no rate.

    Args:
        manifest: As it was written.
        lines: The trials.
        told: What the summary says, if a rate was estimated.
    """
    known = msgspec.convert(json.loads(json.dumps(manifest)), Manifest)
    if known_rate(known) is None:
        return {}
    estimate = msgspec.convert(told["estimate"], EstimatedRecord) if told else None
    try:
        return {"fit": fit_of(known, lines, estimate).to_json()}
    except ConfigError:
        return {}


def _single(line: Line) -> bool:
    events = line.cell.get("events", line.flips if "hours" not in line.cell else None)
    return events == 1 and not line.searching


def _measured(manifest: Manifest, lines: Sequence[Line], rate: float) -> Fit:
    if not lines:
        raise ConfigError("no trial is of a single event: FIT needs --flips 1, or --events 1")
    held, mode = manifest.space.layers, manifest.config["mode"]
    groups: dict[str, list[Line]] = {layer: [] for layer in held}
    for line in lines:
        groups[Site(line.faults[0].tensor, manifest.config["target"], "", ()).layer].append(line)
    sampled = mode != "exhaustive"
    layers = {name: _part(held[name], own, rate, sampled) for name, own in groups.items()}
    bits = sum(held.values())
    if mode != "layer-wise":
        return Fit(rate, _part(bits, lines, rate, sampled), layers)
    sure = 1 - (1 - CONFIDENCE) / len(held)
    wider = [_part(held[name], own, rate, sampled, sure).rates for name, own in groups.items()]
    whole = {name: total([rates[name] for rates in wider]) for name in wider[0]}
    return Fit(rate, Part(bits, whole), layers)


def _part(
    bits: int, lines: Sequence[Line], rate: float, sampled: bool, confidence: float = CONFIDENCE
) -> Part:
    """FIT of a memory, from the trials that struck it."""
    shares = _shares(lines, confidence) if lines else _unseen()
    if not sampled:
        shares = {n: Estimate(s.value, None, None, s.n, "exhaustive") for n, s in shares.items()}
    return Part(bits, {name: fit(share, bits, rate) for name, share in shares.items()})


def _shares(lines: Sequence[Line], confidence: float) -> dict[str, Estimate]:
    sizes, n = [line.n for line in lines], len(lines)
    counts = {"sdc": [line.sdc for line in lines], "due": [line.due for line in lines]}
    counts["failure"] = [sdc + due for sdc, due in zip(*counts.values(), strict=True)]
    found = {name: _bounded(image_rate(counts[name], sizes, confidence)) for name in OUTCOMES}
    for name in OUTCOMES:
        happened = sum(count > 0 for count in counts[name])
        found[TRIAL + name] = clopper_pearson(happened, n, confidence)
    return found


def _bounded(share: Estimate) -> Estimate:
    """Of a single trial only the ends of the range are known."""
    return replace(share, low=0.0, high=1.0) if share.low is None else share


def _unseen() -> dict[str, Estimate]:
    names = [*OUTCOMES, *(TRIAL + name for name in OUTCOMES)]
    return {name: Estimate(math.nan, 0.0, 1.0, 0, UNSEEN) for name in names}


def _estimated(held: Mapping[str, int], told: EstimatedRecord | None, rate: float) -> Fit:
    """Of a campaign that went on until a rate was known: that rate alone."""
    if told is None:
        raise ConfigError("the campaign has not ended: finish it with --resume")
    bits = sum(held.values())
    found = Estimate(told.value, told.low, told.high, told.n, told.method)
    layers = {}
    for part in told.parts:
        name = part.cell.get("layer")
        if isinstance(name, str) and name in held:
            share = Estimate(float(part.value), part.low, part.high, part.n, part.method)
            layers[name] = Part(held[name], {told.rate: fit(share, held[name], rate)})
    return Fit(rate, Part(bits, {told.rate: fit(found, bits, rate)}), layers)
