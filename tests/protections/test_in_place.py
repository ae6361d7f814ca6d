"""ECC in the memory of int8 weights, against every flip of one and of two bits."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch
from torch import nn

import faultsim
from faultsim.ecc import CORRECTED, DETECTED
from faultsim.errors import ConfigError
from faultsim.faults import Fault, FaultSet
from faultsim.protections import Detected
from faultsim.protections.in_place import decoded, encoded


class Int8Linear(nn.Module):
    """A layer whose weights lie in memory as int8."""

    def __init__(self, given: int, outputs: int) -> None:
        super().__init__()
        weight = torch.randint(-64, 64, (outputs, given), dtype=torch.int8)
        self.register_buffer("weight", weight)
        self.scale = nn.Parameter(torch.full((outputs,), 0.02))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.linear(x, self.weight.float()) * self.scale


@pytest.fixture
def work() -> faultsim.Workload:
    torch.manual_seed(0)
    model = nn.Sequential(Int8Linear(6, 10), nn.ReLU(), Int8Linear(10, 3)).eval()
    data = torch.randn(5, 6), torch.arange(5) % 3
    return faultsim.Workload(model, data, faultsim.tasks.Classification(3))


def output(work: faultsim.Workload, *faults: tuple[int, int], name: str = "0.weight"):
    space = faultsim.FaultSpace(work.model, integers=True)
    place = work.around.place(name) if work.around else name
    chosen = [Fault(place, index, 1 << bit) for index, bit in faults]
    with torch.no_grad():
        if not chosen:
            return work.run(work.read("test")[0].inputs)
        with faultsim.inject(work.model, FaultSet.of(chosen, space)):
            return work.run(work.read("test")[0].inputs)


def test_every_flip_of_one_bit_is_corrected_and_of_two_detected():
    word = torch.randint(-64, 64, (1, 8), dtype=torch.int8).view(torch.uint8)
    word[0, 7] = 100  # the last may be any
    stored = encoded(word)
    assert torch.equal(decoded(stored).data, word)
    flips = torch.zeros(64, 8, dtype=torch.uint8)
    for place in range(64):
        flips[place, place // 8] = 1 << place % 8
    single = decoded(stored ^ flips)
    assert bool((single.status == CORRECTED).all())
    assert torch.equal(single.data, word.expand(64, -1))
    pairs = torch.tensor(list(combinations(range(64), 2)))
    double = decoded(stored ^ flips[pairs[:, 0]] ^ flips[pairs[:, 1]])
    assert bool((double.status == DETECTED).all())


def test_three_flips_are_miscorrected_or_detected_as_an_oracle_says():
    stored = encoded(torch.zeros(1, 8, dtype=torch.uint8))
    triples = torch.tensor(list(combinations(range(64), 3)))[::37]
    flips = torch.zeros(64, 8, dtype=torch.uint8)
    for place in range(64):
        flips[place, place // 8] = 1 << place % 8
    found = decoded(stored ^ flips[triples[:, 0]] ^ flips[triples[:, 1]] ^ flips[triples[:, 2]])
    assert bool((found.status == CORRECTED).all())  # all odd syndromes are columns: (64,57) is full
    assert bool((found.data != 0).any(1).any())


def test_memory_is_not_one_byte_more_and_outputs_are_the_same(work):
    safe = faultsim.protect(work, "in-place")
    assert torch.equal(output(safe), output(work))
    sizes = [sum(b.nbytes for b in each.model.buffers()) for each in (work, safe)]
    assert sizes[0] == sizes[1]


def test_every_single_flip_of_whole_words_is_corrected_in_a_model(work):
    safe, golden = faultsim.protect(work, "in-place"), output(work)
    for index in range(56):
        for bit in (0, 6, 7):
            assert torch.equal(output(safe, (index, bit)), golden)
    assert not torch.equal(output(safe, (57, 7)), golden)  # of 60 bytes four fill no word
    with pytest.raises(Detected):
        output(safe, (0, 1), (1, 1))
    assert torch.equal(output(safe, (0, 1), (8, 1)), golden)


def test_large_weights_are_refused(work):
    work.model[0].weight[0, 0] = 64
    with pytest.raises(ConfigError, match=r"1 weights that .* outside \[-64, 63\]"):
        faultsim.protect(work, "in-place")
    with pytest.raises(ConfigError, match="no int8 weight"):
        faultsim.protect(work, "in-place:*scale*")


@pytest.mark.parametrize("name", ["secded", "parity", "chipkill"])
def test_codes_beside_the_memory_take_int8_weights_too(work, name):
    safe, golden = faultsim.protect(work, name), output(work)
    assert torch.equal(output(safe), golden)
    if name == "parity":
        with pytest.raises(Detected):
            output(safe, (3, 7))
    else:
        assert torch.equal(output(safe, (3, 7)), golden)


def test_radar_loses_the_group_of_an_int8_weight(work):
    safe = faultsim.protect(work, "radar")
    work.model[0].weight.zero_()
    assert torch.equal(output(safe, (3, 7)), output(work))


@pytest.mark.parametrize("names", ["secded,radar", "in-place,secded"])
def test_the_words_of_one_protection_are_no_weights_of_the_next(work, names):
    safe = faultsim.protect(work, names)
    assert torch.equal(output(safe), output(work))
    assert torch.equal(output(safe, (3, 7)), output(work))
