"""On a device a run has taken its time when the device is done."""

from __future__ import annotations

import torch

from faultsim.run import timing


def test_a_device_is_waited_for_before_and_after(monkeypatch):
    events, clock = [], iter([1.0, 4.0])
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: events.append("wait"))
    monkeypatch.setattr(timing.time, "perf_counter", lambda: events.append("clock") or next(clock))
    found, seconds = timing.timed(lambda: events.append("run") or "made", torch.device("cuda", 0))
    assert (found, seconds) == ("made", 3.0)
    assert events == ["wait", "clock", "run", "wait", "clock"]


def test_the_processor_is_not_asked_to_wait(monkeypatch):
    monkeypatch.setattr(torch.cuda, "synchronize", None)
    assert timing.timed(lambda: 5, torch.device("cpu"))[0] == 5
