"""Two campaigns beside each other: two models, or one with a protection and without."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from faultsim.campaign.directory import Recorded, read_campaign
from faultsim.campaign.lines import Line
from faultsim.campaign.manifest import with_defaults
from faultsim.campaign.result import CampaignResult
from faultsim.errors import ConfigError
from faultsim.run.outcome import Cell, Outcome
from faultsim.stats import CONFIDENCE, Estimate, bounded_mean, image_rate
from faultsim.table import Table

POPULATION = ("target", "bits", "op", "direction", "ber", "include", "exclude", "integers", "when")
"""Settings that say what faults are drawn from."""

CONDITIONS = ("limit", "perturb", "attack_model")
"""Settings that say on what they are tried."""

Told = Line | Outcome
"""What became of a trial."""

COUNTS = ("removed", "introduced", "left")
UNION = "two intervals, union bound"


@dataclass(frozen=True)
class Change:
    """Of one rate in one condition.

    Attributes:
        cell: The labels of the condition.
        rate: failure (SDC or DUE), sdc, due, or an event of the task.
        first: The rate in the first campaign.
        second: In the second.
        difference: The second less the first, from -1 to 1.
        removed: Trials in which it happened to samples of the first campaign only; None unless
            trials are paired.
        introduced: Of the second only.
        left: Of both.
    """

    cell: Cell
    rate: str
    first: Estimate
    second: Estimate
    difference: Estimate
    removed: int | None = None
    introduced: int | None = None
    left: int | None = None


@dataclass(frozen=True, repr=False)
class Comparison:
    """What :func:`compare` found.

    Attributes:
        paired: Whether each trial struck the same faults in both campaigns.
        why: Why not.
        confidence: That each interval of a difference holds, at least.
        changes: Each rate in each condition.
    """

    paired: bool
    why: str
    confidence: float
    changes: list[Change]

    def table(self) -> Table:
        """A row for each rate and condition: the first, the second, and their difference."""
        rows = [
            {
                **change.cell,
                "rate": change.rate,
                "first": change.first.value,
                "second": change.second.value,
                "difference": change.difference.value,
                "low": change.difference.low,
                "high": change.difference.high,
                **({name: getattr(change, name) for name in COUNTS} if self.paired else {}),
            }
            for change in self.changes
        ]
        how = "each trial struck the same faults in both" if self.paired else f"not, {self.why}"
        note = f"Paired: {how}. Intervals of {self.confidence:.4g}, each of its own."
        return Table(tuple(dict.fromkeys(name for row in rows for name in row)), rows, note)

    def __repr__(self) -> str:
        return repr(self.table())

    def _repr_html_(self) -> str:
        return self.table()._repr_html_()


def compare(
    first: CampaignResult | str | Path,
    second: CampaignResult | str | Path,
    confidence: float | None = None,
) -> Comparison:
    """The rates of two campaigns, and their differences with intervals.

    Where trials struck the same faults, differences are those of pairs: Gaffke's interval for the
    mean of values from -1 to 1, a trial each. Where faults differ, the interval of each rate has
    half of the error, and the difference lies between their ends (a union bound). Of two estimates
    it is made from their own intervals and holds with 1 - 2 (1 - confidence) of theirs. Exhaustive
    campaigns were not sampled and have no interval.

    Args:
        first: A campaign that has ended, or its directory.
        second: The one to compare with it.
        confidence: Of the differences, 0.95 by default; none of estimates, whose own counts.

    Raises:
        ConfigError: The campaigns are not of a kind, or strike other populations; or a confidence
            that cannot be had.
        JournalError: A directory holds no campaign, or a damaged one.
    """
    if confidence is not None and not 0 < confidence < 1:
        raise ConfigError(f"confidence lies between 0 and 1, not at {confidence}")
    places = [
        Path(one.directory if isinstance(one, CampaignResult) else one) for one in (first, second)
    ]
    one, other = (_ended(place) for place in places)
    names = str(places[0]), str(places[1])
    _check_kind(one, other, names)
    _check_same(one, other, CONDITIONS, names)
    if one.manifest.config["mode"] == "estimate":
        _check_population(one, other, names)
        if confidence is not None:
            raise ConfigError(
                "--confidence does not go with estimates: a difference holds as their own lets it"
            )
        return _of_estimates(one, other)
    level = CONFIDENCE if confidence is None else confidence
    why = _unpaired(one.lines, other.lines)
    if why:
        _check_population(one, other, names)
    sampled = one.manifest.config["mode"] != "exhaustive"
    return Comparison(not why, why, level, list(_changes(one, other, why, level, sampled)))


def _ended(place: Path) -> Recorded:
    found = read_campaign(place)
    if found.summary is None:
        raise ConfigError(f"the campaign in {place} has not ended: finish it with --resume")
    if found.manifest.config["mode"] == "worst-case":
        raise ConfigError(
            f"{place} holds a search for the worst case, which is no sample to compare"
        )
    return found


def _check_kind(one: Recorded, other: Recorded, names: tuple[str, str]) -> None:
    """Trials of a kind: estimates weigh theirs, the others do not."""
    for mode in ("estimate", "exhaustive"):
        modes = [recorded.manifest.config["mode"] for recorded in (one, other)]
        if (modes[0] == mode) != (modes[1] == mode):
            raise ConfigError(
                f"{names[0]} is of --mode {modes[0]} and {names[1]} of {modes[1]}: compare "
                "campaigns of one mode"
            )
    if one.manifest.data.digest != other.manifest.data.digest:
        raise ConfigError(f"{names[0]} and {names[1]} were run on other data")


def _check_population(one: Recorded, other: Recorded, names: tuple[str, str]) -> None:
    _check_same(one, other, POPULATION, names)
    sizes = one.manifest.space, other.manifest.space
    if (sizes[0].bits, sizes[0].sites) != (sizes[1].bits, sizes[1].sites):
        raise ConfigError(
            f"{names[0]} and {names[1]} strike other populations: {sizes[0].bits:,} bits of "
            f"{sizes[0].tensors} tensors and {sizes[1].bits:,} of {sizes[1].tensors}, or of other "
            "names; --include the layers that both have, or compare a protection by "
            "faultsim protect"
        )


def _check_same(
    one: Recorded, other: Recorded, settings: Sequence[str], names: tuple[str, str]
) -> None:
    was, now = with_defaults(one.manifest.config), with_defaults(other.manifest.config)
    for name in settings:
        if was[name] != now[name]:
            raise ConfigError(
                f"{names[0]} was run with {name} = {was[name]}, {names[1]} with {now[name]}"
            )


def _unpaired(lines: Sequence[Line], others: Sequence[Line]) -> str:
    """Why trials are no pairs; "" where they are."""
    if len(lines) != len(others):
        return f"there are {len(lines):,} trials and {len(others):,}"
    for line, other in zip(lines, others, strict=True):
        same = (line.cell, line.sample, line.n) == (other.cell, other.sample, other.n)
        if not same or line.faults != other.faults:
            return f"trial {line.trial} struck other faults, or others' samples"
    return ""


def _cells(lines: Sequence[Line]) -> dict[bytes, list[Line]]:
    found: dict[bytes, list[Line]] = {}
    for line in lines:
        found.setdefault(msgspec.json.encode(line.cell), []).append(line)
    return found


def _changes(
    one: Recorded, other: Recorded, why: str, confidence: float, sampled: bool
) -> Iterator[Change]:
    groups, others = _cells(one.lines), _cells(other.lines)
    for key in groups.keys() ^ others.keys():
        raise ConfigError(f"only one of the campaigns has trials of {key.decode()}")
    for key, lines in groups.items():
        sides = lines, others[key]
        yield from changes_of(lines[0].cell, *sides, confidence, paired=not why, sampled=sampled)


def changes_of(
    cell: Cell,
    first: Sequence[Told],
    second: Sequence[Told],
    confidence: float = CONFIDENCE,
    *,
    paired: bool = True,
    sampled: bool = True,
) -> Iterator[Change]:
    """The rates of some trials, and of as many others, with their differences.

    Args:
        cell: Labels of their condition.
        first: Outcomes, or lines of a journal.
        second: The same; of the same faults where they are paired.
        confidence: Of the differences.
        paired: Whether each trial of the one has its like in the other.
        sampled: Whether they were drawn, so that there are intervals.
    """
    make = _of_pairs if paired else _of_samples
    for name, count in _rates(first, second).items():
        events = [np.array([count(told) for told in side]) for side in (first, second)]
        sizes = [np.array([told.n for told in side]) for side in (first, second)]
        found = make(cell, name, events, sizes, confidence)
        yield found if sampled else _exact(found)


def _rates(lines: Sequence[Told], others: Sequence[Told]) -> dict[str, Callable[[Told], int]]:
    """How often each that both campaigns tell of happened in a trial."""

    def event(name: str) -> Callable[[Told], int]:
        return lambda line: (line.events or {}).get(name, 0)

    known: dict[str, Callable[[Told], int]] = {
        "failure": lambda line: line.sdc + line.due,
        "sdc": lambda line: line.sdc,
        "due": lambda line: line.due,
    }
    told = [
        dict.fromkeys(name for line in side for name in line.events or {})
        for side in (lines, others)
    ]
    return {**{name: event(name) for name in told[0] if name in told[1]}, **known}


def _of_pairs(
    cell: Cell, name: str, events: Sequence[Any], sizes: Sequence[Any], confidence: float
) -> Change:
    was, now = events[0] > 0, events[1] > 0
    rates = [image_rate(*side, confidence) for side in zip(events, sizes, strict=True)]
    difference = bounded_mean((events[1] - events[0]) / sizes[0], -1, 1, confidence, "pairs")
    counts = (was & ~now).sum(), (now & ~was).sum(), (was & now).sum()
    return Change(cell, name, rates[0], rates[1], difference, *map(int, counts))


def _of_samples(
    cell: Cell, name: str, events: Sequence[Any], sizes: Sequence[Any], confidence: float
) -> Change:
    rates = [image_rate(*side, (1 + confidence) / 2) for side in zip(events, sizes, strict=True)]
    return Change(cell, name, rates[0], rates[1], _between(rates[0], rates[1]))


def _between(was: Estimate, now: Estimate) -> Estimate:
    """Where both intervals hold, the difference lies between their ends."""
    n, value = was.n + now.n, now.value - was.value
    if was.low is None or was.high is None or now.low is None or now.high is None:
        return Estimate(value, None, None, n, "one trial")
    return Estimate(value, now.low - was.high, now.high - was.low, n, UNION)


def _exact(change: Change) -> Change:
    def plain(found: Estimate) -> Estimate:
        return Estimate(found.value, None, None, found.n, "exhaustive")

    parts: Mapping[str, Any] = {name: getattr(change, name) for name in change.__dataclass_fields__}
    ends = {name: plain(parts[name]) for name in ("first", "second", "difference")}
    return Change(**{**parts, **ends})


def _of_estimates(one: Recorded, other: Recorded) -> Comparison:
    told = [recorded.summary.estimate for recorded in (one, other) if recorded.summary]
    was, now = told[0], told[1]
    assert was is not None
    assert now is not None
    if was.rate != now.rate:
        raise ConfigError(f"one campaign estimated the rate of {was.rate}, the other of {now.rate}")
    both = [Estimate(e.value, e.low, e.high, e.n, e.method) for e in (was, now)]
    change = Change({}, was.rate, both[0], both[1], _between(*both))
    confidence = max(was.confidence + now.confidence - 1, 0.0)
    return Comparison(False, "estimates draw faults by what they learn", confidence, [change])
