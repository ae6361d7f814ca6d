"""How much memory there is for more processes."""

from __future__ import annotations

import os
import re
import sys
from contextlib import suppress
from pathlib import Path

MEMINFO, CGROUP = Path("/proc/meminfo"), Path("/sys/fs/cgroup")


def resident_bytes() -> int:
    """The most that this process has had, the pages of libraries included."""
    import resource  # of Unix alone, and wanted by long campaigns alone

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def available_bytes() -> int:
    """What the machine can still give, or the control group that this process is in.

    Where the system does not tell, half of what is built in.
    """
    found = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    with suppress(OSError):
        free = re.search(r"MemAvailable:\s+(\d+) kB", MEMINFO.read_text(encoding="ascii"))
        found = int(free[1]) * 1024 if free else found
    with suppress(OSError, ValueError):  # "max" where there is no limit
        most, used = (int((CGROUP / f"memory.{what}").read_text()) for what in ("max", "current"))
        found = min(found, most - used)
    return max(0, found)
