"""Time and memory of what reads a long journal, each in a process of its own.

    python -m benchmarks.journals --trials 100000 1000000 --kinds images many figures inference

Every journal is a small real campaign whose manifest plans more trials, filled with lines of the
real writer. Resuming is measured as reading back; what it then runs is the same for any journal.
This process imports nothing large, for the peak of a process counts that of the one it came from.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

READ = "from faultsim.campaign.directory import read_campaign; c = read_campaign(Path(sys.argv[1]))"
ACTS = {
    "resume": "import json; from faultsim.campaign.journal import Journal; "
    "m = json.loads((Path(sys.argv[1]) / 'manifest.json').read_text()); "
    "Journal(Path(sys.argv[1]), m, resume=True).close()",
    "summary": f"{READ}; from faultsim.campaign.summary import summarise; "
    "summarise(c.lines, objective=c.manifest.objective)",
    "report": "from faultsim.cli import main; main(['report', sys.argv[1], '--out', sys.argv[2]])",
    "compare": "from faultsim.campaign.comparison import compare; compare(*[sys.argv[1]] * 2)",
    "import": "import faultsim.campaign.comparison",
}
MAKING = {
    "make": "from benchmarks.journals import make; "
    "make(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))"
}
KINDS = ("images", "many", "figures", "inference")
MANY = 32  # faults of a trial of many


def seed_campaign(directory: Path) -> None:
    """The smallest real one."""
    from torch import manual_seed, nn, rand, randint

    from faultsim import CampaignConfig, run_campaign
    from faultsim.data import Dataset, Split

    manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
    split = Split(rand(60, 1, 4, 4), randint(3, (60,)))
    config = CampaignConfig(mode="random", trials=2, flips=(1,), threads=1, out=str(directory))
    run_campaign(config, model=model, data=Dataset("journals", 3, split, split, split))


def lines(kind: str, first: dict[str, Any], trials: int) -> Iterator[dict[str, Any]]:
    """Lines as the campaign's first one, with other faults and other outcomes."""
    draw = random.Random(0)
    for number in range(trials):
        sdc = draw.choice((0, 0, 0, 1, 5, 30))
        size = 1 if kind == "inference" else first["n"]
        sdc = min(sdc, size)
        fault = {**first["faults"][0]}
        faults = [
            {**fault, "index": draw.randrange(24), "mask": 1 << draw.randrange(31)}
            for _ in range(MANY if kind == "many" else 1)
        ]
        line = {**first, "trial": number, "flips": len(faults), "faults": faults}
        if kind == "inference":
            line = _inserted(line, "sample", number % 60)
        line |= {"n": size, "due": 0, "sdc": sdc, "benign": 0, "masked": size - sdc}
        if kind in ("figures", "inference"):
            for name in ("correct", "loss", "acc", "auc"):
                del line[name]
            line["events"] = {"top-1": sdc, "changed": size}
            line["metrics"] = {"dice": draw.random()} if kind == "figures" else {}
        else:
            line |= {"correct": size - sdc, "acc": draw.randrange(61) / 60, "loss": draw.random()}
        yield line


def _inserted(line: dict[str, Any], name: str, value: Any) -> dict[str, Any]:
    """With a field behind the faults, as the writer has it."""
    parts = list(line.items())
    place = list(line).index("faults") + 1
    return dict([*parts[:place], (name, value), *parts[place:]])


def make(kind: str, directory: Path, trials: int) -> None:
    """A finished campaign of so many trials in one condition."""
    from faultsim.campaign.directory import read_trials
    from faultsim.campaign.summary import summarise

    seed_campaign(directory)
    manifest = json.loads((directory / "manifest.json").read_text())
    manifest["planned"] = trials
    manifest["config"]["trials"] = trials
    if kind in ("figures", "inference"):
        manifest["objective"] = "dice" if kind == "figures" else ""
    (directory / "manifest.json").write_text(json.dumps(manifest))
    journal = directory / "trials-0.jsonl"
    first = json.loads(journal.read_text().splitlines()[0])
    with journal.open("w") as file:
        for line in lines(kind, first, trials):
            file.write(json.dumps(line, separators=(",", ":")) + "\n")
    cells = summarise(read_trials(directory), objective=manifest.get("objective"))
    summary = json.loads((directory / "summary.json").read_text())
    summary |= {"cells": [cell.to_json() for cell in cells], "damaging": []}
    (directory / "summary.json").write_text(json.dumps(summary))


def measure(act: str, *arguments: str) -> tuple[float, float]:
    """Seconds of processor time and MB at the peak, of a process that only does that."""
    code = f"import sys; from pathlib import Path; {(ACTS | MAKING)[act]}"
    process = subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{act} failed with {process.returncode}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, nargs="+", default=[100_000])
    parser.add_argument("--kinds", nargs="+", default=KINDS, choices=KINDS)
    parser.add_argument("--acts", nargs="+", default=list(ACTS), choices=list(ACTS))
    options = parser.parse_args()
    print("| kind | trials | what | CPU s | peak MB |\n|---|---|---|---|---|")
    for kind in options.kinds:
        for trials in options.trials:
            with tempfile.TemporaryDirectory() as root:
                measure("make", kind, f"{root}/run", str(trials))
                for act in options.acts:
                    took, peak = measure(act, f"{root}/run", f"{root}/page")
                    print(f"| {kind} | {trials:,} | {act} | {took:.1f} | {peak:.0f} |", flush=True)


if __name__ == "__main__":
    main()
