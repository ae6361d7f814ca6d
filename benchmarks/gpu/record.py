"""The figures of all steps, as one JSON file and one table."""

from __future__ import annotations

import json
import platform
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import torch

import faultsim
from benchmarks.conftest import GOALS
from benchmarks.gpu.steps import Result


class Figure(NamedTuple):
    """One row.

    Attributes:
        step: That measured it.
        what: Was measured.
        value: As printed.
        goal: As printed; empty where there is none.
        met: Whether the goal is met; None where there is none, or nothing was measured.
    """

    step: str
    what: str
    value: str
    goal: str = ""
    met: bool | None = None


def write_record(results: list[Result], out: Path, seconds: float) -> int:
    """Writes ``gpu.json`` and ``gpu.md``; 0 if all passed and every goal was met."""
    figures = [figure for result in results for figure in figures_of(result)]
    record = {
        **machine(),
        "seconds": round(seconds),
        "steps": [{"name": r.name, "status": r.status, "seconds": r.seconds} for r in results],
        "figures": [figure._asdict() for figure in figures],
    }
    (out / "gpu.json").write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    text = table(record)
    (out / "gpu.md").write_text(text)
    print(text)
    passed = all(result.status == "passed" for result in results)
    return 0 if passed and all(figure.met is not False for figure in figures) else 1


def machine() -> dict[str, Any]:
    """Names and versions that figures depend on."""
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        asked = subprocess.run(query, capture_output=True, text=True, check=True).stdout
        driver = asked.splitlines()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        driver = "unknown"
    return {
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "driver": driver,
        "cuda": torch.version.cuda,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "faultsim": faultsim.__version__,
    }


def figures_of(result: Result) -> Iterator[Figure]:
    """The rows of one step: how it went, and what it measured."""
    yield Figure(result.name, "step", result.status, "passed", result.status == "passed")
    for name, read in READERS.items():
        for path in sorted(result.folder.glob(name)):
            try:
                yield from read(result, path.read_text(errors="replace"))
            except (ValueError, ElementTree.ParseError):
                yield Figure(result.name, name, "not written to its end")


def _tests(result: Result, text: str) -> Iterator[Figure]:
    cases = list(ElementTree.fromstring(text).iter("testcase"))
    on_device = [case for case in cases if "cuda" in case.get("name", "")]
    for what, some in (("tests", cases), ("of them on cuda", on_device)):
        ends = {kind: sum(case.find(kind) is not None for case in some) for kind in ENDS}
        wrong = ends["failure"] + ends["error"]
        passed = len(some) - sum(ends.values())
        value = f"{passed} passed, {wrong} failed, {ends['skipped']} skipped"
        yield Figure(result.name, what, value, "none fails", passed > 0 and wrong == 0)


def _sanitizer(result: Result, text: str) -> Iterator[Figure]:
    summaries = re.findall(r"^=+ (\w+) SUMMARY: (.*)$", text, re.MULTILINE)
    for tool, found in summaries:
        yield Figure(result.name, tool.lower(), found, "0", found.startswith("0 "))
    for passed in re.findall(r"^(\d+ passed.*) in ", text, re.MULTILINE) if summaries else ():
        yield Figure(result.name, "tests under it", passed)


def _campaign(result: Result, text: str) -> Iterator[Figure]:
    for what, value in json.loads(text).items():
        exact = isinstance(value, bool)
        met = value if exact and "CPU" not in what else None
        if value is not None:
            yield Figure(result.name, what, str(value), "True" if met is not None else "", met)


def _benchmarks(result: Result, text: str) -> Iterator[Figure]:
    for benchmark in json.loads(text)["benchmarks"]:
        info = dict(benchmark["extra_info"])
        goals = info.pop(GOALS, {})
        for what, value in info.items():
            goal = goals.get(what)
            met = None if goal is None else float(str(value).split()[0]) <= goal
            name = f"{benchmark['name'].removeprefix('test_')}: {what}"
            yield Figure(
                result.name, name, str(value), "" if goal is None else f"≤ {goal:.3f}", met
            )


ENDS = ("failure", "error", "skipped")
READERS = {
    "junit.xml": _tests,
    "log": _sanitizer,
    "campaign.json": _campaign,
    "benchmarks.json": _benchmarks,
}


def table(record: dict[str, Any]) -> str:
    """The record as Markdown."""
    about = ", ".join(f"{key} {record[key]}" for key in ("driver", "cuda", "torch", "python"))
    rows = [f"# {record['gpu']}", "", f"{about}; {record['seconds']} s.", ""]
    rows += [record["note"], ""] if "note" in record else []
    rows += ["| step | figure | value | goal | met |", "|---|---|---|---|---|"]
    for figure in record["figures"]:
        met = {True: "yes", False: "**no**", None: ""}[figure["met"]]
        cells = figure["step"], figure["what"], figure["value"], figure["goal"], met
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) + "\n"
