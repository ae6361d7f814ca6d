"""The fewest flips that hurt most: ranked by gradient, verified by evaluation, step by step.

First-order scores order small changes well and the top exponent bit badly, and there the damage
is. So |g · Δ| only proposes; real evaluation on the validation split decides, and the test split,
which the search never sees, reports. After Rakin et al., "Bit-Flip Attack", ICCV 2019.
"""

from __future__ import annotations

from functools import partial

from faultsim.errors import ConfigError
from faultsim.faults import FaultSet
from faultsim.kinds import Kind
from faultsim.ops.rank_bytes import BYTES
from faultsim.run.gradients import Gradients, Values
from faultsim.run.search import Search
from faultsim.run.trial import Trial
from faultsim.schedule.activation_candidates import activation_candidates
from faultsim.schedule.beam import NO_FAULTS, VERIFIED, beam_search
from faultsim.schedule.candidates import PER_TENSOR, RANKED, leading, weight_candidates
from faultsim.schedule.context import Context, Plan, Trials
from faultsim.schedule.draw import draw_flips
from faultsim.schedule.state_candidates import state_candidates
from faultsim.space import FaultSpace
from faultsim.workload.tasks.targeted import SUCCESS

TRIALS = 10

REAL_ONLY = ("inputs", "states", "kv-cache")
"""Targets in which no words of one byte can be ranked: nothing stands for them."""


WORST, WITHOUT_TOP, RANDOM = "worst-case", "worst-case without the top exponent bit", "random"


def worst_case(context: Context) -> Plan:
    """Three curves: the search, the search without the top exponent bit, and random flips.

    Raises:
        ConfigError: No validation images, none that a targeted attack aims at, or nothing to rank.
    """
    config, space = context.config, context.space
    _check_ranked(space)
    search = context.search()
    if search.baseline.metrics.get(SUCCESS, 0.0) is None:
        source = config.source_class
        what = f"class {source}" if source is not None else f"a class but {config.target_class}"
        raise ConfigError(f"the attack aims at samples of {what}, and no validation sample is one")
    _check_found(context, search)
    draw_flips(context, space, max(config.flips), 0)
    curves = {WORST: space}
    lower = _without_top(space)
    if lower is not None and len(lower) < len(space):
        curves[WITHOUT_TOP] = lower
    trials = config.trials or TRIALS
    tried = leading(space) + PER_TENSOR * len(space.sites)
    each = (tried + max(VERIFIED, config.beam)) * max(config.flips)
    total = len(curves) * (config.beam * each + len(config.flips)) + trials * len(config.flips)
    return Plan(_generate(context, search, curves, trials), total, adaptive=True)


def _check_ranked(space: FaultSpace) -> None:
    """Names what the search cannot rank; raises ConfigError if that is everything."""
    known = {s.name: RANKED if s.kind in REAL_ONLY else (*RANKED, *BYTES) for s in space.sites}
    others = {s.name: s.dtype for s in space.sites if s.format.dtype not in known[s.name]}
    if len(others) == len(space.sites):
        name, dtype = next(iter(others.items()))
        ranked = ", ".join(str(dtype).removeprefix("torch.") for dtype in known[name])
        raise ConfigError(
            f"worst-case ranks words of {ranked} by gradient, and there are none: {name} is {dtype}"
        )
    for name, dtype in others.items():
        space.skipped[name] = f"the search ranks no {dtype} words; random flips strike them"


def _check_found(context: Context, search: Search) -> None:
    """Raises ConfigError where not one bit can be ranked, rather than find nothing."""
    if not _candidates(context, search, context.space, NO_FAULTS):
        config, sites = context.config, context.space.sites
        what = f"{len(sites):,} sites of {config.target}, such as {sites[0].name}"
        how = f"{config.op} {config.direction}" if config.direction else config.op
        raise ConfigError(
            f"worst-case finds no bit to rank in {what}: the loss has no gradient there, or no "
            f"{how} of the bits {config.bits} keeps a word finite; search in weights, or widen bits"
        )


def _generate(
    context: Context, search: Search, curves: dict[str, FaultSpace], trials: int
) -> Trials:
    for name, space in curves.items():
        candidates = partial(_candidates, context, search, space)
        yield from beam_search(context.config, search, name, candidates)
    for flips in context.config.flips:
        drawn = [draw_flips(context, context.space, flips, trial) for trial in range(trials)]
        yield [Trial(faults, {"curve": RANDOM, "flips": flips}) for faults in drawn]


def _candidates(
    context: Context, search: Search, space: FaultSpace, committed: FaultSet
) -> list[FaultSet]:
    """The committed faults, joined by one more each."""
    gradients, target = search.gradients, context.config.target
    if target == "weights":
        singles = weight_candidates(context, space, committed, gradients.of_weights(committed))
    elif target == "states":
        singles = state_candidates(context, space, committed, gradients)
    else:
        values = _values(gradients, space, committed, target)
        singles = activation_candidates(context, space, committed, values)
    return [FaultSet.join([committed, single]) for single in singles]


def _values(gradients: Gradients, space: FaultSpace, committed: FaultSet, kind: Kind) -> Values:
    """What a pass under the committed faults computes or is given, with gradients."""
    if kind == "inputs":
        return gradients.of_inputs(committed, {site.name for site in space.sites})
    if kind == "module-inputs":
        return gradients.of_module_inputs(committed)
    if kind == "kv-cache":
        return gradients.of_caches(committed)
    if kind == "operations":
        return gradients.of_operations(committed)
    return gradients.of_outputs(committed)


def _without_top(space: FaultSpace) -> FaultSpace | None:
    """The space without the top exponent bit of each format; None if nothing else is in it."""
    tops = {
        site.format: site.format.fields["exponent"][-1]
        for site in space.sites
        if site.format.is_float
    }
    if all(
        set(bits) <= {tops.get(s.format)} for s, bits in zip(space.sites, space.bits, strict=True)
    ):
        return None
    return space.filter(lambda site, bit: bit != tops.get(site.format))
