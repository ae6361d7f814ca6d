"""What to call a run among others: by what differs between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from faultsim.study.begun import STUDY
from faultsim.study.plan import PERTURBATIONS

ALWAYS = ("model", "data")  # said whenever they differ
BARE = (*ALWAYS, "mode", "target")  # their values speak for themselves
ORDER = (*BARE, "op", "bits", "direction", "ber", "seed", "checkpoint", "size", "perturb")
LONG = 60  # characters; a label of more is no label


class Run(Protocol):
    """A recorded campaign or perturbation."""

    @property
    def directory(self) -> Path: ...
    @property
    def manifest(self) -> Mapping[str, Any]: ...


def labels(runs: Sequence[Run], but: str | None = None) -> list[str]:
    """A short, distinct label for each run.

    The parts of a study are called by their directories. Of other runs model and data are named
    where they differ, other settings as far as they tell runs apart; where settings do not, or
    would take many words, the directories' names do.

    Args:
        runs: To be told apart.
        but: A setting to pass over: runs that differ in nothing else share their label.
    """
    if but is not None:
        return _by_settings(runs, but)
    inside = [_in_study(run) for run in runs]
    parts = iter(_by_part([run for run, part in zip(runs, inside, strict=True) if part]))
    others = iter(_told([run for run, part in zip(runs, inside, strict=True) if not part]))
    found = [next(parts if part else others) for part in inside]
    return found if len(set(found)) == len(found) else _told(runs)


def _in_study(run: Run) -> bool:
    """Whether the run lies at DATA/PART in the directory of a study."""
    return (run.directory.resolve().parent.parent / STUDY).is_file()


def _by_part(runs: Sequence[Run]) -> list[str]:
    """The part, after the data set where there are several; perturbations are the data set's."""
    paths = [run.directory.resolve() for run in runs]
    several = len({path.parent for path in paths}) > 1
    return [
        path.parent.name
        if path.name == PERTURBATIONS
        else f"{path.parent.name}: {path.name}"
        if several
        else path.name
        for path in paths
    ]


def _told(runs: Sequence[Run]) -> list[str]:
    found = _by_settings(runs)
    good = len(set(found)) == len(runs) and max(map(len, found), default=0) <= LONG
    return found if good else [_directory(run, runs) for run in runs]


def _by_settings(runs: Sequence[Run], but: str | None = None) -> list[str]:
    facts = [{k: v for k, v in _facts(run).items() if k != but} for run in runs]
    names = dict.fromkeys((*ORDER, *(key for fact in facts for key in fact)))
    chosen: list[str] = []
    for name in names:
        told = len(_distinct(facts, [*chosen, name])) > len(_distinct(facts, chosen))
        varies = len({str(fact.get(name)) for fact in facts}) > 1
        if told or (varies and name in ALWAYS):
            chosen.append(name)
    return [
        _label(fact, _needed(fact, facts, chosen)) or model_and_data(run)
        for run, fact in zip(runs, facts, strict=True)
    ]


def model_and_data(run: Run) -> str:
    """The names of the model and the data; of a workload that is not made of these, its own."""
    facts = _facts(run)
    return str(facts["data"]) if _is_workload(run) else f"{facts['model']} on {facts['data']}"


def unused(run: Run) -> set[str]:
    """Which of model and data are but the settings' defaults, as something else was run."""
    subject = {"model", "data"}
    return subject if _is_workload(run) else subject.intersection(run.manifest.get("live", ()))


def _facts(run: Run) -> dict[str, Any]:
    """The settings by which runs differ; of live objects and files what was recorded of them."""
    facts = dict(run.manifest["config"])
    if "model" in run.manifest.get("live", ()):
        named = run.manifest.get("name")
        facts["model"] = named or f"live model {run.manifest['model']['digest'][:6]}"
    if _is_workload(run):
        facts["model"] = None
    facts["data"] = run.manifest["data"]["name"]
    for incidental in ("threads", "device", "batch_size", "data_root", "trials", "flips", "limit"):
        facts[incidental] = facts.pop(incidental, None)  # the last resort
    return facts


def _is_workload(run: Run) -> bool:
    named = run.manifest["config"].get("workload") is not None
    return named or "work" in run.manifest.get("live", ())


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
