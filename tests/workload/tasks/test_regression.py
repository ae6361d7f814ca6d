"""Numbers against their tolerance, and figures against scikit-learn's."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

from faultsim import Batch, tasks
from faultsim.errors import ConfigError

numbers = st.floats(-1e3, 1e3, allow_nan=False, width=32)


@given(
    st.lists(st.tuples(numbers, numbers), min_size=2, max_size=6),
    st.sampled_from([0.0, 0.5, 50.0]),
    st.sampled_from([0.0, 0.1]),
)
def test_a_sample_is_corrupted_when_any_number_leaves_the_tolerance(pairs, absolute, relative):
    was, now = (torch.tensor([pair[k] for pair in pairs]).reshape(-1, 1) for k in (0, 1))
    golden, faulty = ({"a": torch.zeros(len(was), 2), "b": each} for each in (was, now))
    task = tasks.Regression(absolute, relative)
    events = task.changed(golden, faulty, Batch(None, None, len(was)))
    bound = absolute + relative * was.double().abs()
    assert events["sdc"].tolist() == ((was.double() - now).abs() > bound)[:, 0].tolist()


@given(st.integers(0, 1000), st.integers(1, 3))
def test_figures_are_scikit_learns(seed, columns):
    g = torch.Generator().manual_seed(seed)
    found, wanted = (torch.randn(7, columns, generator=g) for _ in range(2))
    batches = [Batch(None, part, len(part)) for part in wanted.split(3)]
    scores = tasks.Regression().scores(found.split(3), batches)
    pair = (wanted.double(), found.double())
    assert scores["mae"] == pytest.approx(mean_absolute_error(*pair))
    assert scores["rmse"] == pytest.approx(math.sqrt(mean_squared_error(*pair)))
    assert scores["loss"] == pytest.approx(mean_squared_error(*pair))
    assert scores["r2"] == pytest.approx(r2_score(*pair))


def test_r2_is_torchmetrics():
    regression = pytest.importorskip("torchmetrics.regression")
    found, wanted = torch.rand(9, 2), torch.rand(9, 2)
    metric = regression.R2Score()
    metric.update(found, wanted)
    scores = tasks.Regression().scores([found], [Batch(None, wanted, 9)])
    assert scores["r2"] == pytest.approx(metric.compute().item(), rel=1e-4)


def test_the_unit_names_the_event_and_a_readout_finds_the_numbers():
    task = tasks.Regression(absolute=50, unit="cents", read=lambda o: 20.0 * o["peak"])
    was, now = {"peak": torch.tensor([1.0, 1.0])}, {"peak": torch.tensor([3.0, 4.0])}
    batch = Batch(None, torch.tensor([20, 30]), 2)
    assert task.changed(was, now, batch)["off by 50 cents"].tolist() == [False, True]
    assert task.scores([was], [batch])["mae"] == 5.0
    assert task.deviations([was], [now], [batch]) == {"deviation": 50.0}
    assert tasks.Regression(1, 0.1, unit="V").event == "off by 1 V and 0.1 of it"


def test_loss_has_a_gradient_and_needs_targets():
    found = torch.rand(3, 1, requires_grad=True)
    wanted = torch.rand(3)
    loss = tasks.Regression().loss(found, Batch(None, wanted, 3))
    (slope,) = torch.autograd.grad(loss, found)
    assert torch.allclose(slope[:, 0], 2 / 3 * (found[:, 0] - wanted))
    with pytest.raises(ConfigError, match="without targets has no loss"):
        tasks.Regression().loss(found, Batch(None, None, 3))


def test_faulty_numbers_of_any_kind_are_judged():
    task, golden = tasks.Regression(1.0), torch.tensor([[1.0], [2.0]])
    batch = Batch(None, golden, 2)
    for bad in (math.nan, math.inf):
        broken = torch.tensor([[bad], [2.0]])
        assert task.changed(golden, broken, batch)["sdc"].tolist() == [True, False]
        assert task.deviations([golden], [broken], [batch]) == {"deviation": 0.0}
        assert task.scores([broken], [batch])["r2"] in (None, -math.inf)
    wide = torch.ones(2, 5)
    assert task.changed(golden, wide, batch)["sdc"].all()
    assert set(task.scores([wide], [batch]).values()) == {None}
    assert task.deviations([], [], []) == {"deviation": None}
    alike = Batch(None, torch.ones(2, 1), 2)
    assert task.scores([golden], [alike])["r2"] is None
    assert task.scores([golden], [Batch(None, None, 2)]) == {}


@pytest.mark.parametrize(
    ("output", "targets", "message"),
    [
        (torch.ones(2).long(), None, r"Regression\(read=\)"),
        ((torch.rand(3, 2),), None, r"Regression\(read=\)"),
        (torch.rand(2, 3), torch.rand(2), "3 predictions, but 1 targets"),
    ],
)
def test_what_is_no_regression_is_told_in_one_line(output, targets, message):
    with pytest.raises(ConfigError, match=message):
        tasks.Regression().check(output, Batch(None, targets, 2))


@pytest.mark.parametrize("wrong", [(-1.0, 0.0), (0.0, math.nan)])
def test_a_tolerance_is_no_negative_number(wrong):
    with pytest.raises(ConfigError, match="tolerances are 0 or more"):
        tasks.Regression(*wrong)
