"""Checksummed layers: rounding raises no alarm, and quick sums hide none that exact ones raise."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from faultsim.protections.checksums import Checked

KINDS = (torch.float64, torch.float32, torch.bfloat16, torch.float16)

LAYERS = {
    "narrow": (lambda: nn.Linear(1, 600), (5, 1)),
    "long": (lambda: nn.Linear(900, 2), (3, 4, 900)),
    "plain": (lambda: nn.Linear(24, 10, bias=False), (6, 24)),
    "grouped": (lambda: nn.Conv2d(4, 6, 3, 2, 1, groups=2), (3, 4, 9, 9)),
    "each channel": (lambda: nn.Conv2d(6, 6, 3, padding="same", groups=6), (3, 6, 7, 7)),
    "deep": (lambda: nn.Conv2d(96, 3, 3, bias=False), (2, 96, 6, 6)),
    "one axis": (lambda: nn.Conv1d(3, 50, 5, dilation=2), (4, 3, 20)),
}


def checked(
    name: str, kind: torch.dtype = torch.float32, seed: int = 0
) -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(seed)
    make, shape = LAYERS[name]
    layer = Checked(make().to(kind), recompute=False)
    return layer, torch.randn(shape).to(kind)


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("name", LAYERS)
def test_rounding_raises_no_alarm(name, kind):
    """Nor do numbers that cancel, and such as vanish or nearly overflow in the format."""
    about = torch.finfo(kind)
    for seed in range(6):
        layer, inputs = checked(name, kind, seed)
        cancelling = torch.cat([inputs, -inputs], -1)[..., : inputs.shape[-1]] * 100
        for given in (
            inputs,
            cancelling,
            inputs * about.tiny,
            inputs.clamp(-1, 1) * about.max / 4e3,
        ):
            with torch.no_grad():
                output = layer(given)
            assert torch.equal(output, layer.inner(given))
            assert output.isfinite().all()
            assert not layer.alarms


def test_autocast_rounds_operands_and_raises_no_alarm():
    for name in LAYERS:
        layer, inputs = checked(name)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            assert layer(inputs).dtype == torch.bfloat16
        assert not layer.alarms


@pytest.mark.parametrize("kind", KINDS[:3], ids=str)
@pytest.mark.parametrize("name", LAYERS)
def test_quick_sums_hide_nothing(name, kind):
    """Of changes about as large as what rounding may do, both find the same samples."""
    layer, inputs = checked(name, kind)
    least = layer._allowed(torch.empty(0, dtype=kind))
    with torch.no_grad():
        output = layer.inner(inputs)
        found = 0
        for number, factor in enumerate(torch.logspace(-2, 6, 60)):
            struck = output.clone()
            flat = struck[number % len(struck)].view(-1)
            flat[number % len(flat)] += factor * least * output.abs().max()
            wrong = layer._wrong(inputs, struck)
            assert layer._suspicious(inputs, struck) or not wrong.any()
            assert wrong.nonzero().flatten().tolist() in ([], [number % len(struck)])
            found += int(wrong.any())
        assert 5 < found < 60
        for value in (torch.inf, -torch.inf, torch.nan):
            output.view(-1)[0] = value
            assert layer._suspicious(inputs, output)
            assert layer._wrong(inputs, output)[0]


def test_without_a_fault_sums_are_quick(monkeypatch):
    layer, inputs = checked("grouped")
    monkeypatch.setattr(Checked, "_wrong", None)
    with torch.no_grad():
        assert torch.equal(layer(inputs), layer.inner(inputs))


def test_words_of_its_own_are_no_false_alarm():
    """A struck sum is told from a struck product: the others agree."""
    layer, inputs = checked("grouped")
    for words in (layer.quick, layer.bias_quick, layer.total):
        kept = words.clone()
        words.view(-1)[0] += 1
        with torch.no_grad():
            layer(inputs)
        words.copy_(kept)
        assert not layer.alarms
    layer.inner.weight.data.view(-1)[0] += 1
    layer(inputs)
    assert layer.alarms


def test_no_samples_raise_no_alarm():
    layer, inputs = checked("plain")
    assert layer(inputs[:0]).shape == (0, 10)
    assert not layer.alarms
