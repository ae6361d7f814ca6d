"""The atlas: trained models that packages bring, struck in the same ways, on one page.

    make atlas                      # minutes a model; what is recorded is not run again
    make atlas ARGS='--trials 400'  # a look
    python -m benchmarks.atlas --record  # the tables of docs/atlas.md too

Each sample has a fault of its own but in searches, so that thousands of faults cost seconds.

The medical models want the files of MedMNIST, in ~/.medmnist or the folder that
FAULTSIM_MEDMNIST_ROOT names; the pitch tracker torchcrepe, the speaker recogniser Resemblyzer. What
is missing is left out, and said.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from faultsim import CampaignConfig, run_campaign
from faultsim.campaign.protecting import compare_protections
from faultsim.campaign.subject import make_workload
from faultsim.errors import FaultSimError
from faultsim.report.atlas import by_subject, overview, write_atlas
from faultsim.report.paying import which_pays
from faultsim.report.sources import read_sources

RESULTS = Path(__file__).parent / "results" / "atlas"
SAMPLES = 100
MEDICAL = ("breastmnist", "pneumoniamnist", "retinamnist")
SUBJECTS: Mapping[str, Mapping[str, Any]] = {
    "digits": {"data": "digits", "limit": SAMPLES},
    **{name: {"data": name, "limit": SAMPLES} for name in MEDICAL},
    "crepe": {"workload": "examples.pitch:workload"},
    "resemblyzer": {"workload": "examples.speaker:workload"},
}
"""Settings that name each model, and what it is judged on."""

PROTECTIONS = ("secded", "ranger")
FEW = 40
"""One trial in so many for each layer and each bit, of which there are many."""
SEARCHES = 10
OWN = {"granularity": "inference"}


def campaigns(trials: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and settings of what is done to each model."""
    few = max(2, trials // FEW)
    yield "weights", {"mode": "random", "trials": trials, **OWN}
    yield "activations", {"mode": "random", "trials": trials, "target": "activations", **OWN}
    yield "layers", {"mode": "layer-wise", "trials": few, "bits": "exponent", **OWN}
    yield "bits", {"mode": "bit-wise", "trials": few, **OWN}
    yield "worst", {"mode": "worst-case", "trials": SEARCHES}


def strike(subject: Mapping[str, Any], trials: int, out: Path) -> None:
    """The campaigns of a model, and its protections on the same faults; what is there stays."""
    common = {**subject, "flips": (1,)}
    for part, settings in campaigns(trials):
        place = out / part
        print(place, flush=True)
        going = (place / "manifest.json").exists()
        run_campaign(CampaignConfig(**common, **settings, out=str(place), resume=going))
    place = out / "protections"
    if not (place / "protections.json").exists():
        print(place, flush=True)
        settings = {**OWN, "mode": "random", "bits": "exponent", "trials": trials}
        compare_protections(CampaignConfig(**common, **settings, out=str(place)), PROTECTIONS)


def write_tables(recorded: Path) -> None:
    """What is shown of the page in the documentation."""
    sources = read_sources([recorded])
    tables = {
        "overview": overview(by_subject(sources.campaigns)),
        "protections": which_pays(sources.campaigns, sources.protections),
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        (RESULTS / f"{name}.csv").write_text(table.csv())


def main() -> None:
    told = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    told.add_argument("--trials", type=int, default=4000, help="random faults of each model")
    told.add_argument("--out", type=Path, default=Path("runs/atlas"), help="records and page")
    told.add_argument("--record", action="store_true", help=f"write {RESULTS.name}'s tables")
    told.add_argument("--only", nargs="+", choices=SUBJECTS, default=list(SUBJECTS))
    given = told.parse_args()
    root = os.environ.get("FAULTSIM_MEDMNIST_ROOT")
    for name in given.only:
        rooted = {"data_root": root} if name in MEDICAL else {}
        subject = {**SUBJECTS[name], **rooted}
        try:
            make_workload(CampaignConfig(**subject))
        except FaultSimError as missing:
            print(f"{name} is left out: {missing}")
            continue
        strike(subject, given.trials, given.out / name)
    print(write_atlas([given.out], given.out / "atlas.html"))
    if given.record:
        write_tables(given.out)


if __name__ == "__main__":
    main()
