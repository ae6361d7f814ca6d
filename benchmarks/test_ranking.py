"""The ranking against merely reading the weights and gradients."""

from __future__ import annotations

import pytest
import torch

from faultsim import ops
from faultsim.dtypes import FORMATS
from faultsim.formats import mask_of
from faultsim.ops._native import native

DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16]
K = 100


def weights_and_gradients(dtype: torch.dtype, n: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(n, generator=generator) * 0.05
    return weight.to(dtype), (torch.randn(n, generator=generator) * 1e-3).to(dtype)


def read(*tensors: torch.Tensor) -> None:
    for tensor in tensors:
        words = tensor.nbytes // 8
        native().read_limit(tensor.data_ptr(), words, torch.get_num_threads())


@pytest.mark.parametrize("n", [10**6, 10**7, 4 * 10**7])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_ranking_at_memory_speed(against, one_thread, dtype, n):
    weight, grad = weights_and_gradients(dtype, n)
    against(lambda: ops.rank_bits(weight, grad, K), lambda: read(weight, grad), "rank / read")


def rank(weight: torch.Tensor, grad: torch.Tensor) -> None:
    ops.rank_bits(weight, grad, K)


@pytest.mark.parametrize("call", [read, rank])
def test_two_threads(against, call):
    weight, grad = weights_and_gradients(torch.float32, 4 * 10**7)

    def with_threads(threads: int) -> None:
        torch.set_num_threads(threads)
        call(weight, grad)

    against(lambda: with_threads(2), lambda: with_threads(1), "two threads / one")


@pytest.mark.parametrize("n", [10**6, 10**7])
def test_ascending_scores(against, one_thread, n):
    weight, grad = weights_and_gradients(torch.float32, n)
    order = torch.argsort((weight * grad).abs())
    rising = weight[order].contiguous(), grad[order].contiguous()
    against(
        lambda: ops.rank_bits(*rising, K),
        lambda: ops.rank_bits(weight, grad, K),
        "ascending / random order",
    )


def plain_torch(weight: torch.Tensor, grad: torch.Tensor, k: int) -> torch.Tensor:
    """The formulation people write: every bit of every word, then one topk."""
    words, slope, before = weight.view(torch.int32), grad.double(), weight.double()
    scores = []
    for bit in FORMATS[weight.dtype].select():
        struck = (words ^ mask_of([bit])).to(torch.int32).view(torch.float32).double()
        score = (slope * (struck - before)).abs()
        scores.append(torch.where(struck.isfinite(), score, -1))
    return torch.stack(scores).flatten().topk(k).values


def test_against_plain_torch(against, one_thread):
    weight, grad = weights_and_gradients(torch.float32, 10**6)
    assert torch.equal(plain_torch(weight, grad, K), ops.rank_bits(weight, grad, K).score)
    against(
        lambda: ops.rank_bits(weight, grad, K),
        lambda: plain_torch(weight, grad, K),
        "rank / plain torch",
        pairs=5,
    )
