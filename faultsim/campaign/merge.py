"""Shards of a campaign put together: the files of the campaign that nobody had cut."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

from faultsim.campaign.directory import MANIFEST, SUMMARY, TRIALS, read_trials
from faultsim.campaign.manifest import Manifest, differences, read_manifest
from faultsim.campaign.merged import merged_summary
from faultsim.campaign.observed import OBSERVED
from faultsim.config.shard import Shard, shard_of
from faultsim.errors import ConfigError, JournalError
from faultsim.files import replacing, write_json
from faultsim.files.writing import locked

COMPARED = ("config", "model", "data", "space", "golden", "fault_model", "operators")
NUMBERED = b'{"trial":'


def merge(directories: Sequence[str | Path], out: str | Path) -> int:
    """Puts all shards of a campaign together, and their summaries where each has one.

    Args:
        directories: Of the shards, in any order.
        out: A directory that does not hold a campaign.

    Returns:
        How many trials there are.

    Raises:
        ConfigError: ``out`` cannot be written, or holds a campaign.
        JournalError: The shards are of several campaigns, not all of one, twice the same, or not
            finished.
    """
    out = Path(out)
    places = _in_order([Path(directory) for directory in directories])
    manifests = [_uncut(place) for place in places]
    for place, manifest in zip(places, manifests, strict=True):
        _check_of_one(place, manifest, places[0], manifests[0])
    trials = sum(_finished(place) for place in places)
    with locked(out):
        if (out / MANIFEST).exists() or (out / TRIALS).exists():
            raise ConfigError(f"{out} holds a campaign: give another --out")
        for name in (TRIALS, OBSERVED):
            if (places[0] / name).exists():
                _interleave([place / name for place in places], out / name)
        write_json(out / MANIFEST, {**manifests[0], "planned": trials})
        if all((place / SUMMARY).exists() for place in places):
            write_json(out / SUMMARY, merged_summary(places, out))
    return trials


def _in_order(places: Sequence[Path]) -> list[Path]:
    """The directories of all shards, the first first."""
    found: dict[int, Path] = {}
    of = None
    for place in places:
        shard = _shard(place, read_manifest(place))
        if of not in (None, shard.of):
            raise JournalError(f"{place} is one of {shard.of} shards, {places[0]} one of {of}")
        if shard.first in found:
            raise JournalError(
                f"{place} and {found[shard.first]} are both shard {shard.first + 1}/{shard.of}"
            )
        of = shard.of
        found[shard.first] = place
    if of is None:
        raise JournalError("there is nothing to merge: give the directories of all shards")
    lacking = [f"{n + 1}/{of}" for n in range(of) if n not in found]
    if lacking:
        raise JournalError(f"shard {lacking[0]} is missing: give the directories of all shards")
    return [found[n] for n in sorted(found)]


def _check_of_one(place: Path, own: Mapping[str, Any], first: Path, its: Mapping[str, Any]) -> None:
    """Raises JournalError, naming the first difference, where two shards are of two campaigns."""
    for differs in differences(own, its, COMPARED):
        raise JournalError(
            f"{place} is of another campaign than {first}: {differs.name} = {differs.was}, there "
            f"{differs.now}; give the shards of one campaign"
        )


def _shard(place: Path, manifest: Manifest) -> Shard:
    named = manifest.config.get("shard")
    if named is None:
        raise JournalError(f"{place} is no shard, but a whole campaign")
    return shard_of(named)


def _uncut(place: Path) -> dict[str, Any]:
    """A manifest, as that of the whole campaign but for the number of its trials."""
    manifest: dict[str, Any] = json.loads((place / MANIFEST).read_bytes())
    return {**manifest, "config": {**manifest["config"], "shard": None}}


def _finished(place: Path) -> int:
    planned, trials = read_manifest(place).planned, len(read_trials(place))
    if trials != planned:
        raise JournalError(
            f"{place} has {trials} of {planned} trials: finish it with --resume before it is merged"
        )
    return trials


def _interleave(sources: Sequence[Path], target: Path) -> None:
    """One line of each in turn, numbered anew."""
    with ExitStack() as stack, replacing(target, JournalError) as draft:
        files = [stack.enter_context(source.open("rb")) for source in sources]
        with draft.open("wb") as file:
            for number, line in enumerate(_in_turn(files)):
                _, comma, rest = line.partition(b",")
                file.write(NUMBERED + str(number).encode() + comma + rest)


def _in_turn(files: Sequence[IO[bytes]]) -> Iterator[bytes]:
    while True:
        for file in files:  # the first shards have one more where the trials do not come out even
            line = file.readline()
            if not line:
                return
            yield line
