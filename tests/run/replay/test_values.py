"""Copies that kernels cannot tell from the original, and stand-ins that cannot be read."""

from __future__ import annotations

import pytest
import torch

from faultsim.run.replay.values import Absent, Unkept, absent, can_be_kept, copied, nbytes

BASE = torch.arange(240, dtype=torch.float32)
VIEWS = {
    "plain": BASE.view(10, 24),
    "transposed": BASE.view(10, 24).t(),
    "gaps": BASE.view(10, 24)[:, 3:20:2],
    "channels last": BASE.view(2, 5, 4, 6).to(memory_format=torch.channels_last),
    "expanded": BASE[5:6].expand(4, 3),
    "scalar": BASE[7],
    "empty": BASE[:0],
    "odd offset": BASE[17:40],
    "half": BASE.half()[3:50],
}


@pytest.mark.parametrize("name", VIEWS)
def test_copies_have_values_strides_and_alignment(name):
    view = VIEWS[name]
    copy = copied(view)
    assert torch.equal(copy, view)
    assert copy.stride() == view.stride()
    assert copy.data_ptr() % 64 == view.data_ptr() % 64 or not view.numel()
    assert copy.untyped_storage().data_ptr() != view.untyped_storage().data_ptr()
    assert nbytes(view) <= copy.untyped_storage().nbytes() <= nbytes(view) + 64


def test_stand_ins_show_their_kind_and_nothing_else():
    tensor = torch.rand(3, 4, dtype=torch.float64)
    stand_in = absent({"a": [tensor, 3]})["a"][0]
    assert isinstance(stand_in, Absent)
    assert stand_in.shape == (3, 4)
    assert stand_in.dtype == tensor.dtype
    assert stand_in.untyped_storage().nbytes() == 8
    for read in (torch.relu, torch.Tensor.max, torch.Tensor.contiguous, lambda t: t + 1):
        with pytest.raises(Unkept):
            read(stand_in)


def test_only_plain_tensors_and_constants_can_be_kept():
    tensor = torch.rand(2)
    assert can_be_kept((tensor, {"n": 3, "none": None, "empty": (), "more": [tensor]}))
    nested = torch.nested.nested_tensor([tensor, tensor[:1]])
    odd = (nested, torch.rand(2, dtype=torch.complex64), torch.eye(2).to_sparse(), object(), len)
    graph = (tensor.requires_grad_() * 2,)
    for other in (*odd, *graph, [], {}, [3], {"n": 3}):  # who holds a list may fill it
        assert not can_be_kept([torch.rand(2), other])
