"""What to call a run among others: by what differs between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

ALWAYS = ("model", "data")  # said whenever they differ
BARE = (*ALWAYS, "mode", "target")  # their values speak for themselves
ORDER = (*BARE, "op", "bits", "direction", "ber", "seed", "checkpoint", "size", "perturb")


class Run(Protocol):
    """A recorded campaign or perturbation."""

    @property
    def directory(self) -> Path: ...
    @property
    def manifest(self) -> Mapping[str, Any]: ...


def labels(runs: Sequence[Run], but: str | None = None) -> list[str]:
    """A short, distinct label for each run.

    Model and data are named where they differ, other settings as far as they tell runs apart;
    where settings do not, the directories' names do.

    Args:
        runs: To be told apart.
        but: A setting to pass over: runs that differ in nothing else share their label.
    """
    facts = [{k: v for k, v in _facts(run).items() if k != but} for run in runs]
    names = dict.fromkeys((*ORDER, *(key for fact in facts for key in fact)))
    chosen: list[str] = []
    for name in names:
        told = len(_distinct(facts, [*chosen, name])) > len(_distinct(facts, chosen))
        varies = len({str(fact.get(name)) for fact in facts}) > 1
        if told or (varies and name in ALWAYS):
            chosen.append(name)
    if but is None and len(_distinct(facts, chosen)) < len(runs):
        return [_directory(run, runs) for run in runs]
    return [
        _label(fact, _needed(fact, facts, chosen)) or model_and_data(run)
        for run, fact in zip(runs, facts, strict=True)
    ]


def model_and_data(run: Run) -> str:
    """The names of the model and the data."""
    facts = _facts(run)
    return f"{facts['model']} on {facts['data']}"


def _facts(run: Run) -> dict[str, Any]:
    """The settings by which runs differ; of live objects and files what was recorded of them."""
    facts = dict(run.manifest["config"])
    if "model" in run.manifest.get("live", ()):
        facts["model"] = f"live model {run.manifest['model']['digest'][:6]}"
    facts["data"] = run.manifest["data"]["name"]
    for incidental in ("threads", "device", "batch_size", "data_root", "trials", "flips", "limit"):
        facts[incidental] = facts.pop(incidental, None)  # the last resort
    return facts


def _distinct(facts: Sequence[Mapping[str, Any]], names: Sequence[str]) -> set[tuple[str, ...]]:
    return {tuple(str(fact.get(name)) for name in names) for fact in facts}


def _needed(
    fact: Mapping[str, Any], facts: Sequence[Mapping[str, Any]], chosen: Sequence[str]
) -> list[str]:
    """The names without which a run would share its label's words with another."""
    needed = list(chosen)
    for name in reversed(chosen):
        rest = [other for other in needed if other != name]
        alike = sum(_distinct([fact], rest) == _distinct([other], rest) for other in facts)
        if alike == 1 and name not in ALWAYS:
            needed = rest
    return needed


def _label(fact: Mapping[str, Any], names: Sequence[str]) -> str:
    """The values in words; what was left at no value at all goes unsaid."""
    given = {name: fact.get(name) for name in names if fact.get(name) not in (None, [])}
    return ", ".join(_word(name, value) for name, value in given.items())


def _word(name: str, value: Any) -> str:
    if name in BARE:
        return str(value)
    items = value if isinstance(value, list | tuple) else [value]
    name = "BER" if name == "ber" else name.replace("_", "-")
    return f"{name} {' '.join(map(str, items))}"


def _directory(run: Run, runs: Sequence[Run]) -> str:
    """The last part of the path, or the whole where that is not enough."""
    same = [other for other in runs if other.directory.name == run.directory.name]
    return run.directory.name if len(same) == 1 else str(run.directory)
