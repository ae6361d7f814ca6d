"""This process and workers that only pretend: who runs what, and when."""

from __future__ import annotations

import pytest

from faultsim import memory
from faultsim.errors import ExecutorError, InjectionError
from faultsim.executors import growing
from faultsim.executors.growing import Growing


class Pretended:
    """Gives each trial with its own name, up to one at which it fails."""

    def __init__(self, name, fails=None, error=InjectionError) -> None:
        self.name, self.fails, self.error = name, fails, error
        self.lost, self.said = {name: "lost"}, []

    def ahead(self, trial):
        return len(self.name)

    def submit(self, trials):
        self.said.append(list(trials))
        return self._outcomes(trials)

    def _outcomes(self, trials):
        for trial in trials:
            if trial == self.fails:
                raise self.error("no worker begins")
            yield self.name, trial

    def finish(self):
        self.said.append("finish")

    def close(self):
        self.said.append("close")


@pytest.fixture
def clock(monkeypatch):
    """Seconds that have gone by, in a list to be changed."""
    now = [100.0]
    monkeypatch.setattr(growing.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def own():
    return Pretended("own")


def after_a_while(clock, own, hire):
    """Of trials that this process has run."""
    executor = Growing(own, hire)
    assert [*executor.submit(["first"])] == [("own", "first")]
    clock[0] += growing.PATIENCE + 1
    return executor


def test_workers_are_hired_once_trials_have_taken_long_and_get_what_is_left(clock, own):
    hired = []
    executor = Growing(own, lambda: hired.append(Pretended("workers")) or hired[0])
    first = executor.submit([0, 1])
    assert executor.ahead(0) == len("own")
    assert not hired
    clock[0] += growing.PATIENCE + 1
    rest = [executor.submit([2, 3]), executor.submit([4])]
    assert [*first] == [("own", 0), ("own", 1)]
    assert [each for some in rest for each in some] == [("workers", n) for n in (2, 3, 4)]
    assert executor.ahead(0) == len("workers")
    assert len(hired) == 1
    assert executor.lost == {"own": "lost", "workers": "lost"}
    executor.finish()
    executor.close()
    assert own.said[-2:] == hired[0].said[-2:] == ["finish", "close"]


def test_only_trials_count_and_nobody_is_hired_for_none(clock, own):
    executor = Growing(own, None)
    for trials in ([], ["first"], []):
        clock[0] += growing.PATIENCE + 1
        list(executor.submit(trials))
    assert own.said == [[], ["first"], []]


def test_where_there_is_no_room_for_workers_nobody_asks_again(clock, own):
    asked = []

    def hire():
        asked.append(1)
        raise ExecutorError("no memory is free")

    executor = after_a_while(clock, own, hire)
    for _ in range(3):
        assert [*executor.submit([0])] == [("own", 0)]
    assert asked == [1]
    assert executor.lost["workers"] == "no memory is free"


def test_workers_that_cannot_begin_are_dismissed_and_their_trials_run_here(clock, own):
    workers = Pretended("workers", 0, ExecutorError)
    executor = after_a_while(clock, own, lambda: workers)
    begun = [executor.submit([0, 1]), executor.submit([2])]
    assert [each for some in begun for each in some] == [("own", n) for n in (0, 1, 2)]
    assert [*executor.submit([3])] == [("own", 3)]
    assert executor.ahead(0) == len("own")
    assert "no worker begins" in executor.lost["workers"]
    executor.finish()
    assert workers.said[-1] == "close"


@pytest.mark.parametrize("error", [ExecutorError, InjectionError])
def test_what_goes_wrong_after_they_began_is_an_error(clock, own, error):
    executor = after_a_while(clock, own, lambda: Pretended("workers", 1, error))
    outcomes = executor.submit([0, 1])
    assert next(outcomes) == ("workers", 0)
    with pytest.raises(error):
        next(outcomes)


def test_memory_is_what_the_machine_has_or_the_control_groups(tmp_path, monkeypatch):
    meminfo, groups, root = tmp_path / "meminfo", tmp_path / "groups", tmp_path / "root"
    for name, place in (("MEMINFO", meminfo), ("GROUPS", groups), ("CGROUP", root)):
        monkeypatch.setattr(memory, name, place)
    assert memory.available_bytes() > 0  # of what is built in
    meminfo.write_text("MemTotal: 9 kB\nMemAvailable:    7 kB\n")
    assert memory.available_bytes() == 7 * 1024

    def group(path, limit, used, *names):
        (root / path).mkdir(parents=True, exist_ok=True)
        for name, value in zip(names, (limit, used), strict=True):
            (root / path / f"memory.{name}").write_text(f"{value}\n")

    groups.write_text("5:cpu:/\n0::/job/step\n")
    group("job/step", "max", 1000, "max", "current")
    assert memory.available_bytes() == 7 * 1024
    group("job", 3000, 1000, "max", "current")  # of all steps together
    assert memory.available_bytes() == 2000
    groups.write_text("4:cpu,memory:/seen/from/outside\n0::/\n")
    group("memory", 1500, 1000, "limit_in_bytes", "usage_in_bytes")
    assert memory.available_bytes() == 500
    group("memory", 1000, 1500, "limit_in_bytes", "usage_in_bytes")
    assert memory.available_bytes() == 0
    assert memory.resident_bytes() > 1 << 20
