"""What the faults of a batch mean to one operator: the words that it reads, and what they reach."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import repeat
from typing import Any, NamedTuple

import numpy as np

from faultsim.run.carried.operators import Call
from faultsim.run.carried.reading import Reading
from faultsim.run.carried.regions import Region, region_of
from faultsim.run.carried.storage import Ints, Struck, coordinates, memory_of

Reached = list[tuple[int, ...]] | None
"""Positions in a few dimensions of an output; None where they are not known."""


class Hits(NamedTuple):
    """What the faults of some samples mean to an operator.

    Attributes:
        parts: The struck words that it reads, a storage each.
        dims: The dimensions of its first output that tell apart what is reached.
        reached: By sample, the positions in these; None where they are not known.
    """

    parts: list[Struck]
    dims: tuple[int, ...]
    reached: dict[int, Reached]

    def struck_for(self, samples: Sequence[int]) -> list[Struck]:
        """The words of some of the samples."""
        if len(samples) == len(self.reached):
            return self.parts
        own = ((part, np.isin(part.samples, samples)) for part in self.parts)
        return [part.rows(rows) for part, rows in own if rows.any()]


def hits_of(call: Call, patches: Mapping[int, Struck], reading: Reading, output: Any) -> Hits:
    """What of the faults an operator reads.

    Args:
        call: The operator.
        patches: By address of a storage, the words that are struck there.
        reading: What is known of it.
        output: Its first.
    """
    rows: dict[int, Any] = {}
    dims: set[tuple[int, ...]] = set()
    reached: defaultdict[int, list[tuple[int, ...]]] = defaultdict(list)
    for leaf in call.tensors:
        tensor = call.leaves[leaf]
        part = patches.get(address := memory_of(tensor))
        if part is None:
            continue
        where, at = coordinates(tensor, part) or (np.arange(len(part.samples)), None)
        if not len(where):
            continue
        rows.setdefault(address, np.zeros(len(part.samples), bool))[where] = True
        region = None if at is None else _region(call, leaf, at, reading, output)
        dims.add(region.dims if region else ())
        places = map(tuple, region.at.tolist()) if region else repeat(())
        for sample, place in zip(part.samples[where].tolist(), places, strict=False):
            reached[sample].append(place)
    parts = [patches[a] if own.all() else patches[a].rows(own) for a, own in rows.items()]
    if len(dims) == 1 and (known := dims.pop()):
        return Hits(parts, known, dict(reached))
    return Hits(parts, (), dict.fromkeys(reached))


def _region(call: Call, leaf: int, at: Ints, reading: Reading, output: Any) -> Region | None:
    """What words reach, if it is a part of each sample."""
    layout = None if reading.derives else reading.outputs[0]
    region = None if layout is None else region_of(call, leaf, at, output)
    return None if region is None or (layout and layout.axis in region.dims) else region


def groups_of(reached: Mapping[int, Reached]) -> list[list[int]]:
    """Samples whose faults reach different parts of the output, to be struck together."""
    groups: list[tuple[set[tuple[int, ...]], list[int]]] = []
    for sample, places in reached.items():
        mine = set(places or ())
        for taken, samples in groups:
            if mine and taken and not taken & mine:
                taken |= mine
                samples.append(sample)
                break
        else:
            groups.append((mine, [sample]))
    return [samples for _, samples in groups]
