"""``python -m benchmarks.gpu.campaign NAME OUT``: one campaign, on the device and on the CPU.

On the device twice, and once without replay: the journals must be the same, byte by byte. The CPU
rounds otherwise, so there the faults must be the same and the harm about as much. Where squares
overflow, torch's LayerNorm is NaN on a device and zero on the CPU: trials with other DUEs are
counted and left out.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from faultsim.campaign import CampaignConfig, run_campaign
from faultsim.campaign.journal import TRIALS

BASE = CampaignConfig(flips=(1, 4), device="cuda", threads=1, limit=200, batch_size=64)
EVENTS = replace(BASE, mode="random", flips=(1, 2, 4), trials=20)
CAMPAIGNS = {
    "weights": replace(BASE, mode="random", trials=40),
    "activations": replace(BASE, mode="random", target="activations", trials=40),
    "states": replace(BASE, mode="random", target="states", trials=20),
    "layer-wise": replace(BASE, mode="layer-wise", trials=2),
    "worst-case": replace(BASE, mode="worst-case", trials=2),
    "inference": replace(BASE, mode="random", granularity="inference", trials=60),
    "estimate": replace(BASE, mode="estimate", flips=(1,), margin=0.1, max_trials=400),
    "hbm2": replace(EVENTS, fault_model="hbm2"),
    "gpu-sdc": replace(EVENTS, fault_model="gpu-sdc", target="activations"),
    "gaussian": replace(BASE, mode="random", op="gaussian", operand=0.5, trials=20),
    "own operator": replace(
        BASE, mode="random", op="benchmarks.test_operators:flipped", operand=2.0**30, trials=20
    ),
    "protected": replace(BASE, mode="random", protect="ranger,secded", trials=6),
    "workers": replace(BASE, mode="random", workers=2, trials=40),
}
NEAR, ENOUGH = 0.02, 0.95
"""How far the SDC rate may be from that on the CPU, and the share of trials that are so near."""


SAME = "same faults as on the CPU"
NEARNESS = "trials that harm about as much as on the CPU"


def journal(config: CampaignConfig, out: Path) -> bytes:
    run_campaign(replace(config, out=str(out)))
    return (out / TRIALS).read_bytes()


def lines(text: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def compared(config: CampaignConfig, out: Path) -> dict[str, Any]:
    """What the four runs have in common."""
    first = journal(config, out / "first")
    cpu = lines(journal(replace(config, device="cpu"), out / "cpu"))
    on_device = lines(first)
    pairs = list(zip(on_device, cpu, strict=False))  # an estimate may stop elsewhere
    alike = [(one, other) for one, other in pairs if one["due"] == other["due"]]
    far = [abs(one["sdc"] - other["sdc"]) / one["n"] for one, other in alike]
    farthest = alike[far.index(max(far))]
    return {
        "trials": len(on_device),
        "repeats": journal(config, out / "second") == first,
        "equal without replay": journal(replace(config, replay=False), out / "whole") == first,
        "equal with one worker": config.workers == 1
        or journal(replace(config, workers=1), out / "one") == first,
        SAME: all(a["faults"] == b["faults"] for a, b in pairs),
        "trials with other DUEs than on the CPU": len(pairs) - len(alike),
        NEARNESS: sum(each <= NEAR for each in far) / len(far),
        "the farthest": [shortened(line) for line in farthest] if max(far) > NEAR else None,
    }


def shortened(line: dict[str, Any]) -> str:
    fault, counts = line["faults"][0], {key: line[key] for key in ("due", "sdc", "masked")}
    return f"{len(line['faults'])} faults, {fault['tensor']} mask {fault['mask']}: {counts}"


def main() -> int:
    name, out = sys.argv[1], Path(sys.argv[2])
    found = compared(CAMPAIGNS[name], out)
    (out / "campaign.json").write_text(json.dumps(found, indent=1))
    print(found)
    near = found[NEARNESS] >= ENOUGH or not found[SAME]
    exact = ("repeats", "equal without replay", "equal with one worker")
    return 0 if all(found[what] for what in exact) and near else 1


if __name__ == "__main__":
    sys.exit(main())
