"""How much memory there is for more processes."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

MEMINFO, GROUPS = Path("/proc/meminfo"), Path("/proc/self/cgroup")
CGROUP = Path("/sys/fs/cgroup")


def resident_bytes() -> int:
    """The most that this process has had, the pages of libraries included."""
    import resource  # of Unix alone, and wanted by long campaigns alone

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def available_bytes() -> int:
    """What the machine can still give, and the control groups that this process is in.

    Where the system does not tell, half of what is built in.
    """
    found = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    with suppress(OSError):
        free = re.search(r"MemAvailable:\s+(\d+) kB", MEMINFO.read_text(encoding="ascii"))
        found = int(free[1]) * 1024 if free else found
    return max(0, min([found, *_left_by_groups()]))


def _left_by_groups() -> Iterator[int]:
    """Of each control group with a limit, from ours to the root: in either version of the system.

    A container sees its own group as the root, whatever its path is called outside.
    """
    with suppress(OSError):
        for line in GROUPS.read_text(encoding="utf-8").splitlines():
            _, controllers, path = line.split(":", 2)
            if "memory" in controllers.split(","):
                yield from _left(CGROUP / "memory", path, "limit_in_bytes", "usage_in_bytes")
            elif not controllers:
                yield from _left(CGROUP, path, "max", "current")


def _left(root: Path, path: str, limit: str, used: str) -> Iterator[int]:
    own = Path(path.lstrip("/"))
    for group in (own, *own.parents):
        with suppress(OSError, ValueError):  # "max" where there is no limit
            most, now = (
                int((root / group / f"memory.{what}").read_text()) for what in (limit, used)
            )
            yield most - now
