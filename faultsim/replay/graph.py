"""Work captured once as a CUDA graph and replayed without Python."""

from __future__ import annotations

from collections.abc import Callable
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
        work: Done once before, so that libraries allocate what they keep, then captured.
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
    current, aside = torch.cuda.current_stream(), torch.cuda.Stream()  # type: ignore[no-untyped-call]
    aside.wait_stream(current)
    with torch.cuda.stream(aside):
        work()
    current.wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with (
        torch.cuda.stream(current),  # brings the stream back even if the capture fails
        torch.cuda.graph(graph, pool=_pool(device), stream=aside),
    ):
        work()
    return graph


@cache
def _pool(device: torch.device) -> Any:
    """Memory that all graphs share: they run one after another."""
    return torch.cuda.graph_pool_handle()
