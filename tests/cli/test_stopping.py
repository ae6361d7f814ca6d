"""What a signal asks for is done, even where its exception is swallowed on the way."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

import pytest

from faultsim.cli.stopping import Ended, raise_again, stoppable


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_swallowed_signal_is_raised_at_the_next_trial(kind):
    usual = signal.default_int_handler if kind is signal.SIGINT else signal.SIG_DFL
    before = signal.signal(kind, usual)
    try:
        with stoppable():
            raise_again()
            with suppress(KeyboardInterrupt):
                os.kill(os.getpid(), kind)
            with pytest.raises(KeyboardInterrupt) as found:
                raise_again()
            assert isinstance(found.value, Ended) == (kind is not signal.SIGINT)
        raise_again()
        assert signal.getsignal(kind) is usual
    finally:
        signal.signal(kind, before)
