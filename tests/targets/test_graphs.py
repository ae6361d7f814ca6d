"""Random small graphs: the fault that a space numbers is the word that changes, and no other.

The oracle runs each graph by hand, beside a tensor that says to which sample every word belongs: in
row-major order, the words of one sample are the elements of a site.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from faultsim import FaultSet, FaultSpace, inject
from faultsim.faults import Fault

SIGN = 1 << 31


class Affine(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 1.5 + 0.25


class Pair(nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x * 0.5, x + 0.75


@dataclass(frozen=True)
class Step:
    """One operation on the value of a graph.

    Attributes:
        kind: A module ("affine", "leaky", "pair"), "again" for the last "affine" module once more,
            or a function: "permute", "merge", "couple".
        choice: Which permutation, or which dimensions to merge; of "leaky", whether the caller
            discards what the module returns.
    """

    kind: str
    choice: int


def moved(x: torch.Tensor, step: Step) -> torch.Tensor:
    if step.kind == "permute":
        order = sorted(range(x.ndim), key=lambda d: (d * 7 + step.choice) % (x.ndim + 1))
        return x.permute(order)
    if x.ndim < 2:
        return x
    first = step.choice % (x.ndim - 1)
    return x.reshape(*x.shape[:first], -1, *x.shape[first + 2 :])


def together(x: torch.Tensor) -> torch.Tensor:
    return x + x.sum()


class Graph(nn.Module):
    """The steps as modules and functions."""

    def __init__(self, steps: list[Step]) -> None:
        super().__init__()
        self.steps = steps
        made = {"affine": Affine, "leaky": lambda: nn.LeakyReLU(0.5, inplace=True), "pair": Pair}
        for number, step in enumerate(steps):
            if step.kind in made:
                self.add_module(f"m{number}", made[step.kind]())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        last = nn.Identity()
        for number, step in enumerate(self.steps):
            module = getattr(self, f"m{number}", None)
            if step.kind == "affine":
                last, x = module, module(x)
            elif step.kind == "again":
                x = last(x) + 0.5
            elif step.kind == "leaky":
                x = x + 0.125
                kept, returned = x, module(x)
                x = kept if step.choice % 2 else returned
            elif step.kind == "pair":
                left, right = module(x)
                x = left - right
            else:
                x = together(x) if step.kind == "couple" else moved(x, step)
        return x


Strike = Callable[[str, torch.Tensor, torch.Tensor, bool], torch.Tensor]


def by_hand(steps: list[Step], x: torch.Tensor, strike: Strike) -> torch.Tensor:
    """The graph's output; ``strike(name, value, owners, coupled)`` returns each module's output."""
    owners = torch.arange(len(x)).view(-1, *[1] * (x.ndim - 1)).expand(x.shape)
    last, calls, coupled = None, 0, False
    for number, step in enumerate(steps):
        name = f"m{number}"
        if step.kind == "affine":
            last, calls = name, 1
            x = strike(name, x * 1.5 + 0.25, owners, coupled)
        elif step.kind == "again" and last is not None:
            x = strike(f"{last}@{calls}", x * 1.5 + 0.25, owners, coupled) + 0.5
            calls += 1
        elif step.kind == "again":
            x = x + 0.5
        elif step.kind == "leaky":
            x = x + 0.125
            x = strike(name, torch.where(x > 0, x, x * 0.5), owners, coupled)
        elif step.kind == "pair":
            left = strike(f"{name}:0", x * 0.5, owners, coupled)
            x = left - strike(f"{name}:1", x + 0.75, owners, coupled)
        elif step.kind == "couple":
            x, coupled = together(x), True
        else:
            x, owners = moved(x, step), moved(owners, step)
    return x


def negated(fault: Fault, offset: int) -> Strike:
    """Flips the sign of the fault's word in each sample that it strikes."""

    def strike(name: str, value: torch.Tensor, owners: torch.Tensor, coupled: bool) -> torch.Tensor:
        if name != fault.tensor:
            return value
        flat = value.reshape(-1).clone()
        if coupled:
            flat[fault.index] = -flat[fault.index]
        for sample in [] if coupled else owners.unique().tolist():
            if fault.sample in (None, sample + offset):
                word = (owners.reshape(-1) == sample).nonzero()[fault.index]
                flat[word] = -flat[word]
        return flat.view(value.shape)

    return strike


kinds = st.sampled_from(
    ["affine", "leaky", "pair", "again", "permute", "merge", "permute", "merge"]
)
graphs = st.lists(st.builds(Step, kinds, st.integers(0, 5)), min_size=1, max_size=7)
sizes = st.integers(1, 7)


def batch(samples: int, dims: list[int], seed: int) -> torch.Tensor:
    return torch.randn(samples, *dims, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("coupled", [False, True])
@settings(max_examples=60)
@given(
    steps=graphs,
    dims=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    found_at=sizes,
    struck_at=st.lists(sizes, min_size=1, max_size=3),
    data=st.data(),
)
def test_the_word_that_is_numbered_is_the_word_that_changes(
    coupled, steps, dims, found_at, struck_at, data
):
    middle = [Step("affine", 0), Step("couple", 0)] if coupled else []
    steps = [Step("affine", 0), *middle, *steps, Step("affine", 0)]
    model = Graph(steps)
    if coupled:
        struck_at = [found_at]  # an element of the whole output needs an output of that size
    space = FaultSpace(model, "activations", "31", inputs=batch(found_at, dims, 0))
    (fault,) = space.locate([data.draw(st.integers(0, len(space) - 1))])
    if fault.site.per_sample:
        sample = data.draw(st.one_of(st.none(), st.integers(0, sum(struck_at) - 1)))
        fault = Fault(fault.site, fault.index, SIGN, sample=sample)
    offset = 0
    with inject(model, FaultSet.of([fault])) as injector, torch.no_grad():
        for number, samples in enumerate(struck_at):
            x = batch(samples, dims, number + 1)
            expected = by_hand(steps, x.clone(), negated(fault, offset))
            assert torch.equal(model(x), expected)
            injector.advance(samples)
            offset += samples
    assert torch.equal(model(x), by_hand(steps, x.clone(), lambda name, value, *_: value))


@settings(max_examples=40)
@given(steps=graphs, dims=st.lists(st.integers(1, 4), min_size=1, max_size=3))
def test_sites_and_their_sizes_do_not_depend_on_the_batch(steps, dims):
    model = Graph([*steps, Step("affine", 0)])
    spaces = [FaultSpace(model, "activations", inputs=batch(n, dims, n)) for n in (1, 2, 3, 5)]
    assert all(space.sites == spaces[0].sites for space in spaces)
    assert not spaces[0].whole
