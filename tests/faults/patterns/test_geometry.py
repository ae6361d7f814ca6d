"""The geometry of each pattern: what it covers at every place, against drawings by hand."""

from __future__ import annotations

import math
from collections import Counter

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faultsim.faults.patterns import PATTERNS, AnyEvent, Event, Extent

EXAMPLES = [
    {"pattern": "bit"},
    {"pattern": "adjacent-bits", "width": 3},
    {"pattern": "adjacent-bits", "width": 11, "within": "tensor"},
    {"pattern": "adjacent-bits", "width": 5, "within": "tensor", "cut": True},
    {"pattern": "scattered-bits", "count": 2, "bytes": 2},
    {"pattern": "scattered-bits", "count": 3, "bytes": 32, "cut": True},
    {"pattern": "byte"},
    {"pattern": "word"},
    {"pattern": "line", "bytes": 32},
    {"pattern": "line", "bytes": 64, "cut": True},
    {"pattern": "dram-beat", "pins": 64, "burst": 4},
    {"pattern": "dram-beat", "pins": 8, "burst": 4, "cut": True},
    {"pattern": "dram-pin", "pins": 64, "burst": 4},
    {"pattern": "dram-pin", "pins": 16, "burst": 8, "cut": True},
    {"pattern": "dram-row", "row_bytes": 64, "pins": 64, "burst": 4},
    {"pattern": "dram-row", "row_bytes": 64, "cut": True},
    {"pattern": "dram-column", "row_bytes": 32, "rows": 3},
    {"pattern": "dram-column", "row_bytes": 32, "rows": 2, "width": 8, "cut": True},
    {"pattern": "lane", "warp": 4, "times": 2},
    {"pattern": "lane", "warp": 4, "times": 2, "period": 8, "bits": 1, "cut": True},
    {"pattern": "warp", "warp": 8},
    {"pattern": "warp", "warp": 4, "times": 3, "period": 8, "bits": 2},
    *(
        {
            "pattern": "systolic", "unit": unit, "dataflow": flow, "rows": 2, "columns": 3,
            "features": side, "tiles": tiles,
        }
        for unit in ("element", "row", "column")
        for flow in ("output-stationary", "weight-stationary")
        for side in ("first", "last")
        for tiles in ("one", "all")
    ),
    {"pattern": "channel", "axis": 0},
    {"pattern": "channel", "axis": -1, "bits": 1},
    {"pattern": "tile", "size": [2]},
    {"pattern": "tile", "size": [2, 2], "channels": "all"},
    {"pattern": "tile", "size": [2, 2], "aligned": True},
]  # fmt: skip

extents = st.builds(
    lambda shape, width, flip, at_rest: Extent(
        tuple(shape),
        width,
        tuple(range(width)),
        tuple(range(len(shape)))[:: -1 if flip else 1],
        at_rest,
    ),
    st.lists(st.integers(1, 9), max_size=3),
    st.sampled_from([8, 16, 32, 64]),
    st.booleans(),
    st.booleans(),
)


def event(**fields) -> Event:
    return msgspec.convert({"probability": 1.0, **fields}, AnyEvent)


def bits_of(mask: int) -> list[int]:
    return [bit for bit in range(64) if mask >> bit & 1]


def addresses(extent: Extent, words) -> set[int]:
    """Bit addresses in memory, by looking each word up."""
    order = extent.index(np.arange(extent.words)).tolist()
    where = {index: at for at, index in enumerate(order)}
    pairs = zip(words.index.tolist(), words.mask.tolist(), strict=True)
    return {where[index] * extent.width + bit for index, mask in pairs for bit in bits_of(mask)}


def test_every_pattern_has_an_example():
    assert {example["pattern"] for example in EXAMPLES} == set(PATTERNS)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda s: "-".join(map(str, s.values())))
@given(extents, st.integers(0, 2**62))
@settings(max_examples=12)
def test_every_place_is_in_the_tensor(example, extent, drawn):
    made = event(**example)
    number = made.places(extent)
    for place in {0, number - 1, drawn % number} if number else ():
        words = made.struck(extent, place)
        assert len(words.index) == len(words.mask) > 0
        assert len(set(words.index.tolist())) == len(words.index)
        assert words.index.min() >= 0
        assert words.index.max() < extent.words
        allowed = (1 << extent.width) - 1
        assert all(mask and not (mask & (1 << 64) - 1) & ~allowed for mask in words.mask.tolist())
        assert made.said(extent)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda s: "-".join(map(str, s.values())))
def test_places_differ_and_are_all_there(example):
    made = event(**example)
    extent = Extent((3, 4, 6), 16, tuple(range(16)), (2, 0, 1), False)
    seen = Counter(
        tuple(sorted(addresses(extent, made.struck(extent, place))))
        for place in range(min(made.places(extent), 600))
    )
    assert seen
    assert set(seen.values()) == {1}


FLOAT = Extent((32, 8), 32, tuple(range(32)))


def test_adjacent_bits_go_on_in_the_next_word():
    words = event(pattern="adjacent-bits", width=4, within="tensor").struck(FLOAT, 30)
    assert words.index.tolist() == [0, 1]
    assert words.mask.tolist() == [3 << 30, 3]
    inside = event(pattern="adjacent-bits", width=4)
    assert inside.places(FLOAT) == 256 * 29


def test_a_line_is_aligned_and_follows_memory():
    made = event(pattern="line", bytes=32)
    assert made.places(FLOAT) == 32
    assert made.struck(FLOAT, 3).index.tolist() == list(range(24, 32))
    turned = Extent((32, 8), 32, tuple(range(32)), (1, 0))
    assert made.struck(turned, 0).index.tolist() == [8 * row for row in range(8)]
    assert set(made.struck(FLOAT, 3).mask.tolist()) == {(1 << 32) - 1}


def test_a_row_says_what_it_is():
    made = event(pattern="dram-row", row_bytes=512, pins=64, burst=4)
    words = made.struck(FLOAT, 1)
    assert words.index.tolist() == list(range(128, 256))
    assert made.said(FLOAT) == "row of 16 × 8 words"
    assert event(pattern="dram-row", row_bytes=2048, pins=256).said(FLOAT) == "row of 16 × 32 words"


def test_a_pin_strikes_one_bit_of_each_beat():
    made = event(pattern="dram-pin", pins=64, burst=4)
    assert made.places(FLOAT) == 32 * 64
    words = made.struck(FLOAT, 2 * 64 + 37)  # the third access: words 16 to 23; bit 5 of odd ones
    assert words.index.tolist() == [17, 19, 21, 23]
    assert words.mask.tolist() == [1 << 5] * 4


def test_a_beat_is_eight_bytes_of_an_access():
    words = event(pattern="dram-beat", pins=64).struck(FLOAT, 5)
    assert words.index.tolist() == [10, 11]


def test_a_column_is_one_bit_line():
    made = event(pattern="dram-column", row_bytes=64, rows=4)
    assert made.places(FLOAT) == 4 * 512
    words = made.struck(FLOAT, 512 + 33)
    assert words.index.tolist() == [65, 81, 97, 113]
    assert words.mask.tolist() == [2] * 4


def test_scattered_bits_are_every_subset_once():
    extent = Extent((2,), 8, tuple(range(8)))
    made = event(pattern="scattered-bits", count=3, bytes=1)
    assert made.places(extent) == 2 * math.comb(8, 3)
    seen = {tuple(map(int, np.concatenate(made.struck(extent, p)))) for p in range(112)}
    assert len(seen) == 112
    cut = event(pattern="scattered-bits", count=2, bytes=3, cut=True)
    rest = Extent((4,), 8, tuple(range(8)))
    assert cut.places(rest) == math.comb(24, 2) + math.comb(8, 2)
    assert {tuple(cut.struck(rest, 276 + p).index.tolist()) for p in range(28)} == {(3,)}


def test_a_lane_strikes_once_a_warp():
    made = event(pattern="lane", warp=32, times=3, bits=1)
    words = made.struck(FLOAT, (32 * 2 + 7) * 32 + 30)
    assert words.index.tolist() == [71, 103, 135]
    assert words.mask.tolist() == [1 << 30] * 3


def test_a_warp_recurs_with_its_period():
    made = event(pattern="warp", warp=32, times=2, period=64)
    assert made.struck(FLOAT, 1).index.tolist() == [*range(32, 64), *range(96, 128)]


def systolic(unit, flow, tiles="one", features="last"):
    return event(
        pattern="systolic", unit=unit, dataflow=flow, rows=4, columns=3, features=features,
        tiles=tiles,
    )  # fmt: skip


OUTPUT = Extent((10, 7), 32, tuple(range(32)), at_rest=False)


@pytest.mark.parametrize("tiles", ["one", "all"])
@pytest.mark.parametrize("unit", ["element", "row", "column"])
def test_an_output_stationary_array_against_a_simulation(unit, tiles):
    """An accumulator that adds 1 in the faulty unit, run tile by tile."""
    wanted = set()
    for r in range(4) if unit != "column" else [None]:
        for c in range(3) if unit != "row" else [None]:
            whole = set()
            for top in range(0, 10, 4):
                for left in range(0, 7, 3):
                    hit = {
                        (top + i) * 7 + left + j
                        for i in range(4)
                        for j in range(3)
                        if top + i < 10 and left + j < 7 and r in (None, i) and c in (None, j)
                    }
                    whole |= hit
                    wanted |= {frozenset(hit)} if tiles == "one" else set()
            wanted |= {frozenset(whole)} if tiles == "all" else set()
    made = systolic(unit, "output-stationary", tiles)
    found = {
        frozenset(made.elements(OUTPUT, group).tolist()) for group in range(made.groups(OUTPUT))
    }
    assert found == wanted - {frozenset()}


def test_a_weight_stationary_element_spoils_a_column_of_the_output():
    made = systolic("element", "weight-stationary")
    assert made.groups(OUTPUT) == 7
    assert made.elements(OUTPUT, 4).tolist() == [4 + 7 * row for row in range(10)]
    assert systolic("element", "weight-stationary", "all").elements(OUTPUT, 1).tolist() == [
        row * 7 + column for row in range(10) for column in (1, 4)
    ]
    images = Extent((7, 5, 2), 32, tuple(range(32)), at_rest=False)
    first = systolic("element", "weight-stationary", features="first")
    assert first.elements(images, 4).tolist() == list(range(40, 50))


def test_arrays_hold_weights_only_where_those_are_stationary():
    weights = Extent((7, 10), 32, tuple(range(32)))
    assert systolic("element", "output-stationary").groups(weights) == 0
    held = systolic("element", "weight-stationary", features="first")
    assert held.groups(weights) == 70
    assert len(held.elements(weights, 33)) == 1


def test_a_channel_and_a_tile():
    image = Extent((3, 4, 5), 32, tuple(range(32)), at_rest=False)
    assert event(pattern="channel").elements(image, 1).tolist() == list(range(20, 40))
    assert event(pattern="channel", axis=2).elements(image, 4).tolist() == list(range(4, 60, 5))
    tile = event(pattern="tile", size=[2, 3])
    assert tile.groups(image) == 3 * 3 * 3
    assert tile.elements(image, 9 + 4).tolist() == [26, 27, 28, 31, 32, 33]
    every = event(pattern="tile", size=[2, 3], channels="all", aligned=True)
    assert every.groups(image) == 2
    assert every.elements(image, 1).tolist() == [
        20 * c + 5 * row + column for c in range(3) for row in (2, 3) for column in (0, 1, 2)
    ]


def test_patterns_fit_where_all_their_bits_may_be_struck():
    exponent = Extent((4,), 32, tuple(range(23, 31)))
    assert event(pattern="bit").places(exponent) == 4 * 8
    assert event(pattern="adjacent-bits", width=3).places(exponent) == 4 * 6
    assert event(pattern="lane", warp=1, bits=2).places(exponent) == 4 * 7
    for fields in ({"pattern": "byte"}, {"pattern": "word"}, {"pattern": "line", "bytes": 4}):
        assert event(**fields).places(exponent) == 0
