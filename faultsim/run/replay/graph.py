"""Work captured once as a CUDA graph and replayed without Python."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Protocol

import torch

Work = Callable[[], None]


class Graph(Protocol):
    """What was captured."""

    def replay(self) -> None: ...


class Rehearsal:
    """Stands in for a graph where there is no CUDA device: does the work again."""

    def __init__(self, work: Work) -> None:
        self.replay = work


def capture(work: Work, device: torch.device) -> Graph:
    """Captures what ``work`` launches on a device.

    Args:
        work: Done twice before, so that libraries allocate what they keep, then captured.
        device: Where it runs; on the CPU the work is rehearsed.

    Raises:
        RuntimeError: The work waits for the device, or does what no graph can hold.
    """
    if device.type != "cuda":
        work()
        return Rehearsal(work)
    with torch.cuda.device(device):
        return _captured(work, device)


def _captured(work: Work, device: torch.device) -> Graph:
    current, aside = torch.cuda.current_stream(), _stream(device)
    aside.wait_stream(current)
    with torch.cuda.stream(aside):
        work()
        with _no_waiting():  # torch's allocator does not recover from a capture that fails
            work()
    current.wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    capture = torch.cuda.graph(
        graph, pool=_pool(device), stream=aside, capture_error_mode="thread_local"
    )
    with torch.cuda.stream(current), capture:  # the former brings the stream back in any case
        work()
    return graph


@contextmanager
def _no_waiting() -> Iterator[None]:
    """Raises where the host waits for the device."""
    before = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that torch calls this mode a prototype
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(before)


@cache
def _stream(device: torch.device) -> torch.cuda.Stream:
    """Beside the current one; always the same, for it keeps memory of its own."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


@cache
def _pool(device: torch.device) -> Any:
    """Memory that all graphs share: they run one after another."""
    return torch.cuda.graph_pool_handle()
