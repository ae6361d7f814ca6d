"""The bits whose flip changes the loss most, to first order."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import torch

from faultsim.dtypes import FORMATS
from faultsim.errors import FaultError, FormatError
from faultsim.formats import BitSpec, mask_of
from faultsim.ops._native import native
from faultsim.ops.grid import check_device, check_device_flag, device_flag, launch, on_grid

_FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
DIRECTIONS = (None, "0to1", "1to0")


class RankedBits(NamedTuple):
    """The k best bits: score descending, ties by (index, bit).

    Attributes:
        score: (k,) float64.
        index: (k,) int64, row-major positions.
        bit: (k,) int64.
    """

    score: torch.Tensor
    index: torch.Tensor  # type: ignore[assignment]  # shadows tuple.index, as the field's own word
    bit: torch.Tensor


def rank_bits(
    weight: torch.Tensor,
    grad: torch.Tensor,
    k: int,
    *,
    bits: BitSpec = "all",
    finite_only: bool = True,
    direction: str | None = None,
) -> RankedBits:
    """The exact top ``k`` over every bit by ``|g · (w′ − w)|``, in double.

    w′ is w with one bit flipped. One pass at about the speed of reading the two tensors, on
    ``torch.get_num_threads()`` threads or a CUDA device, which is waited for; the result depends on
    neither.

    Args:
        weight: float64, float32, float16 or bfloat16, on the CPU or a CUDA device.
        grad: Gradient of the loss, of the same dtype and shape, on the same device.
        k: How many; fewer come back where fewer candidates exist.
        bits: The bits that may flip, as :meth:`faultsim.formats.Format.select` reads them.
        finite_only: Leave out flips of or into an infinity or NaN; otherwise they score infinity.
        direction: ``"0to1"`` or ``"1to0"`` keeps flips of that direction only.

    Returns:
        The best bits, on the CPU.

    Raises:
        FaultError: NaN gradients, shapes, dtypes or devices that differ, k below 1, unknown
            direction, or a fault that was skipped on the device; see
            :func:`faultsim.ops.check_device_flag`.
        FormatError: A dtype that is not one of the four, or bits it does not have.
        InjectionError: A device that is not the CPU or CUDA, or for which faultsim was not built.
    """
    if weight.dtype not in _FLOATS:
        raise FormatError(f"{weight.dtype} weights cannot be ranked by gradient; floats can")
    if grad.dtype != weight.dtype or grad.shape != weight.shape:
        raise FaultError(
            f"gradient is {grad.dtype} {tuple(grad.shape)}, weight {weight.dtype} "
            f"{tuple(weight.shape)}; they must agree"
        )
    if grad.device != weight.device:
        raise FaultError(f"gradient is on {grad.device}, weight on {weight.device}; move one")
    check_device(weight.device)
    if k < 1:
        raise FaultError(f"k must be at least 1, not {k}")
    if direction not in DIRECTIONS:
        raise FaultError(f"direction {direction!r} is not 0to1, 1to0 or None")
    words, slopes = weight.detach().contiguous(), grad.detach().contiguous()
    job = (
        words.data_ptr(),
        slopes.data_ptr(),
        words.numel(),
        _FLOATS.index(words.dtype),
        _named(words.dtype, bits) if isinstance(bits, str) else _chosen(words.dtype, bits),
        finite_only,
        DIRECTIONS.index(direction),
        min(k, max(1, words.numel() * 64)),
    )
    rank = _on_grid if on_grid(words) else _on_host
    score, index, bit, nan = rank(job, words.device)
    if nan >= 0:
        raise FaultError(f"gradient is NaN at element {nan}; a ranking would mean nothing")
    return RankedBits(torch.from_numpy(score), torch.from_numpy(index), torch.from_numpy(bit))


def _on_host(job: tuple[Any, ...], _: torch.device) -> Any:
    return native().rank_bits(*job, torch.get_num_threads())


def _on_grid(job: tuple[Any, ...], device: torch.device) -> Any:
    # The more room, the fewer passes, and the fewer words are read twice.
    k = job[-1]
    capacity = min(128 * k, 8 * k + 32768) + 4096
    size = native().rank_buffer_bytes(k, capacity)
    buffer = torch.empty(size, dtype=torch.uint8, device=device)
    room = buffer.data_ptr(), capacity, device_flag(buffer.device).data_ptr()
    result, skipped = launch("rank_bits", device, *job, *room)
    if skipped:
        check_device_flag(device)
    return result


@cache
def _named(dtype: torch.dtype, bits: str) -> int:
    return _chosen(dtype, bits)


def _chosen(dtype: torch.dtype, bits: BitSpec) -> int:
    return mask_of(FORMATS[dtype].select(bits)) & (1 << 64) - 1
