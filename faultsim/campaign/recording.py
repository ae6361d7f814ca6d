"""The trials of a plan, run by an executor and recorded in their order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from faultsim.campaign.directory import TRIALS
from faultsim.campaign.journal import Journal
from faultsim.campaign.lines import Line
from faultsim.errors import JournalError
from faultsim.executors import Executor
from faultsim.faults import EventSet
from faultsim.run.outcome import Outcome
from faultsim.run.trial import Trial
from faultsim.schedule import Plan


class Begun(NamedTuple):
    """Trials that do not depend on one another, and the outcomes of those that are to be run."""

    numbered: Sequence[tuple[int, Trial]]
    fresh: Iterator[Outcome]


def recorded(
    plan: Plan, executor: Executor, journal: Journal, seed: int
) -> Iterator[tuple[Line, Trial, Outcome]]:
    """Every trial, its journal line and what came of it; what is recorded is not run again.

    A plan that learns from outcomes is asked for more when all are known; another is read ahead.

    Raises:
        FaultSimError: A trial fails, or the journal is of another campaign.
    """
    begun: deque[Begun] = deque()
    number = done = ahead = 0
    together = next(plan.trials, None)
    while together is not None or begun:
        if together is not None:
            numbered = list(enumerate(together, number))
            fresh = [trial for n, trial in numbered if journal.lacks(n, trial)]
            begun.append(Begun(numbered, executor.submit(fresh)))
            ahead = 0 if plan.adaptive or not together else executor.ahead(together[0])
            number += len(numbered)
        told = []
        while begun and (together is None or number - len(together) - done >= ahead):
            for line, trial, outcome in _lines(begun.popleft(), journal, seed):
                done += 1
                told.append(outcome)
                yield line, trial, outcome
        together = None if together is None else _sent(plan, told)
    if number < len(journal.recorded):
        raise JournalError(
            f"{journal.directory / TRIALS} has {len(journal.recorded)} trials, and the campaign "
            f"ends after {number}: the others are not its own"
        )


def _sent(plan: Plan, told: Sequence[Outcome]) -> Sequence[Trial] | None:
    try:
        return plan.trials.send(told)
    except StopIteration:
        return None


def _lines(begun: Begun, journal: Journal, seed: int) -> Iterator[tuple[Line, Trial, Outcome]]:
    """Each trial with its journal line, as it is written, and what came of it."""
    for number, trial in begun.numbered:
        line = next(iter(journal.recorded[number : number + 1]), None)
        if line is None:
            line = journal.adopt(number, trial)
        if line is None:
            outcome = next(begun.fresh)
            yield journal.append(trial_line(number, seed, trial, outcome)), trial, outcome
            continue
        if not _is_record_of(line, trial):
            raise JournalError(
                f"trial {number} in {journal.directory} has other faults than this run chose; "
                "it was recorded on another platform or version: start another campaign"
            )
        yield line, trial, line.outcome


def trial_line(number: int, seed: int, trial: Trial, outcome: Outcome) -> dict[str, Any]:
    """A journal line: no times, hosts or paths, so that equal campaigns give equal bytes."""
    faults = trial.faults
    return {
        "trial": number,
        "cell": dict(trial.cell),
        "seed": seed,
        "flips": faults.flips,
        "faults": faults.records(),
        **({} if trial.sample is None else {"sample": trial.sample}),
        **({"struck": list(faults.events)} if isinstance(faults, EventSet) else {}),
        **outcome.to_json(),
    }


def _is_record_of(line: Line, trial: Trial) -> bool:
    records = list(msgspec.to_builtins(line.faults))
    same = line.cell == dict(trial.cell) and line.sample == trial.sample
    return same and bool(records == trial.faults.records())
