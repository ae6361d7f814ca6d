"""A beam over sequences of flips: the most harmful set of each size that a search comes upon."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from typing import NamedTuple

from faultsim.config import CampaignConfig
from faultsim.faults import FaultSet
from faultsim.run.outcome import Cell, Outcome
from faultsim.run.search import Search
from faultsim.run.trial import Trial
from faultsim.schedule.context import Trials

PROBE = 32  # validation images on which every candidate is tried
VERIFIED = 4  # best candidates that are tried on the whole validation split
NO_FAULTS = FaultSet((), [], [], [])

Candidates = Callable[[FaultSet], list[FaultSet]]
"""Fault sets of one flip more than the given one, the most promising first."""


class Harm(NamedTuple):
    """Sorts the most harmful first; what may not be used goes last.

    Attributes:
        refused: Whether it may not be used.
        order: The objective, ties by the negative loss; or the other way round.
        objective: The objective.
    """

    refused: bool
    order: tuple[float, float]
    objective: float


class Found(NamedTuple):
    """A fault set and the harm it did on the validation split."""

    faults: FaultSet
    harm: Harm


class Beam(NamedTuple):
    """The sets that the next step starts from.

    Attributes:
        greedy: What a search of beam 1 has at this step; None once that would have ended.
        others: The most harmful besides, at most one less than the width.
    """

    greedy: Found | None
    others: list[Found]

    @property
    def all(self) -> list[Found]:
        return [*([self.greedy] if self.greedy else []), *self.others]

    def ended(self, chance: float, best: Found) -> Beam:
        """What goes on once the objective is down to chance: the greedy sequence, if it is not."""
        others = [] if best.harm.objective <= chance else self.others
        down = self.greedy is not None and self.greedy.harm.objective <= chance
        return Beam(None if down else self.greedy, others)


def beam_search(
    config: CampaignConfig, search: Search, curve: str, candidates: Candidates
) -> Trials:
    """Adds flips step by step, and reports the most harmful set at each number asked for.

    The greedy sequence is always among those followed, so that a beam never does less harm on the
    validation split than the greedy search. A sequence ends where no further flip does more harm
    there, or the objective is down to chance. Larger budgets then report what was found.

    Args:
        config: ``beam`` sequences are followed, up to the largest of ``flips``.
        search: What the search may look at.
        curve: Its name in the journal.
        candidates: What may come next.
    """
    judge = _Judge(config, search)
    best = Found(NO_FAULTS, judge.harm(search.baseline))
    beam = Beam(best, [])
    for step in range(1, max(config.flips) + 1):
        if beam.all:
            beam = yield from _step(config, judge, beam, curve, step, candidates)
            best = min([best, *beam.all], key=lambda found: found.harm)
            beam = beam.ended(search.chance, best)
        if step in config.flips and len(best.faults):
            yield [Trial(best.faults, {"curve": curve, "flips": step})]


class _Judge(NamedTuple):
    config: CampaignConfig
    search: Search

    def harm(self, outcome: Outcome) -> Harm:
        refused = outcome.due > 0 and not self.config.allow_nonfinite
        score, loss = outcome.score(self.search.objective), outcome.loss
        lowest = score if score == score else -math.inf
        gain = -loss if loss == loss else -math.inf
        by_loss = self.config.choose_by == "loss"
        return Harm(refused, (gain, lowest) if by_loss else (lowest, gain), lowest)


def _step(
    config: CampaignConfig, judge: _Judge, beam: Beam, curve: str, step: int, candidates: Candidates
) -> Generator[Sequence[Trial], Sequence[Outcome], Beam]:
    """Extends every sequence by one flip, and keeps the greedy one and the most harmful others."""
    greedy: Found | None = None
    better: list[Found] = []
    seen: set[frozenset[object]] = set()  # several orders of the same flips are one set
    for lane, parent in enumerate(beam.all):
        cell: dict[str, str | int] = {"curve": curve, "flips": step, "split": "val"}
        if config.beam > 1:
            cell["sequence"] = lane
        nexts = [faults for faults in candidates(parent.faults) if _key(faults) not in seen]
        seen.update(map(_key, nexts))
        verified = yield from _verified(judge, cell, nexts, max(VERIFIED, config.beam))
        if parent is beam.greedy:
            greedy = _best(verified[:VERIFIED], parent)
        better += [found for found in verified if found is not None and found.harm < parent.harm]
    better.sort(key=lambda found: found.harm)  # stable: ties stay in rank order
    others = [found for found in better if found is not greedy]
    return Beam(greedy, others[: config.beam - 1])


def _best(verified: list[Found | None], parent: Found) -> Found | None:
    """The most harmful, if it does more harm than the set that it extends."""
    found = min(filter(None, verified), key=lambda pair: pair.harm, default=None)
    return found if found is not None and found.harm < parent.harm else None


def _verified(
    judge: _Judge, cell: Cell, candidates: list[FaultSet], width: int
) -> Generator[Sequence[Trial], Sequence[Outcome], list[Found | None]]:
    """All are tried on a few images, the ``width`` best of them on all.

    None stands for those that make an output non-finite, where that is not allowed.
    """
    outcomes = yield [
        Trial(faults, {**cell, "search": "probe"}, "val", PROBE) for faults in candidates
    ]
    harms = map(judge.harm, outcomes)
    probed = list(zip(harms, candidates, strict=True))
    probed.sort(key=lambda pair: pair[0])  # stable: ties stay in rank order
    best = [None if harm.refused else faults for harm, faults in probed[:width]]
    allowed = [faults for faults in best if faults is not None]
    outcomes = yield [Trial(faults, {**cell, "search": "verify"}, "val") for faults in allowed]
    found = map(Found, allowed, map(judge.harm, outcomes))
    verified = [None if faults is None else next(found) for faults in best]
    return [None if pair is None or pair.harm.refused else pair for pair in verified]


def _key(faults: FaultSet) -> frozenset[object]:
    return frozenset((f.tensor, f.index, f.mask, f.step) for f in faults)
