"""Which bits fail: Philox-4x32-10 streams that no device, platform or thread count changes.

Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC'11.
"""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real

import torch

from faultsim.errors import FaultError, shown
from faultsim.ops._native import native
from faultsim.ops.grid import check_device, check_device_flag, launch, on_grid

LAST_STREAM = (1 << 31) - 1
"""Of a trial; streams of random bits are counted down from it, those of places up from 0."""


def sample_uniform(
    population: int, n: int, *, seed: int, trial: int = 0, stream: int = 0
) -> torch.Tensor:
    """``n`` distinct integers, uniform over ``range(population)``, in the order drawn.

    64-bit multiply-high with rejection, so without modulo bias; fewer are a prefix of more.

    Args:
        population: Number of candidates, at least ``n``.
        n: Number of draws.
        seed: 64-bit key of the stream.
        trial: Below 2^32.
        stream: Below 2^31; streams of one trial are independent.

    Returns:
        (n,) int64.

    Raises:
        FaultError: More draws than candidates, or a key out of range.
    """
    return sample_uniform_each(population, n, [trial], seed=seed, stream=stream)[0]


def sample_uniform_each(
    population: int, n: int, trials: Sequence[int], *, seed: int, stream: int = 0
) -> torch.Tensor:
    """What :func:`sample_uniform` draws for each of several trials.

    Args:
        population: As for :func:`sample_uniform`, as are the others and the errors.
        n: Number of draws in each trial.
        trials: Their numbers.
        seed: 64-bit key of the stream.
        stream: Below 2^31.

    Returns:
        (trials, n) int64.
    """
    if not _is_whole(n) or not 0 <= n <= population:
        raise FaultError(f"{shown(n)} faults cannot be drawn from {population:,} bits")
    out = torch.empty((len(trials), n), dtype=torch.int64, device="cpu")
    draw, start = native().sample_uniform, out.data_ptr()
    for row, trial in enumerate(trials):
        _check_key(seed, trial, stream)
        draw(population, n, seed, trial, stream, start + row * n * out.itemsize)
    return out


def random_words(n: int, seed: int, trial: int, stream: int) -> torch.Tensor:
    """(n,) int64, 64 random bits each; fewer are a prefix of more.

    Args:
        n: Number of draws.
        seed: As for :func:`sample_uniform`.
        trial: As for :func:`sample_uniform`.
        stream: As for :func:`sample_uniform`.
    """
    _check_key(seed, trial, stream)
    out = torch.empty(n, dtype=torch.int64, device="cpu")
    native().random_words(n, seed, trial, stream, out.data_ptr())
    return out


def sample_bit_errors(
    population: int,
    rate: float,
    *,
    seed: int,
    trial: int = 0,
    stream: int = 0,
    device: torch.device | str = "cpu",
) -> torch.Tensor:
    """Each of ``range(population)`` independently with probability ``rate``, ascending.

    Geometric skips over blocks of 2^20, so that time follows the number of errors. Each block has
    a counter of its own, and the logarithm is ours, so every platform and device draws the same.

    Args:
        population: Number of candidates, below 2^52.
        rate: Bit-error rate in [0, 1].
        seed: As for :func:`sample_uniform`.
        trial: As for :func:`sample_uniform`.
        stream: As for :func:`sample_uniform`.
        device: Where to draw them; a CUDA device is waited for once, for their number.

    Returns:
        (n,) int64 on the device, where n is binomial.

    Raises:
        FaultError: A rate, population or key out of range, or a fault that was skipped on the
            device; see :func:`faultsim.ops.check_device_flag`.
        InjectionError: A device that is not the CPU or CUDA, or for which faultsim was not built.
    """
    _check_key(seed, trial, stream)
    if not isinstance(rate, Real) or not 0 <= rate <= 1:
        raise FaultError(f"bit-error rate {shown(rate)} is not between 0 and 1")
    if not 0 <= population < 1 << 52:
        raise FaultError(f"cannot sample errors over {population} bits")
    device = torch.device(device)
    check_device(device)
    draw = population, rate, seed, trial, stream
    if on_grid(torch.empty(0, device=device)):
        return _on_grid(draw, device)
    return torch.from_numpy(native().sample_bit_errors(*draw))


def _on_grid(draw: tuple[int, float, int, int, int], device: torch.device) -> torch.Tensor:
    blocks = -(-draw[0] // native().block_bits)
    counts = torch.zeros(blocks, dtype=torch.int64, device=device)
    launch("count_bit_errors", device, *draw, counts.data_ptr())
    ends = counts.cumsum(0)
    total = int(ends[-1]) if blocks else 0
    check_device_flag(device)
    errors = torch.empty(total, dtype=torch.int64, device=device)
    places = counts.data_ptr(), ends.data_ptr(), errors.data_ptr()
    launch("write_bit_errors", device, *draw, *places)
    return errors


def _check_key(seed: int, trial: int, stream: int) -> None:
    for name, value, bits in (("seed", seed, 64), ("trial", trial, 32), ("stream", stream, 31)):
        if not _is_whole(value) or not 0 <= value < 1 << bits:
            raise FaultError(f"{name} {shown(value)} is not between 0 and 2^{bits} - 1")


def _is_whole(value: object) -> bool:
    if type(value) is int:  # nearly always, in every draw
        return True
    return isinstance(value, Integral) and not isinstance(value, bool)
