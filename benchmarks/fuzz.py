"""Mutates files byte by byte and reads them: nothing but the project's own exceptions may come out.

    python -m benchmarks.fuzz --seconds 600 --seed 0

Every reader gets files that are right but for a few bytes, or a few tokens of their JSON. What ends
in another exception, or in more than one line, is printed with the seed of its mutation.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from faultsim import CampaignConfig, FaultSpace, run_campaign
from faultsim.campaign.directory import read_campaign
from faultsim.config import PerturbConfig, TrainConfig
from faultsim.config.toml import read_toml
from faultsim.data import Dataset, Split, load_data
from faultsim.errors import FaultSimError
from faultsim.faults import FaultSet
from faultsim.report.perturbations import read_perturbation
from faultsim.study.perturbations import run_perturbations
from faultsim.training.state import identity, read_state, write_state

TOKENS = (
    b"null", b"true", b"-1", b"1.5", b"1e999", b"18446744073709551616", b"[]", b"{}", b'""', b"NaN",
    b'"\\ud800"', b"[" * 100_000, b"\0", b"\xff", b"9" * 5000, b",", b'"a":1,', b"",
)  # fmt: skip


class Subject(NamedTuple):
    """A file that is right, and who reads it: a function of the file's path."""

    file: Path
    read: Callable[[Path], object]


def subjects(root: Path) -> Mapping[str, Subject]:
    """One of each file there is."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3)).eval()
    split = Split(torch.rand(6, 1, 4, 4), torch.arange(6) % 3)
    data = Dataset("fuzz", 3, split, split, split)
    run = root / "run"
    config = CampaignConfig(mode="random", trials=4, flips=(1, 2), threads=1, out=str(run))
    run_campaign(config, model=model, data=data)
    perturbed = PerturbConfig(attack=("fgsm",), threads=1, out=str(root / "perturbed"))
    run_perturbations(perturbed, model=model, data=data)
    space = FaultSpace(model)
    (root / "faults.json").write_text(space.sample(5, seed=0).to_json())
    (root / "settings.toml").write_text('mode = "random"\nflips = [1, 2]\nbatch-size = 3\n')
    same = identity(model, data, TrainConfig())
    write_state(root / "state.pt", same, {"model": model.state_dict(), "history": []})
    return {
        **{name: Subject(run / name, lambda path: read_campaign(path.parent)) for name in RUN},
        "perturb.json": Subject(
            root / "perturbed" / "perturb.json", lambda path: read_perturbation(path.parent)
        ),
        "faults.json": Subject(
            root / "faults.json", lambda path: FaultSet.from_json(path.read_bytes(), space.sites)
        ),
        "settings.toml": Subject(root / "settings.toml", read_toml),
        "state.pt": Subject(root / "state.pt", lambda path: read_state(path, same)),
        "images.npz": Subject(_npz(root), lambda path: load_data(str(path))),
        "image.png": Subject(_image(root), lambda path: load_data(str(path.parent.parent))),
    }


RUN = ("manifest.json", "trials-0.jsonl", "summary.json")


def _npz(root: Path) -> Path:
    rows = {"images": np.zeros((3, 4, 4), np.uint8), "labels": np.arange(3)}
    arrays = {f"{split}_{k}": v for split in ("train", "val", "test") for k, v in rows.items()}
    np.savez_compressed(root / "images.npz", **arrays)
    return root / "images.npz"


def _image(root: Path) -> Path:
    from PIL import Image

    path = root / "scans" / "a" / "image.png"
    path.parent.mkdir(parents=True)
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(path)
    return path


def mutated(text: bytes, chance: random.Random) -> bytes:
    """The text with one to four changes: bytes, tokens, pieces cut, doubled or moved."""
    new = bytearray(text)
    for _ in range(chance.choice((1, 1, 2, 4))):
        place, width = chance.randrange(len(new) + 1), chance.choice((0, 1, 1, 4, 16))
        piece = chance.choice(
            (bytes(chance.randbytes(chance.randrange(4))), chance.choice(TOKENS),
             bytes(new[place : place + 16]), b"")
        )  # fmt: skip
        if chance.random() < 0.3 and place < len(new):
            new[place] ^= 1 << chance.randrange(8)
        else:
            new[place : place + width] = piece
    return bytes(new)


def fuzz(seconds: float, seed: int) -> Counter[tuple[str, str]]:
    """Reads mutations until the time is over; counts what came of them, by file."""
    found: Counter[tuple[str, str]] = Counter()
    with tempfile.TemporaryDirectory() as name:
        made = subjects(Path(name))
        whole = {key: subject.file.read_bytes() for key, subject in made.items()}
        end, number = time.monotonic() + seconds, seed << 32
        while time.monotonic() < end:
            number += 1
            chance = random.Random(number)
            key = chance.choice(list(made))
            found[key, _tried(made[key], mutated(whole[key], chance), f"{key} {number}")] += 1
            made[key].file.write_bytes(whole[key])
        shutil.rmtree(name, ignore_errors=True)
    return found


def _tried(subject: Subject, text: bytes, what: str) -> str:
    subject.file.write_bytes(text)
    try:
        subject.read(subject.file)
    except FaultSimError as error:
        if str(error).splitlines() == [str(error)]:
            return "refused"
        print(f"{what}: several lines: {error}", flush=True)
    except Exception as error:
        print(f"{what}: {type(error).__name__}: {error}", flush=True)
    else:
        return "read"
    return "WRONG"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    found = fuzz(options.seconds, options.seed)
    for key in sorted({key for key, _ in found}):
        counts = {kind: found[key, kind] for kind in ("read", "refused", "WRONG")}
        print(key, json.dumps(counts))
    wrong = sum(count for (_, kind), count in found.items() if kind == "WRONG")
    print("mutations", sum(found.values()), "wrong", wrong)


if __name__ == "__main__":
    main()
