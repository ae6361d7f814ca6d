"""What is measured of an architecture: sites, restoration, equal journals, time, modes."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from glob import escape
from itertools import count
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import nn

from benchmarks.architectures.architecture import Architecture
from benchmarks.architectures.coverage import coverage
from benchmarks.architectures.words import words_of
from faultsim import CampaignConfig, Fault, FaultSet, FaultSpace, inject, run_campaign
from faultsim.campaign.subject import make_experiment, make_space
from faultsim.devices import reproducibly
from faultsim.errors import FaultSimError
from faultsim.faults import Site
from faultsim.run.compiled import uncompiled
from faultsim.run.trial import Trial

TARGETS = ("weights", "activations")
FLIPS, TRIALS = (1, 8), 2
"""Of the campaigns whose journals are compared."""
PAIRS, SECONDS = 7, 3.0
"""Trials that are timed, and when timing ends before."""
WORDS = 8
"""The least that a worst-case search has to choose from."""

Found = dict[str, Any]


def measure(architecture: Architecture) -> Found:
    """The record of one architecture; what fails stands in it in words."""
    start = time.perf_counter()
    torch.manual_seed(0)
    model, data = architecture.make()
    with TemporaryDirectory() as folder:
        bench = Bench(architecture, model, data, Path(folder))
        before = words_of(model)
        found = {
            "family": architecture.family,
            "code": architecture.code,
            "lines": architecture.lines,
            **attempt_all(bench),
        }
        found["restored"] = found["restored"] is True and words_of(model) == before
    found["load"] = round(os.getloadavg()[0], 1)
    return found | {"seconds": round(time.perf_counter() - start, 1)}


def attempt_all(bench: Bench) -> Found:
    """Every measurement, in turn."""
    found: Found = {**coverage(bench.model)}
    found["activation_sites"] = attempt(bench.activation_sites)
    found["restored"] = attempt(bench.restores)
    found["equal"] = {target: attempt(lambda t=target: bench.equal(t)) for target in TARGETS}
    found["time"] = {target: attempt(lambda t=target: bench.relative_time(t)) for target in TARGETS}
    found["modes"] = {name: attempt(run) for name, run in bench.modes().items()}
    return found


def attempt(call: Callable[[], Any]) -> Any:
    """What it returns, or why there is nothing, in words."""
    try:
        return call()
    except FaultSimError as error:
        return str(error)
    except Exception as error:  # a defect of the tool: seen here, said in the table
        traceback.print_exc()
        return f"{type(error).__name__}: {error}".partition("\n")[0]


class Bench:
    """Campaigns of one architecture, in a folder of their own."""

    def __init__(
        self,
        architecture: Architecture,
        model: nn.Module,
        data: Any,
        folder: Path,
        device: str = "cpu",
    ) -> None:
        self.model = model
        self._folders = (folder / str(number) for number in count())
        self._usual = CampaignConfig(
            mode="random", flips=FLIPS, trials=TRIALS, threads=1, device=device
        )
        self._work = architecture.workload(self._usual, model, data)

    def activation_sites(self) -> int:
        """Outputs of modules that can be struck."""
        return len(self._space("activations").sites)

    def _space(self, target: str, **settings: Any) -> FaultSpace:
        config = replace(self._usual, target=target, **settings)
        with reproducibly(1), uncompiled(self.model):
            return make_space(config, make_experiment(config, self._work))

    def restores(self) -> bool:
        """One bit in every weight site at once: all that changes, and all is as before."""
        before, sites = words_of(self.model), FaultSpace(self.model).sites
        faults = [Fault(site, site.words // 2, 1) for site in sites]
        with inject(self.model, FaultSet.of(faults)):
            struck = words_of(self.model)
        if sum(struck[name] != words for name, words in before.items()) < len(sites):
            raise AssertionError("a fault in each weight site did not change as many tensors")
        return words_of(self.model) == before

    def equal(self, target: str) -> bool:
        """Whether the journals of a campaign with replay and without are the same bytes."""
        return self._journal({"target": target}) == self._journal(
            {"target": target, "replay": False}
        )

    def _journal(self, settings: Found) -> bytes:
        config = replace(self._usual, out=str(next(self._folders)), **settings)
        result = run_campaign(config, self._work)
        return (result.directory / "trials-0.jsonl").read_bytes()

    def runs(self, **settings: Any) -> bool:
        """Whether a campaign with these settings comes to its end."""
        return bool(self._journal({"flips": (1,), "trials": 1, **settings}))

    def modes(self) -> dict[str, Callable[[], bool]]:
        """Every other mode and target, each as small as it can be."""
        smallest = min(FaultSpace(self.model).sites, key=lambda site: site.words)
        one: Found = {"include": named([smallest]), "bits": "0"}
        return {
            "layer-wise": lambda: self.runs(mode="layer-wise", **one),
            "bit-wise": lambda: self.runs(mode="bit-wise", **one),
            "exhaustive": lambda: self.runs(mode="exhaustive", **one | {"trials": None}),
            "inputs": lambda: self.runs(target="inputs"),
            "module-inputs": lambda: self.runs(target="module-inputs"),
            "worst-case": lambda: self._searches("weights"),
            "worst-case in activations": lambda: self._searches("activations"),
        }

    def _searches(self, target: str) -> bool:
        """Whether a worst-case search comes to its end, among the signs of one small tensor."""
        sites = [site for site in self._space(target).sites if site.format.is_float]
        enough = [site for site in sites if site.words >= WORDS] or self._space(target).sites
        small = named([min(enough, key=lambda site: site.words)])
        return self.runs(mode="worst-case", target=target, include=small, bits="sign")

    def relative_time(self, target: str) -> float:
        """CPU time of a trial with replay over one without: the median over equal faults."""
        config = replace(self._usual, target=target)
        with reproducibly(1), uncompiled(self.model):
            space = self._space(target)
            engines = [
                make_experiment(replace(config, replay=replay), self._work)
                for replay in (True, False)
            ]
            ratios: list[float] = []
            start = time.perf_counter()
            for number in range(PAIRS + 1):
                trial = Trial(space.sample(1, seed=0, trial=number), {})
                took = [0.0, 0.0]
                for side in (0, 1) if number % 2 else (1, 0):
                    took[side] = seconds(partial(engines[side].run, trial))
                ratios.append(took[0] / took[1])
                if time.perf_counter() - start > SECONDS and number > 2:
                    break
        return round(median(ratios[1:]), 3)  # the first warms up: golden runs, lazily made values


def named(sites: Sequence[Site]) -> tuple[str, ...]:
    """Patterns that take these sites by their names."""
    return tuple(escape(site.name) for site in sites)


def seconds(call: Callable[[], object]) -> float:
    """CPU time of this process, which neighbours on the machine hardly change."""
    start = time.process_time()
    call()
    return time.process_time() - start
