"""Processes that run trials: the same bytes, whatever happens to a worker."""

from __future__ import annotations

import multiprocessing
import os
import signal
from multiprocessing import forkserver

import pytest
import torch

from faultsim import CampaignConfig, Workload, run_campaign
from faultsim.errors import ConfigError, FaultSimError
from faultsim.executors import local
from faultsim.executors.local import LocalWorkers
from faultsim.executors.sharing import Ended

FILES = ("manifest.json", "trials-0.jsonl", "summary.json")


@pytest.fixture
def run(model, dataset, tmp_path):
    def go(name: str, workers: int, progress=lambda progress: None, **settings):
        usual = {"mode": "random", "trials": 6, "flips": (1, 4), "out": str(tmp_path / name)}
        config = CampaignConfig(**usual | settings, workers=workers, threads=1)
        run_campaign(config, model=model, data=dataset, progress=progress)
        return [(tmp_path / name / file).read_bytes() for file in FILES]

    return go


def workers_now():
    return [p for p in multiprocessing.active_children() if p.name.startswith("faultsim-worker")]


def test_a_live_model_gives_the_same_bytes_on_any_number_of_workers(run, model):
    before = [(each, each.data_ptr(), each.is_shared()) for each in model.parameters()]
    assert run("one", 1) == run("two", 2)
    assert not workers_now()
    for each, pointer, shared in before:
        assert (each.data_ptr(), each.is_shared()) == (pointer, shared)


@pytest.mark.parametrize(
    "settings",
    [
        {"mode": "worst-case", "flips": (1, 2), "trials": 2},
        {"mode": "estimate", "margin": 0.2, "trials": None, "flips": (1,)},
        {"granularity": "inference"},
    ],
    ids=lambda settings: settings.get("mode", "inference"),
)
def test_what_learns_from_outcomes_decides_at_the_same_trials(run, settings):
    assert run("one", 1, **settings) == run("two", 2, **settings)


def test_a_worker_that_is_killed_is_replaced_and_no_trial_is_lost_or_doubled(run):
    killed = []

    def kill(progress):
        if progress.done == 2:
            killed.append(workers_now()[0].pid)
            os.kill(killed[0], signal.SIGKILL)

    assert run("one", 1, trials=30) == run("two", 2, kill, trials=30)
    assert killed


def test_workers_that_are_killed_when_all_is_done_take_nothing_with_them(run):
    def kill(progress):
        for each in workers_now() if progress.done == progress.total else ():
            each.kill()
            each.join()

    assert run("two", 2, kill) == run("one", 1)


def test_no_fork_server_at_all_is_said_in_one_line(run, monkeypatch):
    def refused(workers, number):
        raise ConnectionRefusedError("refused")

    monkeypatch.setattr(local.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(LocalWorkers, "_started", refused)
    with pytest.raises(FaultSimError, match="no worker can be started: refused"):
        run("two", 2)


def test_a_fork_server_that_dies_while_a_worker_starts_is_replaced(run, monkeypatch):
    real, asked = forkserver.read_signed, []

    def dies_once(descriptor):
        asked.append(descriptor)
        if len(asked) == 1:
            raise EOFError("unexpected EOF")
        return real(descriptor)

    monkeypatch.setattr(forkserver, "read_signed", dies_once)
    assert run("two", 2) == run("one", 1)
    assert len(asked) > 2


def test_a_killed_fork_server_is_waited_for_until_it_is_gone(run, monkeypatch):
    slept, started = [], LocalWorkers._started

    def refused_for_a_while(workers, number):
        if sum(slept) < 0.1:
            raise ConnectionRefusedError
        return started(workers, number)

    monkeypatch.setattr(local.time, "sleep", slept.append)
    monkeypatch.setattr(LocalWorkers, "_started", refused_for_a_while)
    assert run("two", 2) == run("one", 1)


def test_what_cannot_be_handed_over_is_refused_with_the_remedy(model, dataset, tmp_path):
    work = Workload(model, dataset.test.images, lambda golden, faulty, batch: golden != faulty)
    config = CampaignConfig(mode="random", workers=2, out=str(tmp_path / "a"))
    with pytest.raises(ConfigError, match=r"workers cannot be given .* leave workers at 1"):
        run_campaign(config, work)
    assert not (tmp_path / "a").exists()


NAMED = """
import torch, faultsim

class Different:
    def __init__(self):
        self.told = {told}
    def __call__(self, golden, faulty, batch):
        return golden.argmax(1) != faulty.argmax(1)

def make():
    with open("{made}", "a") as file:
        file.write("made ")
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    return faultsim.Workload(model, torch.randn(6, 4), Different())
"""


@pytest.mark.parametrize(
    ("told", "times"), [("None", 1), ("lambda: 'not to be pickled'", 3)], ids=["shared", "made"]
)
def test_what_has_a_name_is_in_memory_once_where_it_can_be(told, times, tmp_path, monkeypatch):
    (tmp_path / f"named_{times}.py").write_text(NAMED.format(told=told, made=tmp_path / "made"))
    monkeypatch.syspath_prepend(tmp_path)
    usual = {"mode": "random", "trials": 40, "flips": (1,), "threads": 1}

    def run(name, workers):
        out = tmp_path / name
        config = CampaignConfig(
            **usual, workload=f"named_{times}:make", workers=workers, out=str(out)
        )
        run_campaign(config)
        return [(out / file).read_bytes() for file in FILES]

    two = run("two", 2)
    assert (tmp_path / "made").read_text().split() == ["made"] * times
    assert run("one", 1) == two


def raises(*args):
    raise FaultSimError("stop")


def test_nothing_is_left_where_the_caller_stops(run):
    with pytest.raises(FaultSimError, match="stop"):
        run("one", 2, lambda progress: raises() if progress.done == 1 else None)
    assert not workers_now()


def test_threads_are_those_of_each_worker(run, tmp_path):
    from faultsim.campaign.workers import cores, shared_out

    usual = {"mode": "random", "out": str(tmp_path / "a"), "device": "cpu"}
    assert shared_out(CampaignConfig(**usual)).threads == 0
    assert shared_out(CampaignConfig(**usual, workers=2)).threads == max(1, cores() // 2)
    assert shared_out(CampaignConfig(**usual, workers=2, threads=3)).threads == 3
    auto = shared_out(CampaignConfig(**usual, workers="auto"))
    assert (auto.workers, auto.threads) == (cores(), 0 if cores() == 1 else 1)
    run("a", 1)
    usual |= {"resume": True}
    assert shared_out(CampaignConfig(**usual, workers=2)).threads == 1 == torch.get_num_threads()


@pytest.fixture
def two_cores_at_once(monkeypatch):
    monkeypatch.setattr("faultsim.campaign.workers.cores", lambda: 2)
    monkeypatch.setattr("faultsim.executors.growing.PATIENCE", -1)


ESTIMATE = {"mode": "estimate", "margin": 0.2, "trials": None, "flips": (1,)}


@pytest.mark.parametrize("settings", [{}, ESTIMATE])
def test_auto_begins_workers_when_trials_take_long(run, monkeypatch, two_cores_at_once, settings):
    began, start = set(), LocalWorkers.give

    def give(self, worker, trials):
        began.add(worker)
        start(self, worker, trials)

    monkeypatch.setattr(LocalWorkers, "give", give)
    assert run("one", 1, **settings) == run("auto", "auto", **settings)
    assert began == {0, 1}
    assert not workers_now()


def test_auto_begins_none_in_a_short_campaign(run, monkeypatch):
    monkeypatch.setattr(LocalWorkers, "give", None)
    assert run("one", 1) == run("auto", "auto")


def test_auto_begins_none_without_memory_and_says_so(run, monkeypatch, two_cores_at_once):
    told = []
    monkeypatch.setattr("faultsim.campaign.workers.available_bytes", lambda: 3 << 20)
    monkeypatch.setattr(LocalWorkers, "give", None)
    assert run("one", 1) == run("auto", "auto", told.append)
    assert told[-1].lost["workers"].startswith("3 MB of memory are free, and two may take ")


def test_auto_goes_on_alone_where_what_is_live_cannot_be_handed_over(
    model, dataset, tmp_path, two_cores_at_once
):
    model.own = lambda x: x  # cannot be pickled
    usual = {"mode": "random", "trials": 3, "flips": (1,), "threads": 1, "workers": "auto"}
    told = []
    run_campaign(
        CampaignConfig(**usual, out=str(tmp_path / "out")),
        model=model,
        data=dataset,
        progress=told.append,
    )
    assert told[-1].done == 3
    assert "leave workers at 1" in told[-1].lost["workers"]


def ends(number):
    raise SystemExit(1)


def test_workers_that_never_begin_say_what_a_script_needs():
    workers = LocalWorkers(ends, 1)
    workers.give(0, [])
    ((_, said),) = workers.wait()
    workers.close()
    assert isinstance(said, Ended)
    assert "exit code 1 before they began" in said.how
    assert "__main__" in said.how
