"""What a campaign was run with: ``manifest.json``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

from msgspec import field

from faultsim.campaign.lines import OutcomeRecord
from faultsim.config import CampaignConfig, checked_settings
from faultsim.errors import ConfigError, JournalError
from faultsim.faultmodels import FaultModel
from faultsim.files import Count, Number, Record, read_json

MANIFEST = "manifest.json"
TRANSIENT = ("out", "resume", "replay", "workers", "executor", "address")
"""Settings that no outcome depends on."""

EXTENSIBLE = ("random", "layer-wise", "bit-wise")
"""Modes whose trials are independent of one another, so that there can be more of them."""

MARGINS = ("margin", "relative", "part_margin")
"""Settings of an estimate that can become smaller."""


class ModelRecord(Record):
    digest: str


class DataRecord(Record):
    name: str
    digest: str
    task: str = ""
    positive: int | None = None
    images: dict[str, Count] | None = None
    samples: dict[str, Count] | None = None


class SpaceRecord(Record):
    tensors: Count = 0
    bits: Count = 0
    skipped: dict[str, str] = field(default_factory=dict)
    sites: dict[str, str] = field(default_factory=dict)
    layers: dict[str, Count] = field(default_factory=dict)


class FaultModelRecord(Record):
    """A fault model as it was, wherever its file is by now."""

    digest: str
    content: FaultModel


class Manifest(Record):
    """What a campaign was run with.

    Attributes:
        config: The settings.
        live: What was given as an object rather than by name: ``model``, ``data``.
        model: Its digest.
        data: Name, digest, task and sizes.
        space: The bits that could be struck; the dtype of each tensor, in the model's order; how
            many bits each layer holds at a time.
        golden: The golden run on the test split, of perturbed images where there are such.
        versions: Of faultsim and what it stands on.
        clean: The golden run on the images as they are, where others are perturbed.
        planned: How many trials there are to be, or at most; None where it was not recorded.
        objective: Of a task that is no classification, the figure that counts; "" for none.
        observed: Outputs that are observed, in the order of the pass, and their numbers of samples.
        ranges: Least and greatest possible value of the figures of such a task that have them.
        fault_model: The events that were drawn, of a campaign that draws such.
        operators: Digests of the code of operators of one's own, by import path.
        name: What a live model is called.
        reach: A digest of the profile that says what an attacker can reach.
    """

    config: dict[str, Any]
    model: ModelRecord
    data: DataRecord
    space: SpaceRecord
    golden: OutcomeRecord
    versions: dict[str, str]
    live: list[str] = field(default_factory=list)
    clean: OutcomeRecord | None = None
    planned: Count | None = None
    objective: str | None = None
    observed: dict[str, Count] = field(default_factory=dict)
    ranges: dict[str, tuple[Number, Number]] = field(default_factory=dict)
    fault_model: FaultModelRecord | None = None
    operators: dict[str, str] = field(default_factory=dict)
    name: str | None = None
    reach: dict[str, str] = field(default_factory=dict)

    @property
    def settings(self) -> CampaignConfig:
        """The settings as they were given, without what is no part of a campaign.

        Raises:
            ConfigError: They are none of a campaign.
        """
        return CampaignConfig(**checked_settings(self.config))

    def check_number(self, path: Path, trials: int) -> None:
        """Raises JournalError where a journal has more trials than were planned."""
        if self.planned is not None and trials > self.planned:
            raise JournalError(
                f"{path} has {trials} trials, more than the {self.planned} that {MANIFEST} plans"
            )


def check_begun(directory: Path) -> None:
    """Raises JournalError where there is no campaign to go on with."""
    if not (directory / MANIFEST).is_file():
        raise JournalError(
            f"{directory} holds no campaign: it has no {MANIFEST}; leave --resume out to begin one"
        )


def read_manifest(directory: Path) -> Manifest:
    """The manifest of a campaign directory.

    Raises:
        JournalError: There is none, or it is damaged.
    """
    path = directory / MANIFEST
    if not path.is_file():
        raise JournalError(f"{directory} holds no campaign: it has no {MANIFEST}")
    manifest = read_json(path, Manifest, JournalError)
    lacking = [name for name in NEEDED if name not in manifest.config]
    if lacking:
        raise JournalError(f"{path}: $.config: missing required field {lacking[0]}")
    try:
        _ = manifest.settings
    except ConfigError as error:
        raise JournalError(f"{path}: $.config: {error}") from None
    return manifest


NEEDED = ("mode", "data", "seed", "target", "flips", "ber", "bits", "op", "direction")
"""Settings that every campaign has recorded; later ones have their defaults where they lack."""


def asked_for_more(was: Manifest, now: Mapping[str, Any]) -> tuple[str, ...]:
    """Settings by which a campaign is asked for more than it was begun with, and can have it.

    More trials of those that do not depend on one another; of an estimate a smaller margin, or
    another number at which it ends in any case.
    """
    config = now["config"]
    if config["mode"] in EXTENSIBLE and "trials" in was.config:
        return ("trials",) if was.planned is not None and now["planned"] > was.planned else ()
    if config["mode"] != "estimate":
        return ()
    before = with_defaults(was.config)
    smaller = [n for n in MARGINS if before[n] and config[n] and config[n] < before[n]]
    return (*smaller, *(["max_trials"] if config["max_trials"] != before["max_trials"] else []))


def with_defaults(config: Mapping[str, Any]) -> dict[str, Any]:
    """Recorded settings, and those that there were none of when they were recorded."""
    known = {f.name: f.default for f in fields(CampaignConfig) if f.name not in TRANSIENT}
    return {**json.loads(json.dumps(known)), **config}


def check_same(
    place: Path, recorded: Mapping[str, Any], now: Mapping[str, Any], parts: Sequence[str]
) -> None:
    """Refuses to go on with what was begun otherwise.

    Args:
        place: Of the record, for the message.
        recorded: Its tables, by name.
        now: Those of this run.
        parts: Names of the tables that must agree.

    Raises:
        JournalError: It names the first difference.
    """
    for differs in differences(recorded, now, parts):
        raise JournalError(
            f"{place} was begun with {differs.name} = {differs.was}, now it is {differs.now}; "
            "resume with the same, or start another"
        )


class Difference(NamedTuple):
    """Of two records.

    Attributes:
        name: Of the table, and of what differs in it.
        was: Its value in the record.
        now: Its value in the other.
    """

    name: str
    was: Any
    now: Any


def differences(
    recorded: Mapping[str, Any], now: Mapping[str, Any], parts: Sequence[str]
) -> Iterator[Difference]:
    """What differs between two records in the tables of these names."""
    fresh = json.loads(json.dumps(now))
    for part in parts:
        before, after = recorded.get(part) or {}, fresh.get(part) or {}
        for key in dict.fromkeys([*before, *after]):
            if before.get(key) != after.get(key):
                yield Difference(f"{part} {key}", before.get(key), after.get(key))
