"""Interleaved ratios, kept in ``extra_info`` and printed below the table."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pytest
import torch

Call = Callable[[], object]

GOALS = "goals"
"""Where the most that each ratio should be is kept, beside the ratios."""


def seconds(call: Call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def device_seconds(call: Call) -> float:
    """Between two events on the current CUDA stream."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    call()
    end.record()
    end.synchronize()
    return float(start.elapsed_time(end)) / 1e3


@dataclass(frozen=True)
class Ratio:
    """Median of paired time ratios, with a 95 % bootstrap interval."""

    value: float
    low: float
    high: float
    pairs: int

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}] over {self.pairs} pairs"


def paired_ratio(
    call: Call, reference: Call, pairs: int, timer: Callable[[Call], float] = seconds
) -> Ratio:
    """Times ``call`` and ``reference`` in turn, so that what slows the machine slows both."""
    call(), reference()
    ratios = []
    for pair in range(pairs):
        first, second = (call, reference) if pair % 2 else (reference, call)
        one, other = timer(first), timer(second)
        ratios.append(one / other if pair % 2 else other / one)
    rng = np.random.default_rng(0)
    medians = np.median(rng.choice(ratios, (2000, pairs)), axis=1)
    low, high = np.quantile(medians, [0.025, 0.975])
    return Ratio(float(np.median(ratios)), float(low), float(high), pairs)


def note(benchmark, name: str, ratio: Ratio, goal: float | None) -> None:
    """Keeps a ratio, and the most that it should be."""
    benchmark.extra_info[name] = str(ratio)
    if goal is not None:
        benchmark.extra_info.setdefault(GOALS, {})[name] = goal


@pytest.fixture
def against(benchmark) -> Callable[..., Ratio]:
    """Benchmarks a call, and notes its ratio to what bounds it."""

    def measure(
        call: Call, reference: Call, name: str, pairs: int = 15, goal: float | None = None
    ) -> Ratio:
        ratio = paired_ratio(call, reference, pairs)
        note(benchmark, name, ratio, goal)
        benchmark.pedantic(call, rounds=5, warmup_rounds=1)
        return ratio

    return measure


@pytest.fixture
def on_device(benchmark) -> Callable[..., Ratio]:
    """Times a call on a CUDA device by events, and notes its ratio to what bounds it.

    Also the rates of both, where the number of bytes that each moves is given. ``goal`` is the most
    that the ratio should be.
    """

    def measure(
        call: Call,
        reference: Call,
        name: str,
        moved: int = 0,
        pairs: int = 15,
        goal: float | None = None,
    ) -> Ratio:
        ratio = paired_ratio(call, reference, pairs, device_seconds)
        for what, run in (("", call), (" of the limit", reference)) if moved else ():
            fastest = min(device_seconds(run) for _ in range(5))
            benchmark.extra_info[f"GB/s{what}"] = f"{moved / fastest / 1e9:.1f}"
        note(benchmark, name, ratio, goal)
        benchmark.extra_info["device"] = torch.cuda.get_device_name()
        benchmark.pedantic(lambda: device_seconds(call), rounds=5, warmup_rounds=1)
        return ratio

    return measure


@pytest.fixture
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def pytest_terminal_summary(terminalreporter) -> None:
    session = getattr(terminalreporter.config, "_benchmarksession", None)
    rows = (
        [(b.name, i) for b in session.benchmarks for i in b.extra_info.items() if i[0] != GOALS]
        if session
        else []
    )
    if rows:
        terminalreporter.section("ratios: median of interleaved pairs, 95 % bootstrap interval")
    for name, (what, ratio) in rows:
        terminalreporter.write_line(f"{name:62} {what}: {ratio}")
