"""Measures the architectures and writes the record and the page, row by row."""

from __future__ import annotations

import argparse
import gc
import warnings
from pathlib import Path

from benchmarks.architectures import record
from benchmarks.architectures.architecture import Architecture
from benchmarks.architectures.families import ARCHITECTURES
from benchmarks.architectures.measure import measure
from benchmarks.architectures.page import page


def chosen(only: list[str], missing: bool, done: record.Record) -> list[Architecture]:
    """Those asked for; SystemExit names one that there is not."""
    known = {architecture.name: architecture for architecture in ARCHITECTURES}
    unknown = [name for name in only if name not in known]
    if unknown:
        raise SystemExit(f"no architecture {unknown[0]!r}; there are {', '.join(known)}")
    names = only or list(known)
    return [known[n] for n in names if not (missing and n in done["architectures"])]


def run(
    architectures: list[Architecture],
    path: Path = record.RECORD,
    document: Path = record.PAGE,
) -> record.Record:
    """Measures each and writes what is known so far after it.

    Args:
        architectures: Those to be measured anew; rows of others stay.
        path: The record.
        document: The page.
    """
    found = record.read(path)
    order = [architecture.name for architecture in ARCHITECTURES]
    for architecture in architectures:
        name, absent = architecture.name, architecture.missing()
        found["missing"].pop(name, None)
        if absent is None:
            found["architectures"][name] = measure(architecture)
            found["versions"] = record.versions()
        elif name not in found["architectures"]:
            found["missing"][name] = absent
        seconds = found["architectures"].get(name, {}).get("seconds", 0)
        print(f"{seconds:6.1f} s  {name}" + (f": left out, {absent}" if absent else ""), flush=True)
        rows = found["architectures"]
        found["architectures"] = {name: rows[name] for name in order if name in rows}
        record.write(found, path)
        document.parent.mkdir(exist_ok=True)
        document.write_text(page(found), encoding="utf-8")
        gc.collect()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.architectures", description=__doc__)
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="these alone")
    parser.add_argument("--missing", action="store_true", help="those without a record")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # of packages, about themselves
    run(chosen(arguments.only, arguments.missing, record.read()))


if __name__ == "__main__":
    main()
