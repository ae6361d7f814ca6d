"""Where torch computes, and on how many threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from faultsim.errors import ConfigError


def choose_device(wanted: str) -> torch.device:
    """The device of a ``--device`` setting: ``auto`` is CUDA where there is one.

    Raises:
        ConfigError: CUDA is wanted and there is none.
    """
    if wanted == "cuda" and not torch.cuda.is_available():
        raise ConfigError("--device cuda, but torch finds no CUDA device here")
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(wanted)


@contextmanager
def reproducibly(threads: int) -> Iterator[None]:
    """Runs torch on so many threads, and CUDA's convolutions in whole float32.

    torch lets them round to ten bits of mantissa (TensorFloat-32), where flips of lower bits would
    vanish, and sum gradients in any order, so that a ranking could differ from run to run. And it
    fuses an encoder layer of a Transformer unless one of its modules has hooks, which armed faults
    have: both runs go the way that is not fused.

    Args:
        threads: 0 leaves them as they are.
    """
    cudnn = torch.backends.cudnn
    exact = {"enabled": cudnn.enabled, "benchmark": False, "deterministic": True}
    with use_threads(threads), cudnn.flags(**exact, allow_tf32=False), _without_fused_layers():
        yield


@contextmanager
def _without_fused_layers() -> Iterator[None]:
    mha = torch.backends.mha
    before = mha.get_fastpath_enabled()
    mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        mha.set_fastpath_enabled(before)


@contextmanager
def seeded(seed: int = 0) -> Iterator[None]:
    """Draws torch's random numbers from a seed meanwhile; after, they go on as if nothing had been.

    What a factory makes of them, a model without a checkpoint say, is then the same each time, and
    a campaign can be resumed.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


@contextmanager
def use_threads(n: int) -> Iterator[None]:
    """Runs torch on ``n`` threads meanwhile; 0 leaves them as they are."""
    before = torch.get_num_threads()
    if n:
        torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)
