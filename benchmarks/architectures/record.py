"""The record of the table: one JSON file, an entry for each architecture."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
RECORD, PAGE = ROOT / "benchmarks/results/architectures.json", ROOT / "docs/architectures.md"
PACKAGES = ("torch", "torchvision", "timm", "transformers", "torchao", "onnx2torch")

Record = dict[str, Any]


def read(path: Path = RECORD) -> Record:
    """The record so far, an empty one if there is none."""
    if not path.exists():
        return {"versions": {}, "missing": {}, "architectures": {}}
    found: Record = json.loads(path.read_text(encoding="utf-8"))
    return found


def write(record: Record, path: Path = RECORD) -> None:
    """Writes it whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def versions() -> dict[str, str]:
    """Of the packages whose architectures these are."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
