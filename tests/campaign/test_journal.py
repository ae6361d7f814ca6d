"""The journal at work: locked before it is written, and given more trials."""

from __future__ import annotations

import errno
import json

import pytest

from faultsim import CampaignConfig, run_campaign
from faultsim.campaign import journal as journal_module
from faultsim.campaign.journal import Journal
from faultsim.campaign.manifest import with_defaults
from faultsim.errors import ConfigError, JournalError


@pytest.fixture
def run(model, dataset, tmp_path):
    def go(name: str = "a", **settings):
        usual = {"mode": "random", "trials": 3, "flips": (1, 2), "out": str(tmp_path / name)}
        live = {"model": model, "data": dataset}
        live |= {key: settings.pop(key) for key in ("progress",) if key in settings}
        return run_campaign(CampaignConfig(**usual | settings), **live).directory

    return go


def everything(directory) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_the_loser_of_a_race_touches_nothing(run, tmp_path, monkeypatch):
    """Both saw an empty directory; one has begun since."""
    manifest = json.loads((run("b", seed=1) / "manifest.json").read_text())
    with Journal(tmp_path / "a", manifest, resume=False):
        before = everything(tmp_path / "a")
        monkeypatch.setattr(Journal, "_check_use", lambda self, resume: None)
        with pytest.raises(JournalError, match="another process"):
            run()
        assert everything(tmp_path / "a") == before
        with pytest.raises(JournalError, match="another process"):
            run(resume=True)
        assert everything(tmp_path / "a") == before


def test_one_that_has_ended_meanwhile_is_not_written_over(run, monkeypatch):
    real, calls = Journal._check_use, []

    def late(self, resume):
        calls.append(resume)
        if len(calls) > 1:
            real(self, resume)

    directory = run()
    before = everything(directory)
    monkeypatch.setattr(Journal, "_check_use", late)
    with pytest.raises(ConfigError, match="give --resume"):
        run(seed=1)
    assert everything(directory) == before


@pytest.mark.parametrize("keep", [True, False])
def test_trials_without_a_manifest_belong_to_nobody(run, keep):
    directory = run()
    (directory / "manifest.json").unlink()
    if not keep:
        (directory / "summary.json").unlink()
    before = everything(directory)
    with pytest.raises(ConfigError, match=r"holds trials-0.jsonl but no manifest.json"):
        run(seed=1)
    with pytest.raises(JournalError, match="holds no campaign"):
        run(resume=True)
    assert everything(directory) == before


def test_a_full_disk_is_one_error(run, monkeypatch):
    class Full:
        def __init__(self, file):
            self._file = file

        def __getattr__(self, name):
            return getattr(self._file, name)

        def write(self, data):
            raise OSError(errno.ENOSPC, "No space left on device")

    real = Journal.__init__

    def begin(self, *args, **settings):
        real(self, *args, **settings)
        self._file = Full(self._file)

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "__init__", begin)
        with pytest.raises(JournalError, match=r"cannot write .*No space left") as caught:
            run()
    assert caught.value.__context__ is None or caught.value.__suppress_context__
    assert run(resume=True).exists()


def test_a_real_full_device_is_one_error(run, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "trials-0.jsonl").symlink_to("/dev/full")
    with pytest.raises(JournalError, match=r"cannot write .*No space left"):
        run()


@pytest.mark.parametrize(
    "settings",
    [
        {"flips": (1,)},
        {"flips": (1, 2)},
        {"mode": "layer-wise"},
        {"mode": "bit-wise", "bits": "30-31"},
        {"flips": (1,), "ber": 0.01},
    ],
)
def test_more_trials_end_in_the_bytes_of_all_at_once(run, settings):
    whole = everything(run("whole", trials=5, **settings))
    directory = run("grown", trials=2, **settings)
    run("grown", trials=5, resume=True, **settings)
    now = everything(directory)
    for document in (whole, now):
        manifest = json.loads(document.pop("manifest.json"))
        assert manifest["config"]["trials"] == 5
    assert now == whole


@pytest.mark.parametrize("when", ["put aside", "begun anew", "told", "run", "finished"])
def test_growing_can_be_interrupted_at_any_time(run, monkeypatch, when):
    settings = {"flips": (1, 2), "include": ("gain", "head")}
    whole = everything(run("whole", trials=4, **settings))["trials-0.jsonl"]
    directory = run("grown", trials=2, **settings)
    ran = []

    class Stop(BaseException):
        pass

    def stop(*args, **kwargs):
        raise Stop

    def count(progress):
        if progress.trial is not None:
            ran.append(progress.done)
            if when == "run" and progress.done == 6:
                raise Stop

    with monkeypatch.context() as patch:
        if when == "put aside":
            patch.setattr("os.fsync", stop)
        elif when == "begun anew":
            patch.setattr("pathlib.Path.unlink", stop)
        elif when == "told":
            patch.setattr(journal_module, "write_json", stop)
        elif when == "finished":
            patch.setattr(Journal, "finish", stop)
        with pytest.raises(Stop):
            run("grown", trials=4, resume=True, progress=count, **settings)
    run("grown", trials=4, resume=True, **settings)
    assert (directory / "trials-0.jsonl").read_bytes() == whole
    assert not (directory / "earlier.jsonl").exists()


def test_trials_that_are_known_are_not_run_again(run, monkeypatch):
    from faultsim.run.experiment import Experiment

    run(trials=2)
    real, ran = Experiment.run, []
    monkeypatch.setattr(Experiment, "run", lambda self, trial: ran.append(1) or real(self, trial))
    run(trials=3, resume=True)
    assert len(ran) == 2


def test_fewer_trials_and_searches_are_refused(run):
    directory = run(trials=4)
    before = everything(directory)
    with pytest.raises(JournalError, match="config trials = 4, now it is 3"):
        run(trials=3, resume=True)
    assert everything(directory) == before
    run("w", mode="worst-case", flips=(1,), trials=2)
    with pytest.raises(JournalError, match="config trials = 2, now it is 3"):
        run("w", mode="worst-case", flips=(1,), trials=3, resume=True)


def test_settings_that_came_later_do_not_stop_a_resume():
    recorded = {"mode": "random", "flips": [1]}
    assert with_defaults(recorded)["when"] == "after"
    assert with_defaults(recorded)["include"] == []
    assert with_defaults(recorded)["flips"] == [1]
    assert "out" not in with_defaults(recorded)
