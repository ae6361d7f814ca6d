"""The layers that a protection pays in, by recorded trials that are run again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from glob import escape
from pathlib import Path
from typing import Any

import numpy as np
from torch.nn.utils import parametrize

from faultsim.campaign.choosing import best_cover, best_subset
from faultsim.campaign.directory import TRIALS, Recorded
from faultsim.campaign.hardened import Hardening, Layer, Rate, Resource
from faultsim.campaign.layer_cost import bytes_held, time_of_layer
from faultsim.campaign.lines import Line
from faultsim.campaign.protecting import cost_of, moved, protected
from faultsim.campaign.reproducing import check_digests, faults_of
from faultsim.campaign.subject import make_experiment, make_space
from faultsim.config import CampaignConfig
from faultsim.config.granularity import alone
from faultsim.errors import ConfigError
from faultsim.faults import Site
from faultsim.protections.alarms import BESIDE
from faultsim.protections.known import protection_named
from faultsim.protections.layers import Around
from faultsim.protections.nan_guard import NanGuard
from faultsim.protections.ranges import RangeRestriction
from faultsim.run.experiment import Experiment
from faultsim.run.trial import Trial
from faultsim.targets.passes import ROOT
from faultsim.targets.transient import module_of
from faultsim.workload import Workload

DOWNSTREAM = (RangeRestriction, NanGuard)
"""They see in one layer what faults in any layer before it have done."""

ATTEMPTS = 3
"""Choices that are measured as a whole, each for less than the one before that took too much."""


class Chooser:
    """The bare model, its recorded trials, and what becomes of them in protected ones."""

    def __init__(
        self,
        found: Recorded,
        config: CampaignConfig,
        workload: Workload,
        protection: str,
        rate: Rate,
        of: Resource,
    ) -> None:
        self._config, self._name, self._rate, self._of = config, protection, rate, of
        self._bare = make_experiment(config, workload)
        check_digests(self._bare, found.manifest)
        self._space = make_space(config, self._bare)
        self._lines = [line for line in found.lines if single(line)]
        if not self._lines:
            raise ConfigError("no trial is of a single event: record with --flips 1 or --events 1")
        self._weights = _weights(found, self._lines, config)
        self._downstream = isinstance(protection_named(protection), DOWNSTREAM)

    def choose(self, budget: float, progress: Callable[[str, int, int], None]) -> Hardening:
        """The layers within a budget, and what recorded trials promise of them."""
        weights, harm = np.array(self._weights), np.array([self._harm(x) for x in self._lines])
        total = float((weights * harm).sum())
        specs = candidates(self._config, self._bare, self._name)
        tried = [name for name in specs if self._downstream or self._failing(name)]
        gains, costs = np.zeros((len(tried), len(harm))), []
        for number, name in enumerate(tried):
            progress("layers", number, len(tried))
            safe = protected(self._config, self._bare, specs[name])
            places = self._trials(name)
            after = safe.outcomes([moved(safe, self._trial(n)) for n in places])
            left = np.array([self._harm(outcome) for outcome in after])
            gains[number, places] = weights[places] * (harm[places] - left)
            costs.append(self._cost(name, safe))
        progress("layers", len(tried), len(tried))
        sums = gains.sum(1)
        chosen = self._within(budget, gains, costs, [specs[name] for name in tried])
        layers = [Layer(n, float(sums[k]), costs[k], k in chosen) for k, n in enumerate(tried)]
        together = gains[chosen].max(0) if self._downstream and chosen else gains[chosen]
        return Hardening(
            self._name,
            ",".join(spec for number in chosen for spec in specs[tried[number]]),
            self._of,
            budget,
            self._rate,
            total,
            0.0 - float(together.sum()),
            "greedy, at least 0.31 of the best" if self._downstream else "within 1 % of the best",
            sorted([layer for layer in layers if layer.gain > 0], key=lambda layer: -layer.gain),
            None,
            None,
        )

    def _within(
        self,
        budget: float,
        gains: np.ndarray,
        costs: Sequence[float],
        specs: Sequence[Sequence[str]],
    ) -> list[int]:
        """The choice; of time it is measured as a whole, and made for less where that is more."""
        left = budget
        for attempt in range(ATTEMPTS):
            if self._downstream:
                chosen = best_cover(np.maximum(gains, 0), costs, left)
            else:
                chosen = best_subset(gains.sum(1).tolist(), costs, left)
            if not chosen or self._of == "memory" or attempt == ATTEMPTS - 1:
                return chosen
            safe = protected(self._config, self._bare, [x for n in chosen for x in specs[n]])
            spent = cost_of(self._config, self._bare, safe).time - 1
            if spent <= budget:
                return chosen
            left *= budget / spent
        return []

    def _cost(self, layer: str, safe: Experiment) -> float:
        bare = self._bare
        if self._of == "memory":
            return bytes_held(safe.workload.model) / bytes_held(bare.workload.model) - 1
        inputs = bare.first_inputs()
        return time_of_layer(bare.workload, safe.workload, layer, inputs, bare.device)

    def _trials(self, layer: str) -> list[int]:
        """Those that a protection of the layer can change, as far as they need be looked at."""
        lines = enumerate(self._lines)
        if self._downstream:
            return [n for n, line in lines if self._harm(line)]
        return [n for n, line in lines if _struck(line, self._config) == layer]

    def _failing(self, layer: str) -> bool:
        return any(self._harm(self._lines[n]) for n in self._trials(layer))

    def _harm(self, told: Any) -> float:
        sdc, due = int(told.sdc), int(told.due)
        return float({"failure": sdc + due, "sdc": sdc, "due": due}[self._rate] / told.n)

    def _trial(self, number: int) -> Trial:
        line = self._lines[number]
        faults = faults_of(line, self._space, Path(TRIALS))
        split = str(line.cell.get("split", "test"))
        return Trial(faults, line.cell, split, line.n, line.sample, alone(self._config))


def candidates(config: CampaignConfig, bare: Experiment, protection: str) -> dict[str, list[str]]:
    """Layers that a protection can be put into, and the names that do so."""
    model = protected(config, bare, protection).workload.model
    known = {name for name, _ in bare.workload.model.named_modules()}
    found: dict[str, list[str]] = {}
    for path, module in model.named_modules():
        if path not in known:
            continue
        if isinstance(module, Around) or BESIDE in vars(module):
            found[path] = [f"{protection}:{escape(path or ROOT)}"]
        elif parametrize.is_parametrized(module):
            leaves = [f"{path}.{leaf}" if path else leaf for leaf in module.parametrizations]
            found[path] = [f"{protection}:{escape(leaf)}" for leaf in leaves]
    return found


def _struck(line: Line, config: CampaignConfig) -> str:
    """The layer whose words were struck."""
    name = line.faults[0].tensor
    stored = config.target == "weights"
    layer = Site(name, config.target, "", ()).layer if stored else module_of(name)
    return "" if layer == ROOT else layer


def single(line: Line) -> bool:
    events = line.cell.get("events", line.flips if "hours" not in line.cell else None)
    return events == 1 and not line.searching


def _weights(found: Recorded, lines: Sequence[Line], config: CampaignConfig) -> list[float]:
    """How much of all faults each trial stands for: layers count by their bits."""
    if config.mode != "layer-wise":
        return [1 / len(lines)] * len(lines)
    held = found.manifest.space.layers
    layers = [Site(line.faults[0].tensor, config.target, "", ()).layer for line in lines]
    bits = sum(held[layer] for layer in set(layers))
    return [held[layer] / bits / layers.count(layer) for layer in layers]
