"""A training that was interrupted ends as if it had not been."""

from __future__ import annotations

import pickle
from dataclasses import replace

import pytest
import torch

from faultsim.errors import ConfigError
from faultsim.models import model_digest
from faultsim.training import train
from faultsim.training.state import read_state, write_state


class Killed(BaseException):
    pass


def kill_after(number: int):
    def report(epoch) -> None:
        if epoch.number == number:
            raise Killed

    return report


@pytest.fixture
def state(tmp_path):
    return tmp_path / "model.state.pt"


@pytest.fixture
def interrupted(fresh, dataset, quick, state):
    with pytest.raises(Killed):
        train(fresh(), dataset, quick(), kill_after(2), state=state)
    return state


@pytest.mark.parametrize("after", [1, 3, 6])
def test_resumed_weights_are_those_of_an_uninterrupted_training(
    fresh, dataset, quick, state, after
):
    whole, model, rest = fresh(), fresh(), []
    best = train(whole, dataset, quick())
    with pytest.raises(Killed):
        train(model, dataset, quick(), kill_after(after), state=state)
    torch.manual_seed(99)  # another process has other random numbers
    again = fresh()
    assert train(again, dataset, quick(resume=True), rest.append, state=state) == best
    assert [epoch.number for epoch in rest] == list(range(after + 1, 7))
    assert model_digest(again) == model_digest(whole)


def test_a_kill_within_an_epoch_goes_back_to_its_start(fresh, dataset, quick, interrupted):
    def killed(images: int) -> None:
        raise Killed

    with pytest.raises(Killed):
        train(fresh(), dataset, quick(resume=True), step=killed, state=interrupted)
    whole, again = fresh(), fresh()
    train(whole, dataset, quick())
    train(again, dataset, quick(resume=True), state=interrupted)
    assert model_digest(again) == model_digest(whole)


def test_a_kill_while_writing_leaves_the_state_before(interrupted, monkeypatch):
    before = interrupted.read_bytes()

    def torn(content, path) -> None:
        path.write_bytes(b"half")
        raise Killed

    monkeypatch.setattr(torch, "save", torn)
    with pytest.raises(Killed):
        write_state(interrupted, {}, {})
    assert interrupted.read_bytes() == before


def test_a_full_disk_is_one_line(interrupted, monkeypatch):
    def full(content, path) -> None:
        raise RuntimeError("No space left on device\nmore")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(ConfigError, match=r"cannot write .*: No space left on device$"):
        write_state(interrupted, {}, {})


def test_an_interrupted_training_is_not_overwritten(fresh, dataset, quick, interrupted):
    with pytest.raises(ConfigError, match="give --resume to go on with it, or delete it"):
        train(fresh(), dataset, quick(), state=interrupted)


def test_without_a_state_there_is_nothing_to_resume(fresh, dataset, quick, state):
    with pytest.raises(ConfigError, match="no interrupted training at"):
        train(fresh(), dataset, quick(resume=True), state=state)


def test_resuming_needs_a_state_file(fresh, dataset, quick):
    with pytest.raises(ConfigError, match="resume needs the state file"):
        train(fresh(), dataset, quick(resume=True))


def test_another_recipe_is_refused_by_name(fresh, dataset, quick, interrupted):
    with pytest.raises(ConfigError, match=r"begun with --lr = 0\.03, now it is 0\.1"):
        train(fresh(), dataset, quick(resume=True, lr=0.1), state=interrupted)


def test_other_data_are_refused_by_name(fresh, dataset, quick, interrupted):
    other = replace(dataset, train=dataset.train.first(29))
    with pytest.raises(ConfigError, match="begun with the digest of the data ="):
        train(fresh(), other, quick(resume=True), state=interrupted)


def test_another_model_is_refused_by_name(fresh, dataset, quick, interrupted):
    other = fresh()
    other.head = torch.nn.Linear(4, 3, bias=False)
    with pytest.raises(ConfigError, match=r"shape of head.bias = \(3,\), now it is None"):
        train(other, dataset, quick(resume=True), state=interrupted)


class Evil:
    def __reduce__(self):
        return print, ("code ran",)


def test_code_in_a_state_file_does_not_run(state, capsys):
    state.write_bytes(pickle.dumps({"identity": {}, "state": Evil()}, protocol=2))
    with pytest.raises(ConfigError, match="is not the state of a training"):
        read_state(state, {})
    torch.save({"identity": {}, "state": Evil()}, state)
    with pytest.raises(ConfigError, match="is not the state of a training"):
        read_state(state, {})
    assert "code ran" not in capsys.readouterr().out
