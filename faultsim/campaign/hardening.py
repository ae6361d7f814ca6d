"""Which layers to protect for a budget, from a recorded campaign; and whether that holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from torch import nn

from faultsim.campaign.chooser import Chooser, single
from faultsim.campaign.directory import Recorded, read_campaign
from faultsim.campaign.hardened import Hardening, Rate, Resource
from faultsim.campaign.lines import Line
from faultsim.campaign.protecting import compare_protections, objects_given
from faultsim.campaign.protections_record import held_for
from faultsim.campaign.reproducing import check_code, settings_of
from faultsim.campaign.subject import make_workload
from faultsim.config import CampaignConfig
from faultsim.devices import reproducibly
from faultsim.errors import ConfigError
from faultsim.files import write_json
from faultsim.protections.known import PROTECTIONS, protection_named
from faultsim.run.compiled import uncompiled
from faultsim.workload import Workload

MODES = ("random", "layer-wise", "exhaustive")
TARGETS = ("weights", "activations", "operations")
RECORD, FRESH = "hardening.json", "fresh"


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
            chooser = Chooser(found, config, workload, protection, rate, of)
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
    if manifest.config["target"] not in TARGETS:
        raise ConfigError("layers are chosen from faults in weights, activations or operations")
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
        trials=len([line for line in lines if single(line)]) or None,
        seed=seed,
        out=place,
        replay=True,
        workers=1,
        shard=None,
        observe=False,
    )


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
