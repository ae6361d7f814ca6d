"""Recorded campaigns, as the figures read them."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from faultsim.campaign.findings import Summary
from faultsim.campaign.lines import Line
from faultsim.campaign.objective import Objective
from faultsim.campaign.observed import Observed
from faultsim.campaign.summary import CellSummary, summarise
from faultsim.faults.site import Site
from faultsim.formats import bits_of
from faultsim.report.recorded import Recorded
from faultsim.run.outcome import Outcome
from faultsim.stats.tail import Floats

Numbers: TypeAlias = "array[int]"
"""Of trials; there may be a million, so eight bytes each."""

NAMES = ("run", "panel", "series")
"""The columns that say of which campaign a row is and where it is drawn."""

ACCURACY_DROP, HARMED = "accuracy drop", "SDC or DUE"
"""What harm is measured by: of classifiers, and of other tasks."""

HOW = ("target", "op", "direction", "perturb", "attack_model", "fault_model", "granularity")


@dataclass(frozen=True)
class StruckAlike:
    """The trials of a condition whose first fault struck the same bits of the same tensor.

    Attributes:
        cell: The condition.
        tensor: Of the first fault.
        mask: Its bits; 0 where there were more faults, whose first one says little.
        trials: Their numbers, ascending.
    """

    cell: Mapping[str, Any]
    tensor: str
    mask: int
    trials: Numbers


@dataclass(frozen=True)
class RecordedCampaign(Recorded):
    """A campaign directory that was read.

    Attributes:
        manifest: Sites and golden run, too.
        lines: Of the journal, in order.
        summary: None of a campaign that has not ended.
        panel: Its data and model, where figures have a panel for each; empty where they do not.
        series: What tells it from the others of its panel.
        observed: Where the errors of its trials travelled, if that was recorded.
    """

    lines: Sequence[Line]
    summary: Summary | None
    panel: str = ""
    series: str = ""
    observed: Sequence[Observed] = ()

    @property
    def names(self) -> dict[str, str]:
        """The columns :data:`NAMES`."""
        return {"run": self.label, "panel": self.panel, "series": self.series}

    @property
    def mode(self) -> str:
        return str(self.config["mode"])

    @property
    def subject(self) -> tuple[str, ...]:
        """What was struck and how: the same for campaigns of several modes, bits and seeds."""
        digests = (self.manifest[part]["digest"] for part in ("model", "data"))
        how = {"granularity": "dataset", **self.config}  # which older ones had
        return (*digests, *(str(how.get(name)) for name in HOW))

    @cached_property
    def golden(self) -> Outcome:
        """The model without faults."""
        return Outcome.from_json(self.manifest["golden"])

    @cached_property
    def clean(self) -> Outcome | None:
        """The golden run on the images as they are, where the campaign's are perturbed."""
        clean = self.manifest.get("clean")
        return Outcome.from_json(clean) if clean else None

    @cached_property
    def objective(self) -> Objective:
        """The figure that counts."""
        unit = "samples" if self.manifest["data"].get("samples") else "images"
        told = self.manifest.get("objective")
        name = None if told is None and self.golden.of_images else told or ""
        return Objective(name, unit)

    @property
    def task(self) -> str:
        """What judged the outputs; empty of a classification, whose kind its data say."""
        return "" if self.objective.name is None else str(self.manifest["data"].get("task", ""))

    @cached_property
    def worth(self) -> float:
        """What counts, without faults."""
        return self.golden.score(self.objective.key)

    @cached_property
    def drops(self) -> Floats:
        """(trials,) how much of what counts each took; not finite where it left nothing that is."""
        worth, key = self.worth, self.objective.key
        return np.array([worth - line.score(key) for line in self.lines], np.float64)

    @property
    def measure(self) -> str:
        """What :attr:`harms` are."""
        return ACCURACY_DROP if self.objective.name is None else HARMED

    @cached_property
    def harms(self) -> Floats:
        """(trials,) what each did, as a share that tasks can be compared by.

        Of a classifier the drop of its accuracy; of another task the share of its samples that are
        corrupted, silently or with a detected error.
        """
        if self.objective.name is None:
            return self.drops
        return np.array([(line.sdc + line.due) / line.n for line in self.lines], np.float64)

    def harms_of(self, trials: Numbers) -> Floats:
        """What some trials did, in the order of their numbers."""
        return self.harms[np.sort(np.asarray(trials, np.int64))]

    @cached_property
    def struck(self) -> list[StruckAlike]:
        """All trials with faults, in the order of the first of each group.

        There are many trials, of few conditions, tensors and bits: figures read these.
        """
        cells = {id(line.cell): line.cell for line in self.lines}  # those of one condition share it
        found: dict[tuple[int, str, int], Numbers] = defaultdict(lambda: array("q"))
        for number, line in enumerate(self.lines):
            if line.faults:
                first, several = line.faults[0], len(line.faults) > 1
                found[id(line.cell), first.tensor, 0 if several else first.mask].append(number)
        return [
            StruckAlike(cells[cell], tensor, mask, trials)
            for (cell, tensor, mask), trials in found.items()
        ]

    @property
    def observed_samples(self) -> Mapping[str, int]:
        """By output that was observed, in the order of the pass, its number of samples."""
        return self.manifest.get("observed") or {}

    @property
    def sampled(self) -> bool:
        """Whether its trials are a sample, of which intervals can be given."""
        return self.mode != "exhaustive"

    @property
    def most(self) -> float:
        """The greatest harm that a trial can do: to take all accuracy, or corrupt all samples."""
        return self.golden.acc if self.objective.name is None else 1.0

    @cached_property
    def cells(self) -> list[CellSummary]:
        """Rates of each condition, computed from the journal, ended or not.

        None of a campaign that estimates a rate: its trials are not drawn alike.
        """
        if self.mode == "estimate":
            return []
        loss = self.clean.acc - self.golden.acc if self.clean else 0.0
        objective = self.objective.name
        ranges = self.manifest.get("ranges")
        return summarise(
            self.lines, sampled=self.sampled, attack_loss=loss, objective=objective, ranges=ranges
        )

    @cached_property
    def layers(self) -> list[str]:
        """The layers that could be struck, in the model's order."""
        return list(dict.fromkeys(map(self.layer, self._dtypes)))

    @property
    def _dtypes(self) -> Mapping[str, str]:
        dtypes: Mapping[str, str] = self.manifest["space"].get("sites", {})
        return dtypes

    def site(self, tensor: str) -> Site | None:
        """The site of that name, without its shape; None where the manifest lists none."""
        dtype = self._dtypes.get(tensor)
        return None if dtype is None else Site(tensor, self.config["target"], dtype, ())

    def layer(self, tensor: str) -> str:
        """The module that owns the tensor."""
        return Site(tensor, self.config["target"], "", ()).layer


@dataclass(frozen=True)
class SingleFlips:
    """The trials in which one bit of a tensor was struck.

    Attributes:
        layer: That owns the tensor.
        dtype: Of the word.
        bit: Its position; 0 is the least significant.
        field: The part of the word it belongs to.
        fields: All parts of the word.
        trials: Their numbers, ascending.
    """

    layer: str
    dtype: str
    bit: int
    field: str
    fields: tuple[str, ...]
    trials: Numbers


def single_flips(campaign: RecordedCampaign) -> Iterator[SingleFlips]:
    """The trials of a campaign that struck a single bit of a site that its manifest lists."""
    struck: dict[tuple[str, int], Numbers] = defaultdict(lambda: array("q"))
    for group in campaign.struck:
        struck[group.tensor, group.mask].extend(group.trials)
    for (tensor, mask), trials in struck.items():
        site, bits = campaign.site(tensor), bits_of(mask)
        if site is not None and len(bits) == 1:
            layout = site.format
            place = site.layer, site.dtype, bits[0], layout.field(bits[0]), tuple(layout.fields)
            yield SingleFlips(*place, array("q", sorted(trials)))


def most_telling(
    campaigns: Sequence[RecordedCampaign], modes: Sequence[str], *, by_bit: bool = False
) -> list[RecordedCampaign]:
    """The campaigns of which no other tells more about the same model with the same data.

    Args:
        campaigns: To choose from; their order is kept.
        modes: That tell something, the most telling first.
        by_bit: Whether bits matter: campaigns that struck other bits are all kept.
    """

    def tells_more(other: RecordedCampaign, run: RecordedCampaign) -> bool:
        better = modes.index(other.mode) < modes.index(run.mode)
        alike = not by_bit or other.config["bits"] == run.config["bits"]
        return better and alike and other.subject == run.subject

    told = [run for run in campaigns if run.mode in modes]
    return [run for run in told if not any(tells_more(other, run) for other in told)]
