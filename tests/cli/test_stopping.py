"""What a signal asks for is done, even where its exception is swallowed on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress

import pytest

from faultsim.cli.stopping import Ended, raise_again, stoppable
from faultsim.errors import ConfigError


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


@pytest.mark.parametrize("error", [RuntimeError("__set_name__"), ConfigError("of a sort")])
@pytest.mark.parametrize("pressed", [True, False])
def test_an_error_that_an_interrupt_became_is_the_interrupt(error, pressed):
    def fail() -> None:
        with suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT if pressed else 0)
        raise error

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt if pressed else type(error)), stoppable():
            fail()
    finally:
        signal.signal(signal.SIGINT, before)


INTERRUPTED = """
import runpy, sys

class Interrupted:
    def find_spec(self, name, path, target=None):
        if name == {module!r}:
            {interrupt}

sys.meta_path.insert(0, Interrupted())
sys.argv = ["faultsim", "schema", "manifest"]
"""
ENTRIES = {
    "module": "runpy.run_module('faultsim', run_name='__main__')",
    "script": "from faultsim.cli import main; sys.exit(main())",
}


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize(
    ("module", "interrupt"),
    [
        ("faultsim.cli.main", "raise KeyboardInterrupt"),
        ("tyro", "raise KeyboardInterrupt"),
        ("tyro", "raise RuntimeError from KeyboardInterrupt()"),
        ("faultsim.cli.schema", "raise KeyboardInterrupt"),
    ],
)
def test_ctrl_c_while_modules_load_is_one_line(entry, module, interrupt):
    code = INTERRUPTED.format(module=module, interrupt=interrupt) + ENTRIES[entry]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "faultsim: interrupted\n")


def test_what_nobody_reads_any_more_has_not_ended_well():
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "faultsim", "schema", "manifest"]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")
