"""``python -m benchmarks.gpu.inference SHARE/OF OUT``: a batch of faults in one pass on the device.

Runs beside other steps, so its times mean nothing and are left out.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch

from benchmarks.inference_granularity import measured


def main() -> int:
    """Whether no row differs from the real flip's, as an exit code."""
    share, of = map(int, sys.argv[1].split("/"))
    found: dict[str, Any] = {}
    exact = True
    for row in measured(torch.device("cuda", 0), share, of):
        name, same = f"{row['name']}, {row['dtype']}", row["rows_differ"] == 0
        exact &= same
        counts = f"{row['faults']} faults, {row['for_real']} flipped for real"
        found |= {f"{name}: each row is the real flip's": same, name: counts}
        (Path(sys.argv[2]) / "campaign.json").write_text(json.dumps(found, indent=1))
        print(row, flush=True)
    return 0 if exact else 1


if __name__ == "__main__":
    sys.exit(main())
