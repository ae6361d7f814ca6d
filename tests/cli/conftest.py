"""The command as a process of its own that can be killed, without importing torch for each."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

START = """
import json, os, signal, sys
from faultsim.cli import main
import faultsim.cli.campaign, faultsim.cli.study, faultsim.campaign, faultsim.study, scipy.stats

def run(output, setup, argv):
    os.setsid()
    for number in (0, 1, 2):  # a terminal becomes that of the session
        os.dup2(os.open(output, os.O_RDWR), number)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for ended_by in (signal.SIGTERM, signal.SIGHUP):  # nohup, of the tests, has it ignored
        signal.signal(ended_by, signal.SIG_DFL)
    exec(setup, {})
    sys.exit(main(argv))

for line in sys.stdin:
    told, *task = json.loads(line)
    if not os.fork():  # a parent for each, to say how it ended
        pid = os.fork()
        if not pid:
            run(*task)
        print(pid, flush=True)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        with open(told + ".part", "w") as file:
            file.write(str(code))
        os.rename(told + ".part", told)
        os._exit(0)
    os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG)
"""


class Started:
    """A command at work, in a session of its own."""

    def __init__(self, pid: int, told: Path, output: int) -> None:
        self.pid, self._told, self._output = pid, told, output

    @property
    def running(self) -> bool:
        return not self._told.exists()

    def wait(self) -> int:
        """Its exit code, negative for a signal."""
        patience = time.monotonic() + 120
        while self.running:
            if time.monotonic() > patience:
                os.kill(self.pid, signal.SIGKILL)
                text = os.read(self._output, 1 << 16).decode(errors="replace")
                pytest.fail(f"the command does not end: {text}")
            time.sleep(0.002)
        return int(self._told.read_text())

    def printed(self) -> str:
        """All that it printed, when it has ended."""
        self.wait()
        text = b""
        with suppress(BlockingIOError):
            while more := os.read(self._output, 1 << 16):
                text += more
        os.close(self._output)
        return text.decode()


class Launcher:
    """A process that has imported the command, computed nothing, and is forked for each start."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._number = folder, 0
        self.process = subprocess.Popen(
            [sys.executable, "-c", START], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def start(self, argv: list[str], setup: str = "", terminal: str | None = None) -> Started:
        """Starts a command.

        Args:
            argv: Its arguments.
            setup: Code that is run before it.
            terminal: Its terminal; a pipe takes what it prints unless given, for what it may write
                to files can be limited.
        """
        self._number += 1
        told, output = (self._folder / f"{self._number}.{part}" for part in ("code", "pipe"))
        os.mkfifo(output)
        read = os.open(output, os.O_RDONLY | os.O_NONBLOCK)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        task = (str(told), terminal or str(output), setup, argv)
        self.process.stdin.write(json.dumps(task) + "\n")
        self.process.stdin.flush()
        return Started(int(self.process.stdout.readline()), told, read)


@pytest.fixture(scope="module")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    """Starts commands."""
    launcher = Launcher(tmp_path_factory.mktemp("launcher"))
    yield launcher
    launcher.process.communicate()
