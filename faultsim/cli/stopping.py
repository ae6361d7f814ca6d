"""Asked to end by a scheduler or a closing terminal, a command stops as after Ctrl-C."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

ASKED = (signal.SIGTERM, signal.SIGHUP)

_raised: list[KeyboardInterrupt] = []
"""What was raised since a command began, and may have been swallowed on its way."""


class Ended(KeyboardInterrupt):
    """The command was asked to end.

    Attributes:
        signal: By which.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.signal = signal.Signals(number)


@contextmanager
def stoppable() -> Iterator[None]:
    """Raises :class:`Ended` for the first signal meanwhile; what is ignored (nohup) still is."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {each: signal.getsignal(each) for each in ASKED}
    ours = [each for each in ASKED if before[each] is signal.SIG_DFL]

    def stop(number: int, frame: FrameType | None) -> None:
        for each in ours:  # a terminal says so several times, and ending takes a moment
            signal.signal(each, signal.SIG_IGN)
        _raised.append(Ended(number))
        raise _raised[-1]

    def interrupt(number: int, frame: FrameType | None) -> None:
        _raised.append(KeyboardInterrupt())
        raise _raised[-1]

    by_key = signal.getsignal(signal.SIGINT)
    try:
        for each in ours:
            signal.signal(each, stop)
        if by_key is signal.default_int_handler:
            signal.signal(signal.SIGINT, interrupt)
        yield
    except Exception:  # of what was interrupted: a class that was being made gives a RuntimeError
        raise_again()
        raise
    finally:
        for each in ours:
            signal.signal(each, before[each])
        signal.signal(signal.SIGINT, by_key)
        _raised.clear()


def raise_again() -> None:
    """Raises what a signal raised, where a finaliser or a library swallowed it: called by trial."""
    if _raised:
        raise _raised[-1]


def say_last(text: str) -> None:
    """To standard error, where there still is one."""
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        forget_output()


def forget_output() -> None:
    """Sends to nowhere what nobody reads; else Python would fail at it once more at the end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(nowhere, stream.fileno())
