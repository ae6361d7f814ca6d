"""What computes, and how."""

from __future__ import annotations

import torch

from faultsim.devices import reproducibly


def test_convolutions_on_cuda_are_exact_and_repeat_meanwhile():
    cudnn, threads = torch.backends.cudnn, torch.get_num_threads()
    before = (cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark)
    with reproducibly(1):
        assert not cudnn.allow_tf32
        assert cudnn.deterministic
        assert not cudnn.benchmark
        assert torch.get_num_threads() == 1
    assert (cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark) == before
    assert torch.get_num_threads() == threads
