"""The fewest flips that hurt most: ranked by gradient, verified by evaluation, step by step.

First-order scores order small changes well and the top exponent bit badly, and there the damage
is. So |g · Δ| only proposes; real evaluation on the validation split decides, and the test split,
which the search never sees, reports. After Rakin et al., "Bit-Flip Attack", ICCV 2019.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from typing import NamedTuple

from faultsim.errors import ConfigError
from faultsim.faults import FaultSet
from faultsim.kinds import Kind
from faultsim.ops.rank_bytes import BYTES
from faultsim.run.gradients import Gradients, Values
from faultsim.run.search import Search
from faultsim.run.trial import Outcome, Trial
from faultsim.schedule.activation_candidates import activation_candidates
from faultsim.schedule.candidates import GLOBAL, PER_TENSOR, RANKED, weight_candidates
from faultsim.schedule.context import Context, Plan, Trials
from faultsim.schedule.draw import draw_flips
from faultsim.schedule.state_candidates import state_candidates
from faultsim.space import FaultSpace

TRIALS = 10
PROBE = 32  # validation images on which every candidate is tried
VERIFIED = 4  # best candidates that are tried on the whole validation split


class Harm(NamedTuple):
    """Sorts the most harmful first: the objective, ties by loss; what may not be used goes last."""

    refused: bool
    objective: float
    gain: float


class Found(NamedTuple):
    """A fault set and the harm it did on the validation split."""

    faults: FaultSet
    harm: Harm


NO_FAULTS = FaultSet((), [], [], [])
WORST, WITHOUT_TOP, RANDOM = "worst-case", "worst-case without the top exponent bit", "random"


def worst_case(context: Context) -> Plan:
    """Three curves: the search, the search without the top exponent bit, and random flips.

    Raises:
        ConfigError: No validation images, or nothing to rank.
    """
    config, space = context.config, context.space
    _check_ranked(space)
    search = context.search()
    _check_found(context, search)
    draw_flips(context, space, max(config.flips), 0)
    curves = {WORST: space}
    lower = _without_top(space)
    if lower is not None and len(lower) < len(space):
        curves[WITHOUT_TOP] = lower
    trials = config.trials or TRIALS
    each = (GLOBAL + PER_TENSOR * len(space.sites) + VERIFIED) * max(config.flips)
    total = len(curves) * (each + len(config.flips)) + trials * len(config.flips)
    return Plan(_generate(context, search, curves, trials), total, adaptive=True)


def _check_ranked(space: FaultSpace) -> None:
    """Names what the search cannot rank; raises ConfigError if that is everything."""
    known = {s.name: (*RANKED, *BYTES) if s.kind == "weights" else RANKED for s in space.sites}
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
        yield from _search(context, search, name, space)
    for flips in context.config.flips:
        drawn = [draw_flips(context, context.space, flips, trial) for trial in range(trials)]
        yield [Trial(faults, {"curve": RANDOM, "flips": flips}) for faults in drawn]


def _search(context: Context, search: Search, curve: str, space: FaultSpace) -> Trials:
    """Commits the best flip, one step at a time, and reports at each number of flips asked for.

    Ends where no further flip does more harm on validation, or the objective there is down to
    chance; larger budgets then report the flips found so far.
    """
    best = Found(NO_FAULTS, _harm(context, search, search.baseline))
    ended = False
    for step in range(1, max(context.config.flips) + 1):
        if not ended:
            candidates = _candidates(context, search, space, best.faults)
            found = yield from _best(context, search, curve, step, candidates)
            if found is not None and found.harm < best.harm:
                best = found
                ended = best.harm.objective <= search.chance
            else:
                ended = True
        if step in context.config.flips and len(best.faults):
            yield [Trial(best.faults, {"curve": curve, "flips": step})]


def _best(
    context: Context, search: Search, curve: str, step: int, candidates: list[FaultSet]
) -> Generator[Sequence[Trial], Sequence[Outcome], Found | None]:
    """The most harmful candidate: all are tried on a few images, the best of them on all.

    None if every one of them makes an output non-finite, and that is not allowed.
    """
    cell = {"curve": curve, "flips": step, "split": "val"}
    outcomes = yield [
        Trial(faults, cell | {"search": "probe"}, "val", PROBE) for faults in candidates
    ]
    harms = [_harm(context, search, outcome) for outcome in outcomes]
    probed = list(zip(harms, candidates, strict=True))
    probed.sort(key=lambda pair: pair[0])  # stable: ties stay in rank order
    best = [faults for harm, faults in probed[:VERIFIED] if not harm.refused]
    outcomes = yield [Trial(faults, cell | {"search": "verify"}, "val") for faults in best]
    harms = [_harm(context, search, outcome) for outcome in outcomes]
    verified = zip(harms, best, strict=True)
    allowed = [pair for pair in verified if not pair[0].refused]
    if not allowed:
        return None
    harm, faults = min(allowed, key=lambda pair: pair[0])
    return Found(faults, harm)


def _harm(context: Context, search: Search, outcome: Outcome) -> Harm:
    refused = outcome.due > 0 and not context.config.allow_nonfinite
    score, loss = outcome.score(search.objective), outcome.loss
    lowest = score if score == score else -math.inf
    return Harm(refused, lowest, -loss if loss == loss else -math.inf)


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
