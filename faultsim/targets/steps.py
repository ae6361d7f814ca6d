"""Tensors that one run of a batch computes in several forward passes: the steps of a generation.

A step is the number of a forward pass of the model within one run. What a module puts out there may
have another shape than before (a prompt of many tokens, then one at a time), and some modules run
in some passes only. A site holds all of it: every word at every step at which there is one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from faultsim.faults import Site
from faultsim.faults.site import STRUCK_ONCE
from faultsim.kinds import Kind
from faultsim.targets.layouts import UNSEEN, Found, Layout, Shape

VARIES = "its dtype, or its number of dimensions, is not the same in every pass"
MOVES = "its samples do not lie alike in every pass"
RARE = "it is a single number, and not every pass has it"


class Words(NamedTuple):
    """What a site is in one pass."""

    dtype: str
    shape: Shape


Step = int | None
"""None where a tensor is computed outside of a forward pass."""


def key_of(name: str, step: Step) -> str:
    """What the tensor of a site is called in one of several passes."""
    return f"{name} step {step}" if step else name


class Sites:
    """What golden passes have seen of each site, and the sites that this makes.

    Attributes:
        sites: In the order in which they were first seen.
        skipped: Names of what can be none, with the reason.
        whole: Names of the sites whose samples cannot be told apart, with the reason.
    """

    def __init__(self, kind: Kind) -> None:
        self._kind: Kind = kind
        self._seen: dict[str, dict[Step, Words]] = {}
        self.sites: list[Site] = []
        self.skipped: dict[str, str] = {}
        self.whole: dict[str, str] = {}

    def see(self, name: str, step: Step, words: Words) -> None:
        """Notes what a pass computes."""
        self._seen.setdefault(name, {})[step] = words

    @property
    def names(self) -> list[str]:
        """In the order in which they were first seen."""
        return list(self._seen)

    @property
    def shapes(self) -> dict[str, Shape]:
        """The shapes that are to be found again in passes of other sizes."""
        return {
            key_of(name, step): words.shape
            for name, seen in self._seen.items()
            for step, words in seen.items()
        }

    def place(self, layouts: Found, steps: int) -> None:
        """Makes the sites, once it is known where samples lie.

        Args:
            layouts: Of :attr:`shapes`.
            steps: Forward passes of the run.
        """
        for name, seen in self._seen.items():
            several = (steps > 1 and seen.keys() != {None}) or self._kind in STRUCK_ONCE
            if len({(words.dtype, len(words.shape)) for words in seen.values()}) > 1:
                self.skipped[name] = VARIES
                continue
            layout = _layout(name, seen, layouts)
            if isinstance(layout, str):
                self.whole[name] = layout
            shapes = {
                step: words.shape if isinstance(layout, str) else one_sample(words.shape, layout)
                for step, words in seen.items()
            }
            if several and len(shapes) < steps and () in shapes.values():
                self.skipped[name] = RARE
                self.whole.pop(name, None)
                continue
            dtype = next(iter(seen.values())).dtype
            self.sites.append(self._site(name, dtype, shapes, layout, steps if several else 0))

    def _site(
        self, name: str, dtype: str, shapes: Mapping[Step, Shape], layout: Layout | str, steps: int
    ) -> Site:
        rank = len(next(iter(shapes.values())))
        each = tuple(shapes.get(step, (0,) * rank) for step in range(steps))
        known = each or tuple(shapes.values())
        largest = tuple(map(max, zip(*known, strict=True)))
        where = (False, steps) if isinstance(layout, str) else (True, steps, *layout)
        site = Site(name, self._kind, dtype, largest, *where)
        return site if len(set(known)) == 1 else replace(site, shapes=each)


def _layout(name: str, seen: Mapping[Step, Words], layouts: Found) -> Layout | str:
    """The one layout of all passes; one that small batches do not come to is as the others are."""
    found = {step: layouts[key_of(name, step)] for step in seen}
    told = {layout for layout in found.values() if layout != UNSEEN}
    if len(told) != 1:
        return MOVES if told else UNSEEN
    (layout,) = told
    if isinstance(layout, Layout) and len(found) > 1:
        lengths = {words.shape[layout.axis] for words in seen.values()}
        return layout if len(lengths) == 1 else MOVES
    return layout


def one_sample(shape: Shape, layout: Layout) -> Shape:
    """The shape of one sample of a tensor."""
    folds = [size for size in layout[1:] if size > 1]
    return (*shape[: layout.axis], *folds, *shape[layout.axis + 1 :])
