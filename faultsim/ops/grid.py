"""Kernels that run over a grid of threads: a CUDA stream, or the host standing in for one.

A kernel that meets a bad index or mask on a device skips it and sets the device's flag; whatever
waits for the device next reads it and raises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch

from faultsim.errors import FaultError, InjectionError, NativeError
from faultsim.ops._native import native

_REFUSED = {1: "an index was outside its tensor", 2: "a mask was wider than its word"}

_rehearsal: int | None = None


def on_grid(tensor: torch.Tensor) -> bool:
    """Whether kernels for this tensor, which is on the CPU or a CUDA device, run over a grid."""
    return tensor.is_cuda or _rehearsal is not None


def check_device(device: torch.device) -> None:
    """Raises InjectionError unless kernels can run there."""
    if device.type not in ("cpu", "cuda"):
        raise InjectionError(f"kernels run on the CPU or a CUDA device, not on {device.type}")
    if device.type == "cuda" and not native().with_cuda:
        raise InjectionError(
            "a CUDA device is asked for, but faultsim was built without CUDA; reinstall it with "
            "FAULTSIM_CUDA=1, or use the CPU"
        )
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InjectionError("a CUDA device is asked for, but torch finds none here")


@contextmanager
def rehearsed(shuffle: int) -> Iterator[None]:
    """Runs what a CUDA device would run on CPU tensors, on the host, for tests without a device.

    Args:
        shuffle: An order of the threads; 0 is ascending.
    """
    global _rehearsal
    before, _rehearsal = _rehearsal, shuffle
    try:
        yield
    finally:
        _rehearsal = before


def launch(name: str, device: torch.device, *arguments: Any) -> Any:
    """Runs the kernel called ``name``; asynchronous on the current stream of a CUDA device."""
    ending = "cuda" if device.type == "cuda" else "grid"
    kernel = getattr(native(), f"{name}_{ending}")
    return on_stream(device, lambda grid: kernel(*arguments, grid))


def on_stream(device: torch.device, call: Callable[[int], Any]) -> Any:
    """Calls with the grid of a device, which is the current one meanwhile."""
    if device.type != "cuda":
        return call(_rehearsal or 0)
    with torch.cuda.device(device):
        try:
            return call(torch.cuda.current_stream(device).cuda_stream)
        except RuntimeError as error:  # no kernel for this device, or a driver that is too old
            raise NativeError(
                f"{error}; if driver or device do not fit the toolkit, reinstall faultsim with one "
                "that does, or with FAULTSIM_CUDA=0"
            ) from None


@cache
def device_flag(device: torch.device) -> torch.Tensor:
    """(1,) int32 on the device, in which kernels note what they had to skip.

    Made at the first use, which must come before a CUDA graph captures any.
    """
    # A copy, which is awaited, unlike a fill: kernels of any stream find it zero.
    with torch.inference_mode(False):  # it outlives the mode in which it is first used
        return torch.tensor([0], dtype=torch.int32, device=device)


def check_device_flag(device: torch.device | str) -> None:
    """Waits for a device's current stream; raises if a kernel skipped a fault since the last check.

    Indices and masks on the host are checked before anything is written; only those that were on
    the device already can end here.

    Raises:
        FaultError: An index was outside its tensor, or a mask wider than its word.
    """
    check_device(torch.device(device))
    flag = device_flag(torch.empty(0, device=device).device)
    noted = int(flag)
    if not noted:
        return
    flag.zero_()
    reasons = " and ".join(text for bit, text in _REFUSED.items() if noted & bit)
    raise FaultError(f"faults on {flag.device} were skipped: {reasons}; check them on the host")
