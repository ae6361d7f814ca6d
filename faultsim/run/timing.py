"""How long a run takes, where neighbours on the machine should hardly show."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import torch

T = TypeVar("T")


def timed(run: Callable[[], T], device: torch.device) -> tuple[T, float]:
    """What a run returns, and its seconds.

    Of the processor, all threads of the process; on a CUDA device those until it is done, for what
    is launched takes no time.
    """
    on_device = device.type == "cuda"
    clock = time.perf_counter if on_device else time.process_time
    if on_device:
        torch.cuda.synchronize(device)
    start = clock()
    found = run()
    if on_device:
        torch.cuda.synchronize(device)
    return found, clock() - start
