"""Patch drop: how many patches, which pixels, whose mask."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from faultsim.errors import ConfigError
from faultsim.perturb import patch_drop


def borders(side: int, grid: int) -> list[int]:
    """The first pixel of each patch, and the side."""
    return [-(-i * side // grid) for i in range(grid + 1)]


@given(st.data())
def test_exactly_so_many_whole_patches_of_each_image_are_dropped(data):
    height, width = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 12))
    grid = data.draw(st.integers(1, min(height, width)))
    fraction = data.draw(st.floats(0, 1))
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 1000)))
    x = torch.rand(3, 2, height, width, generator=generator) * 0.9 + 0.1
    dropped = patch_drop(x, grid=grid, fraction=fraction, generator=generator)
    rows, columns = borders(height, grid), borders(width, grid)
    gone = torch.zeros(3)
    for top, bottom in pairwise(rows):
        for left, right in pairwise(columns):
            patch = (..., slice(top, bottom), slice(left, right))
            zero = (dropped[patch] == 0).flatten(1)
            assert torch.equal(zero.all(dim=1), zero.any(dim=1))
            kept = ~zero[:, 0]
            assert torch.equal(dropped[patch][kept], x[patch][kept])
            gone += zero[:, 0]
    assert gone.tolist() == [round(fraction * grid**2)] * 3


@given(st.integers(1, 300), st.data())
def test_sides_of_patches_differ_by_a_pixel_at_most(side, data):
    grid = data.draw(st.integers(1, side))
    edges = borders(side, grid)
    sizes = {b - a for a, b in pairwise(edges)}
    assert sizes <= {side // grid, side // grid + 1}


def test_more_is_dropped_as_the_fraction_grows(seeded):
    x = torch.ones(2, 1, 28, 28)
    fractions = (0, 0.1, 0.5, 0.9, 1)
    left = [patch_drop(x, grid=14, fraction=f, generator=seeded()) for f in fractions]
    for more, fewer in pairwise(left):
        assert (fewer <= more).all()
    assert torch.equal(left[0], x)
    assert not left[-1].any()


def test_every_patch_is_as_likely_as_another(seeded):
    x = torch.ones(4000, 1, 3, 3)
    shares = 1 - patch_drop(x, grid=3, fraction=1 / 3, generator=seeded()).mean(dim=(0, 1))
    assert torch.allclose(shares, torch.full((3, 3), 1 / 3), atol=0.03)


def test_a_shared_mask_is_one_draw_for_the_batch(seeded):
    how = {"grid": 4, "fraction": 0.5}
    shared = patch_drop(torch.ones(5, 2, 8, 8), **how, generator=seeded(), share_mask=True)
    alone = patch_drop(torch.ones(1, 2, 8, 8), **how, generator=seeded())
    assert torch.equal(shared, alone.expand(5, -1, -1, -1))


@pytest.mark.parametrize(
    ("grid", "fraction", "match"),
    [(0, 0.5, "grid of 0"), (9, 0.5, "8 × 10 pixels"), (4, 1.1, "1.1"), (4, torch.nan, "nan")],
)
def test_refusals(grid, fraction, match, seeded):
    with pytest.raises(ConfigError, match=match):
        patch_drop(torch.ones(1, 1, 8, 10), grid=grid, fraction=fraction, generator=seeded())
