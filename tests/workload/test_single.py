"""One sample of a batch, whatever the batch is made of."""

import pytest
import torch

from faultsim import Batch
from faultsim.errors import ConfigError
from faultsim.workload.single import single

ROWS = torch.arange(12.0).reshape(4, 3)


@pytest.mark.parametrize(
    ("inputs", "wanted"),
    [
        (ROWS, ROWS[2:3]),
        ((ROWS, torch.ones(5)), (ROWS[2:3], torch.ones(5))),
        ({"ids": ROWS, "scale": 2.0}, {"ids": ROWS[2:3], "scale": 2.0}),
        ([torch.ones(n) for n in (5, 6, 7, 8)], [torch.ones(7)]),
    ],
)
def test_a_sample_is_its_row_of_every_tensor_or_its_item_of_a_list(inputs, wanted):
    one = single(Batch(inputs, torch.arange(4), 4), 2)
    torch.testing.assert_close(one.inputs, wanted)
    assert (one.size, one.targets.tolist()) == (1, [2])


def test_a_pair_in_a_list_is_not_taken_for_two_samples():
    pair = [torch.ones(2, 3), torch.zeros(2)]
    first, second = single(Batch(pair, None, 2), 1).inputs
    assert (first.shape, second.shape) == ((1, 3), (1,))


def test_a_single_sample_stays_what_it_is():
    batch = Batch("anything", None, 1)
    assert single(batch, 0) is batch


def test_what_has_no_samples_cannot_be_cut():
    with pytest.raises(ConfigError, match="batches of one sample"):
        single(Batch({"ids": torch.ones(7)}, None, 3), 0)
