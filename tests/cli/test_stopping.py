"""What a signal asks for is done, even where its exception is swallowed on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
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


def test_what_nobody_reads_any_more_has_not_ended_well():
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "faultsim", "schema", "manifest"]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")
