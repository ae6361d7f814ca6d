"""Kills campaigns of every mode again and again, and says what was lost: nothing.

    python -m benchmarks.machine_faults --kills 20

The real command runs on the embedded model. Its coordinator is killed (SIGKILL) at random moments
and the command given again with --resume, until it has been killed so many times; a campaign with
two workers has one of the processes below it killed as often. All files must then be those of a
campaign that nothing happened to. One that ends before it was killed so often is begun anew.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MODES = {
    "random": "--mode random --flips 1 --trials 300",
    "layer-wise": "--mode layer-wise --flips 1 --trials 6",
    "bit-wise": "--mode bit-wise --flips 1 --trials 8",
    "worst-case": "--mode worst-case --flips 8 --trials 60",
    "exhaustive": "--mode exhaustive --include head.bias",
    "from-file": "--mode from-file",
    "estimate": "--mode estimate --margin 0.02 --max-trials 300",
    "inference": "--mode random --granularity inference --flips 1 --trials 300",
    "observed": "--mode random --observe --flips 1 --trials 100",
}
USUAL = "campaign --threads 1 --limit 32 --batch-size 32"
FAULT = '[{{"tensor": "head.bias", "index": {0}, "bit": {1}}}]'


def started(mode: str, out: Path, *more: str) -> subprocess.Popen[bytes]:
    words = [*USUAL.split(), *MODES[mode].split(), "--out", str(out), *more]
    if mode == "from-file":
        words += ["--faults", str(out.parent / "faults.json")]
    if (out / "manifest.json").exists():
        words.append("--resume")
    return subprocess.Popen(
        [sys.executable, "-m", "faultsim", *words],
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )


def lines(out: Path) -> int:
    journal = out / "trials-0.jsonl"
    return journal.read_bytes().count(b"\n") if journal.exists() else 0


def ended(run: subprocess.Popen[bytes], out: Path, beyond: int) -> bool:
    """Waits for so many lines; whether the campaign has ended before."""
    while run.poll() is None and lines(out) < beyond:
        time.sleep(0.002)
    return run.poll() is not None


def below(session: int) -> list[int]:
    """The other processes of a session."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            pid, state, _, _, of = re.sub(r"\(.*\)", "", stat.read_text()).split()[:5]
        except OSError:
            continue
        if int(of) == session != int(pid) and state != "Z":
            found.append(int(pid))
    return found


def kill_coordinator(mode: str, out: Path, kills: int, draw: random.Random, step: int) -> int:
    """Starts again after each kill until the campaign has ended; how many there were."""
    killed = 0
    while killed < kills:
        run = started(mode, out)
        if ended(run, out, lines(out) + draw.randrange(step)):
            break
        time.sleep(draw.random() * 0.05)  # between two lines, too
        run.kill()
        killed += run.wait() == -signal.SIGKILL
    started(mode, out).wait()
    return killed


def kill_workers(mode: str, out: Path, kills: int, draw: random.Random, step: int) -> int:
    """Kills a process below, of any kind, after some lines; how many there were."""
    run = started(mode, out, "--workers", "2")
    killed = 0
    while killed < kills and not ended(run, out, lines(out) + draw.randrange(step)):
        victims = below(run.pid)
        if victims:
            try:
                os.kill(draw.choice(victims), signal.SIGKILL)
                killed += 1
            except ProcessLookupError:
                continue
    if run.wait():
        raise SystemExit(f"{mode} with workers ended with {run.returncode}")
    return killed


def everything(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--modes", nargs="+", default=list(MODES), choices=list(MODES))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print("| mode | trials | killed | times | lost or changed |\n|---|---|---|---|---|")
    for mode in options.modes:
        with tempfile.TemporaryDirectory() as root:
            faults = [FAULT.format(n % 10, n % 32) for n in range(200)]
            (Path(root) / "faults.json").write_text(f"[{', '.join(faults)}]")
            whole = Path(root) / "whole"
            if started(mode, whole).wait():
                raise SystemExit(f"{mode} fails")
            expected, trials = everything(whole), lines(whole)
            for what, kill in {"coordinator": kill_coordinator, "worker": kill_workers}.items():
                draw, step = random.Random(f"{options.seed} {mode} {what}"), trials // options.kills
                times, begun, lost = 0, 0, list[str]()
                while times < options.kills and not lost:
                    out, begun = Path(root) / f"{what}-{begun}", begun + 1
                    times += kill(mode, out, options.kills - times, draw, max(2, step))
                    found = everything(out)
                    lost = [n for n in {**expected, **found} if expected.get(n) != found.get(n)]
                said = ", ".join(lost) or "nothing"
                print(f"| {mode} | {trials} | {what} | {times} | {said} |", flush=True)
                if lost:
                    sys.exit(1)


if __name__ == "__main__":
    main()
