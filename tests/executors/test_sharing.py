"""Trials shared out to workers that only pretend: orders, deaths and errors as wanted."""

from __future__ import annotations

import random

import pytest

from faultsim.errors import ExecutorError, InjectionError
from faultsim.executors.sharing import FULL, LIVES, Ended, Report, Shared


class Numbered(int):
    """A trial that is nothing but its number."""

    shares_a_pass = False


class OfOneSample(Numbered):
    shares_a_pass = True


def trials(*numbers: int) -> list[Numbered]:
    return [Numbered(number) for number in range(*numbers)]


class Pretended:
    """Workers that answer in any order, and sometimes end instead."""

    def __init__(self, number: int, seed: int = 0, deadly=(), failing=()) -> None:
        self.number, self.runs = number, []
        self._random, self._deadly, self._failing = random.Random(seed), [*deadly], failing
        self._tasks: dict[int, list] = {}
        self.most = 0

    def give(self, worker, trials) -> None:
        self._tasks.setdefault(worker, []).append(list(trials))
        self.most = max(self.most, len(self._tasks[worker]))

    def wait(self):
        worker = self._random.choice(sorted(w for w, tasks in self._tasks.items() if tasks))
        task = self._tasks[worker].pop(0)
        for trial in task:
            if trial in self._deadly:
                self._deadly.remove(trial)
                self._tasks[worker] = []
                return [(worker, Ended("killed by SIGKILL"))]
        done = []
        for trial in task:
            self.runs.append(trial)
            if trial in self._failing:
                return [(worker, Report(done, InjectionError(f"trial {trial} failed")))]
            done.append(10 * trial)
        return [(worker, Report(done, lost=((str(worker), "why"),)))]


@pytest.mark.parametrize("workers", [1, 2, 7])
@pytest.mark.parametrize("seed", range(5))
def test_outcomes_come_in_the_order_of_the_trials(workers, seed):
    pretended = Pretended(workers, seed)
    shared = Shared(pretended)
    outcomes = [shared.submit(trials(first, first + 9)) for first in range(0, 90, 9)]
    assert [n for each in outcomes for n in each] == [10 * trial for trial in range(90)]
    assert sorted(pretended.runs) == list(range(90))
    assert pretended.most <= 2
    assert set(shared.lost.values()) == {"why"}


@pytest.mark.parametrize("seed", range(5))
def test_trials_of_a_worker_that_ended_are_run_again_once(seed):
    pretended = Pretended(3, seed, deadly=(0, 11, 11, 39))
    assert [*Shared(pretended).submit(trials(40))] == [10 * trial for trial in range(40)]
    assert sorted(pretended.runs) == list(range(40))


def test_a_trial_that_ends_every_worker_is_an_error_and_those_before_it_are_not():
    outcomes = Shared(Pretended(2, deadly=[5] * LIVES)).submit(trials(8))
    assert [next(outcomes) for _ in range(4)] == [0, 10, 20, 30]
    with pytest.raises(ExecutorError, match=f"{LIVES} workers ended at one trial, killed by SIGK"):
        list(outcomes)


def test_an_error_comes_at_the_trial_that_failed():
    outcomes = Shared(Pretended(2, failing=(17,))).submit(trials(40))
    assert [next(outcomes) for _ in range(17)] == [10 * trial for trial in range(17)]
    with pytest.raises(InjectionError, match="trial 17 failed"):
        next(outcomes)


@pytest.mark.parametrize(("waiting", "sizes"), [(200, [100, 100]), (3, [2, 1]), (1, [1])])
def test_trials_that_share_passes_go_to_idle_workers_in_equal_parts(waiting, sizes):
    pretended = Pretended(2)
    Shared(pretended).submit([OfOneSample(number) for number in range(waiting)])
    assert [len(tasks[0]) for tasks in pretended._tasks.values()] == sizes
    assert pretended.most == 1


def test_a_worker_with_nothing_to_do_is_given_a_task_before_one_that_has_another():
    pretended = Pretended(2)
    shared = Shared(pretended)
    for first in (0, 10, 20):
        list(shared.submit([OfOneSample(number) for number in range(first, first + 10)]))
        assert pretended.most == 1


def test_no_worker_is_given_more_of_what_shares_passes_than_fills_them():
    pretended = Pretended(2)
    outcomes = Shared(pretended).submit([OfOneSample(number) for number in range(10 * FULL)])
    assert {len(task) for tasks in pretended._tasks.values() for task in tasks} == {FULL}
    assert [*outcomes] == [10 * number for number in range(10 * FULL)]


def test_nothing_is_handed_out_where_nothing_is_submitted():
    pretended = Pretended(2)
    assert list(Shared(pretended).submit([])) == []
    assert not pretended.most
