"""What a trial did to each sample, against the golden run."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from faultsim.errors import ConfigError, FaultSimError
from faultsim.run.golden import Golden
from faultsim.run.outcome import Outcome
from faultsim.workload import Batch, Task
from faultsim.workload.failures import cause
from faultsim.workload.outputs import compare, identical, nothing_like
from faultsim.workload.task import name_of

SDC = "sdc"
Flags = dict[str, torch.Tensor]


class Raised:
    """Stands for the output of a forward pass that raised."""


class _Judged(NamedTuple):
    """Of one batch, (size,) bool each."""

    same: torch.Tensor
    due: torch.Tensor
    flags: Flags
    deviation: float
    raised: int = 0


def judge(
    task: Task,
    golden: Golden,
    outputs: Sequence[Any],
    *,
    searching: bool = False,
    scored: bool = True,
) -> Outcome:
    """Classifies every sample of a trial; one that changed no bit of its outputs is judged once.

    Args:
        task: Says what an output means.
        golden: The golden run on the same samples.
        outputs: Under faults, on the CPU, one a batch; :class:`Raised` for a pass that raised.
        searching: Leaves out the figures that no search rests on, where the task can tell them.
        scored: Whether there are figures at all; the same for all trials of one golden run.

    Raises:
        ConfigError: The task fails.
    """
    if not all(map(identical, golden.outputs, outputs)):
        return _judgement(task, golden, outputs, searching, scored)
    if searching not in golden.unharmed:
        golden.unharmed[searching] = _judgement(task, golden, golden.outputs, searching, scored)
    return golden.unharmed[searching]


class Samples(NamedTuple):
    """Of each sample of a trial, (samples,) bool.

    Attributes:
        due: A detected error.
        sdc: Silently corrupted; never where it is a detected error.
    """

    due: torch.Tensor
    sdc: torch.Tensor


def judge_samples(task: Task, golden: Golden, outputs: Sequence[Any]) -> Samples:
    """Which samples of a trial are DUE and SDC; arguments and errors as for :func:`judge`."""
    batches = zip(golden.batches, golden.outputs, outputs, strict=True)
    judged = [_judged(task, batch, was, now) for batch, was, now in batches]
    due = torch.cat([each.due for each in judged])
    flags = _joined(judged) or _unflagged(task, golden, judged)
    return Samples(due, next(iter(flags.values())) & ~due)


def _judgement(
    task: Task, golden: Golden, outputs: Sequence[Any], searching: bool, scored: bool
) -> Outcome:
    batches = zip(golden.batches, golden.outputs, outputs, strict=True)
    judged = [_judged(task, batch, was, now) for batch, was, now in batches]
    flags = _joined(judged) or _unflagged(task, golden, judged)
    # NumPy, for of one sample, as trials of an estimate have it, torch's operators take too long.
    same = np.concatenate([each.same.numpy() for each in judged])
    due = np.concatenate([each.due.numpy() for each in judged])
    told = {name: flag.numpy() & ~due for name, flag in flags.items()}
    sdc = next(iter(told.values()))
    quiet = ~(due | sdc)
    events = {name: _count(flag) for name, flag in told.items() if name != SDC}
    metrics = _scores(task, golden, outputs, searching) if scored else {}
    _check_names(task, flags, metrics)
    return Outcome(
        n=len(due),
        due=_count(due),
        sdc=_count(sdc),
        benign=_count(quiet & ~same),
        masked=_count(quiet & same),
        max_dev=max(each.deviation for each in judged),
        events=events,
        metrics=metrics,
        raised=sum(each.raised for each in judged),
    )


def _count(flags: npt.NDArray[np.bool_]) -> int:
    return int(np.count_nonzero(flags))


def _check_names(task: Task, events: Collection[str], metrics: Collection[str]) -> None:
    """Raises ConfigError where a name would be that of two things in journal and summary."""
    both = [name for name in events if name in metrics]
    if both:
        raise ConfigError(
            f"the task {name_of(task)} calls both an event and a figure {both[0]!r}: give one of "
            "them another name"
        )


def _judged(task: Task, batch: Batch, golden: Any, output: Any) -> _Judged:
    if isinstance(output, Raised):
        nothing = torch.zeros(batch.size, dtype=torch.bool)
        return _Judged(nothing, ~nothing, {}, 0.0, batch.size)
    try:
        was, now = (task.samples(each, batch.size) for each in (golden, output))
        flags = _events(task, golden, output, batch)
    except FaultSimError:
        raise
    except Exception as error:
        raise ConfigError(f"the task {name_of(task)} fails: {cause(error)}") from error
    if not len(was) == len(now) == batch.size:
        raise ConfigError(f"the task {name_of(task)} sees {len(now)} of {batch.size} samples")
    compared = compare(was, now)
    return _Judged(compared.same, ~compared.finite, flags, compared.deviation)


def _events(task: Task, golden: Any, output: Any, batch: Batch) -> Flags:
    found = task.changed(golden, output, batch)
    flags = dict(found) if isinstance(found, Mapping) else {SDC: found}
    for name, flag in flags.items():
        flag = torch.as_tensor(flag)
        if flag.dtype != torch.bool or flag.shape != (batch.size,):
            raise ConfigError(
                f"the task {name_of(task)} must say true or false of each of {batch.size} samples; "
                f"{name} is {tuple(flag.shape)} {str(flag.dtype).removeprefix('torch.')}"
            )
        flags[name] = flag.cpu()
    return flags


def _unflagged(task: Task, golden: Golden, judged: Sequence[_Judged]) -> Flags:
    """The task's events, where every pass raised: they happened to no sample."""
    names = _events(task, golden.outputs[0], golden.outputs[0], golden.batches[0])
    return {name: torch.cat([torch.zeros_like(each.due) for each in judged]) for name in names}


def _joined(judged: Sequence[_Judged]) -> Flags:
    """Flags of all batches; none of those whose pass raised, nothing if all did."""
    if len(judged) == 1:
        return judged[0].flags
    names = next((each.flags for each in judged if each.flags), {})
    for each in judged:
        if each.flags and each.flags.keys() != names.keys():
            one, other = (", ".join(of) for of in (names, each.flags))
            raise ConfigError(f"the task must tell the same events of each batch: {one}; {other}")
    flags = [each.flags or dict.fromkeys(names, torch.zeros_like(each.due)) for each in judged]
    return {name: torch.cat([each[name] for each in flags]) for name in names}


def _scores(
    task: Task, golden: Golden, outputs: Sequence[Any], searching: bool
) -> dict[str, float | int | None]:
    told = [
        nothing_like(was) if isinstance(now, Raised) else now
        for was, now in zip(golden.outputs, outputs, strict=True)
    ]
    scores = getattr(task, "probe", task.scores) if searching else task.scores
    try:
        return {**scores(told, golden.batches), **_deviations(task, golden, outputs)}
    except FaultSimError:
        raise
    except Exception as error:
        raise ConfigError(f"the task {name_of(task)} fails: {cause(error)}") from error


def _deviations(
    task: Task, golden: Golden, outputs: Sequence[Any]
) -> dict[str, float | int | None]:
    """Figures of how far a run is from the golden one, where a task has any."""
    told = getattr(task, "deviations", None)
    if told is None:
        return {}
    ran = [at for at, output in enumerate(outputs) if not isinstance(output, Raised)]
    lists = (golden.outputs, outputs, golden.batches)
    return dict(told(*([each[at] for at in ran] for each in lists)))
