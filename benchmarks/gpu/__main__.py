"""``python -m benchmarks.gpu OUT``: every step, then ``gpu.json`` and ``gpu.md``."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from benchmarks.gpu.plan import ALONE, TOGETHER
from benchmarks.gpu.record import write_record
from benchmarks.gpu.steps import run_alone, run_together


def main() -> int:
    """Whether every step ran and every goal was met, as an exit code."""
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    results = run_together(TOGETHER, out) + run_alone(ALONE, out)
    return write_record(results, out, time.monotonic() - start)


sys.exit(main())
