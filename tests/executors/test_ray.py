"""Workers in a Ray cluster of one machine: the same bytes, whatever is lost."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from faultsim import CampaignConfig, run_campaign
from faultsim.errors import ConfigError
from faultsim.executors import ray_actors

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def nodes():
    """A cluster of two nodes with room for a worker each, and its second node."""
    from ray.cluster_utils import Cluster

    soon = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500}
    head = {"num_cpus": 1, "_system_config": soon | {"health_check_failure_threshold": 4}}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    second = cluster.add_node(num_cpus=1)
    ray.init(address=cluster.address, log_to_driver=False)
    yield cluster, second
    ray.shutdown()
    cluster.shutdown()


@pytest.fixture
def files(model, dataset, tmp_path):
    """The files of a campaign on a live model."""

    def files(name, progress=lambda report: None, trials=60, **settings):
        usual = {"mode": "random", "trials": trials, "flips": (1,), "threads": 1}
        config = CampaignConfig(**usual, **settings, out=str(tmp_path / name))
        run_campaign(config, model=model, data=dataset, progress=progress)
        return {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}

    return files


def workers() -> list[int]:
    """Processes of the actors that are at work on nodes that this process has started."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            node = parent(place)
            named = (place / "cmdline").read_bytes().startswith(b"ray::Actor")
            if named and parent(Path(f"/proc/{node}")) == os.getpid():
                found.append(int(place.name))
    return found


def parent(place: Path) -> int:
    return int((place / "stat").read_text().rpartition(")")[2].split()[1])


def test_two_actors_give_the_bytes_of_one_process_also_where_one_is_killed(files, nodes):
    def kill(report) -> None:
        if report.done in (10, 30):
            os.kill(workers()[0], signal.SIGKILL)

    expected = files("alone")
    assert files("actors", executor="ray", workers=2) == expected
    assert files("killed", kill, executor="ray", workers="auto") == expected


def test_more_than_there_is_room_for(files, nodes):
    with pytest.raises(ConfigError, match="room for 2 workers of 1 CPU each, not 3"):
        files("a", executor="ray", workers=3)


def test_what_cannot_be_handed_over(model, dataset, nodes, tmp_path):
    model.lock = threading.Lock()
    config = CampaignConfig(mode="random", executor="ray", workers=2, out=str(tmp_path / "a"))
    with pytest.raises(ConfigError, match="Ray cannot be given the model"):
        run_campaign(config, model=model, data=dataset)


def test_a_lost_node_takes_no_trial_with_it(files, nodes, monkeypatch):
    """Last, for the node does not come back: its loss is known after that of its actor."""
    cluster, second = nodes
    truth, late = ray_actors.room, []

    def room(threads, *, cuda):
        return late.pop() if late else truth(threads, cuda=cuda)

    def lose(report) -> None:
        if report.done == 10:
            late.extend([2, 2])
            cluster.remove_node(second, allow_graceful=False)

    monkeypatch.setattr(ray_actors, "room", room)
    monkeypatch.setattr(ray_actors, "PATIENCE", 1.0)
    assert files("lost", lose, executor="ray", workers=2) == files("alone")


def test_without_a_cluster_it_says_so(model, dataset, monkeypatch, tmp_path):
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(
        ray, "init", lambda **settings: (_ for _ in ()).throw(ConnectionError("no"))
    )
    config = CampaignConfig(executor="ray", address="auto", out=str(tmp_path / "a"))
    with pytest.raises(ConfigError, match="finds no cluster at auto: no"):
        run_campaign(config, model=model, data=dataset)
