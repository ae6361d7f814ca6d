"""Which layers to protect for a budget, from a recorded campaign; and whether that holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from glob import escape
from pathlib import Path
from typing import Any, Literal

import numpy as np
from torch import nn
from torch.nn.utils import parametrize

from faultsim.campaign.choosing import best_cover, best_subset
from faultsim.campaign.directory import TRIALS, Recorded, read_campaign
from faultsim.campaign.layer_cost import bytes_held, time_of_layer
from faultsim.campaign.lines import Line
from faultsim.campaign.protecting import (
    compare_protections,
    cost_of,
    moved,
    objects_given,
    protected,
)
from faultsim.campaign.protections_record import Paid, held_for
from faultsim.campaign.reproduce import check_code, check_digests, faults_of, settings_of
from faultsim.campaign.subject import make_experiment, make_space, make_workload
from faultsim.config import CampaignConfig
from faultsim.config.granularity import alone
from faultsim.devices import reproducibly
from faultsim.errors import ConfigError
from faultsim.faults import Site
from faultsim.files import write_json
from faultsim.protections.known import PROTECTIONS, protection_named
from faultsim.protections.layers import Around
from faultsim.protections.nan_guard import NanGuard
from faultsim.protections.ranges import RangeRestriction
from faultsim.run.compiled import uncompiled
from faultsim.run.experiment import Experiment
from faultsim.run.trial import Trial
from faultsim.targets.transient import module_of
from faultsim.workload import Workload

MODES = ("random", "layer-wise", "exhaustive")
RECORD, FRESH = "hardening.json", "fresh"
DOWNSTREAM = (RangeRestriction, NanGuard)
"""They see in one layer what faults in any layer before it have done."""

ATTEMPTS = 3
"""Choices that are measured as a whole, each for less than the one before that took too much."""

Resource = Literal["time", "memory"]
Rate = Literal["failure", "sdc", "due"]


@dataclass(frozen=True)
class Layer:
    """A layer that could be protected.

    Attributes:
        name: Of it.
        gain: Of the harm of all faults, in shares of samples, what protecting it alone removes of
            the recorded trials.
        cost: Of the bare model's time or memory.
        chosen: Whether it is to be protected.
    """

    name: str
    gain: float
    cost: float
    chosen: bool


@dataclass(frozen=True)
class Hardening:
    """What :func:`harden` chose, and what came of it.

    Attributes:
        protection: Its name.
        protect: The choice, as ``--protect`` and :func:`faultsim.protect` take it; "" for none.
        of: What the budget is of.
        budget: Of it, as a share of the bare model's.
        rate: The harm that was to be removed.
        harm: Of the recorded trials, in shares of samples.
        predicted: The change that the recorded trials promise, negative.
        method: How the layers were chosen, and how good that is at least.
        layers: All that could be protected and would gain something, most gain first.
        fresh: The choice on fresh faults, paired with the bare model; None where there is none.
        everything: The protection of all layers on the same fresh faults.
    """

    protection: str
    protect: str
    of: Resource
    budget: float
    rate: Rate
    harm: float
    predicted: float
    method: str
    layers: Sequence[Layer]
    fresh: Paid | None
    everything: Paid | None

    @property
    def holds(self) -> bool:
        """Whether fresh faults show that the choice removes harm and is within the budget.

        That is: the interval of the change lies below 0, and what was measured of the whole choice
        does not pass the budget.
        """
        if self.fresh is None:
            return False
        change = next(each for each in self.fresh.changes if each.rate == self.rate)
        high, spent = change.difference.high, getattr(self.fresh.cost, self.of) - 1
        return high is not None and high < 0 and spent <= self.budget


def harden(
    directory: str | Path,
    protection: str = "tmr",
    budget: float = 0.05,
    *,
    of: Resource = "time",
    rate: Rate = "failure",
    seed: int | None = None,
    trials: int | None = None,
    work: Workload | None = None,
    model: nn.Module | None = None,
    data: Any = None,
    trust_code: bool = False,
    out: str | Path | None = None,
    progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> Hardening:
    """Chooses layers to protect, and tries the choice on faults that it was not made from.

    Recorded trials are run again with each layer protected alone: that is its gain. Its cost is
    measured in that layer, in turn with the bare one. Where a protection sees only its own layer's
    faults, gains add up, and the choice is within 1 % of the best (:func:`best_subset`); range
    restrictions and NaN guards overlap (:func:`best_cover`).

    Args:
        directory: Of a campaign of single events on the bare model: random, layer-wise, exhaustive.
        protection: A name, for all layers chosen.
        budget: What it may take more than the bare model, as a share: 0.05 is 5 %.
        of: Of time or of memory.
        rate: The harm to remove.
        seed: Of the fresh faults; the campaign's and 1 unless given.
        trials: Of them; as many as were recorded unless given.
        work: The workload, of a campaign that was given one; so ``model`` and ``data``.
        model: A live model.
        data: Live data.
        trust_code: Import and call the factories that the directory names.
        out: A directory for ``hardening.json``, and for the comparison on fresh faults.
        progress: Called with what is done, how many of it are done, and of how many.

    Raises:
        ConfigError: The campaign does not tell, or there is nothing to protect.
        JournalError: The directory is damaged, or model or data are others.
    """
    found = read_campaign(Path(directory))
    _check(found, directory, protection, budget, objects_given(work=work, model=model, data=data))
    config = settings_of(found.manifest)
    if not trust_code and found.lines:
        check_code(directory, config, found.lines[0], found.manifest.live)
    fresh = _fresh(config, found.lines, seed, out)
    fresh = replace(fresh, trials=fresh.trials if trials is None else trials)
    keeping = held_for(Path(out), RECORD) if out is not None else nullcontext()
    with reproducibly(config.threads), keeping as path:
        workload = work or make_workload(config, model, data)
        with uncompiled(workload.model):
            chooser = _Chooser(found, config, workload, protection, rate, of)
            told = chooser.choose(budget, progress)
            told = _tried(told, fresh, workload, progress)
        if path is not None:
            write_json(
                path, asdict(told) | {"holds": told.holds, "fresh": FRESH, "everything": None}
            )
    return told


def _check(
    found: Recorded, directory: str | Path, protection: str, budget: float, given: list[str]
) -> None:
    manifest = found.manifest
    mode = manifest.config["mode"]
    if protection not in PROTECTIONS:
        protection_named(protection)  # for its error
        raise ConfigError("layers are chosen here: name the protection without any")
    if not 0 < budget < float("inf"):
        raise ConfigError(f"the budget is a share above 0, not {budget:g}")
    if mode not in MODES:
        raise ConfigError(
            f"a {mode} campaign does not say which layers matter; {', '.join(MODES)} do"
        )
    if manifest.config.get("protect"):
        raise ConfigError(
            f"{directory} is of a protected model: layers are chosen for the bare one"
        )
    if manifest.config["target"] not in ("weights", "activations"):
        raise ConfigError("layers are chosen from faults in weights or activations")
    lacking = [name for name in manifest.live if name not in given]
    if lacking:
        raise ConfigError(
            f"{directory} ran on a live {lacking[0]}: give it again, harden(directory, "
            f"{lacking[0]}=...)"
        )


def _fresh(
    config: CampaignConfig, lines: Sequence[Line], seed: int | None, out: str | Path | None
) -> CampaignConfig:
    """Of a random campaign: one rate of all faults, whatever the recorded one told apart."""
    seed = config.seed + 1 if seed is None else seed
    if seed == config.seed:
        raise ConfigError(f"seed {seed} drew the recorded faults: fresh ones need another")
    place = None if out is None else str(Path(out) / FRESH)
    return replace(
        config,
        mode="random",
        flips=(1,),
        events=(1,),
        trials=len([line for line in lines if _single(line)]) or None,
        seed=seed,
        out=place,
        replay=True,
        workers=1,
        shard=None,
        observe=False,
    )


class _Chooser:
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
        self._lines = [line for line in found.lines if _single(line)]
        if not self._lines:
            raise ConfigError("no trial is of a single event: record with --flips 1 or --events 1")
        self._weights = _weights(found, self._lines, config)
        self._downstream = isinstance(protection_named(protection), DOWNSTREAM)

    def choose(self, budget: float, progress: Callable[[str, int, int], None]) -> Hardening:
        """The layers within a budget, and what recorded trials promise of them."""
        weights, harm = np.array(self._weights), np.array([self._harm(x) for x in self._lines])
        total = float((weights * harm).sum())
        specs = self._candidates()
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

    def _candidates(self) -> dict[str, list[str]]:
        """Layers that the protection can be put into, and the names that do so."""
        model = protected(self._config, self._bare, self._name).workload.model
        known = {name for name, _ in self._bare.workload.model.named_modules()}
        found: dict[str, list[str]] = {}
        for path, module in model.named_modules():
            if isinstance(module, Around) and path in known:
                found[path] = [f"{self._name}:{escape(path)}"]
            elif parametrize.is_parametrized(module) and path in known:
                leaves = [f"{path}.{leaf}" if path else leaf for leaf in module.parametrizations]
                found[path] = [f"{self._name}:{escape(leaf)}" for leaf in leaves]
        return found

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


def _struck(line: Line, config: CampaignConfig) -> str:
    """The layer whose words were struck."""
    name = line.faults[0].tensor
    if config.target == "activations":
        return module_of(name)
    layer = Site(name, config.target, "", ()).layer
    return "" if layer == "(root)" else layer


def _single(line: Line) -> bool:
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


def _tried(
    told: Hardening,
    fresh: CampaignConfig,
    work: Workload,
    progress: Callable[[str, int, int], None],
) -> Hardening:
    """The choice on fresh faults, beside the protection of everything."""
    if not told.protect:
        return told

    def report(done: int, total: int) -> None:
        progress("fresh trials", done, total)

    both = compare_protections(fresh, [told.protect, told.protection], work, progress=report)
    return replace(told, fresh=both[0], everything=both[1])
