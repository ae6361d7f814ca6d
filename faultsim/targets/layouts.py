"""Where the samples of a batch lie in the tensors of a model: found by running it, not guessed.

Golden passes of two sizes show which dimension follows the number of samples, and how many
positions each has in it. Passes of one size in which one sample differs show which positions are
its own: equal shapes give equal bits, so no other may change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from faultsim.dtypes import FORMATS
from faultsim.targets.inputs import Arguments, Run, Samples, readings
from faultsim.targets.untouched import untouched

SMALL, LARGE = 2, 3
"""Samples of the golden passes that are compared; neither divides the other."""

Shape = tuple[int, ...]
Ints = npt.NDArray[np.int64]
Seen = Callable[[str, torch.Tensor], None]


class Hooks(Protocol):
    """What watches a pass."""

    def register(self) -> None: ...

    def remove(self) -> None: ...


Watch = Callable[[Seen], Hooks]
"""Makes hooks that show each tensor with its name."""


class Layout(NamedTuple):
    """Where samples lie: a dimension of ``outer`` · samples · ``inner`` positions."""

    axis: int
    outer: int = 1
    inner: int = 1

    def owns(self, positions: Ints, samples: int, sample: int) -> bool:
        """Whether positions along the dimension are all of one sample."""
        return bool((positions // self.inner % samples == sample).all())


Found = dict[str, Layout | str]
"""By name, where samples lie; or why they cannot be told apart."""

CONSTANT = "its size does not follow the number of samples"
SEVERAL = "it has no one dimension that is proportional to the number of samples"
COUPLED = "what it holds of one sample depends on the others"
UNSEEN = "not every pass has it"
FOLDED = "its samples are folded, and those of the inputs do not lie along their leading dimension"
FIXED = "the model runs on one number of samples only, which does not tell them apart here"
NONE = "the inputs hold no samples that could be told apart"


def golden_pass(
    model: nn.Module, arguments: Arguments, hooks: Hooks, run: Run | None = None
) -> None:
    """Runs a model once for what hooks see; the model is as before, and so are its inputs."""
    with untouched(model):
        args, kwargs = arguments.copied()
        try:
            try:
                hooks.register()
                (model if run is None else run)(*args, **kwargs)
            finally:
                hooks.remove()
        except BaseException:
            hooks.remove()  # once more: an interrupt may have come between
            raise


def find_layouts(
    model: nn.Module,
    batch: Arguments,
    shapes: dict[str, Shape],
    watch: Watch,
    run: Run | None = None,
) -> Found:
    """Where samples lie in each of some tensors.

    Args:
        model: Run on two and on three samples, as it is; it is as before.
        batch: What it was given.
        shapes: Of the tensors, by name, when it was given that.
        watch: Makes hooks that show the tensors.
        run: How a batch goes through the model, if not as its arguments.

    Returns:
        By name, the layout, or the reason why there is none.
    """
    return read_batch(model, batch, shapes, watch, run)[0]


def read_batch(
    model: nn.Module,
    batch: Arguments,
    shapes: dict[str, Shape],
    watch: Watch,
    run: Run | None = None,
) -> tuple[Found, Samples | None]:
    """As :func:`find_layouts`; with the way to read the batch by which they were found, if any."""
    best: Found = dict.fromkeys(shapes, NONE)
    reading: Samples | None = None
    fewest = len(shapes) + 1, 0
    for samples in readings(batch):
        found = _found(model, samples, shapes, watch, run)
        if found is None:
            continue
        untold = sum(isinstance(layout, str) for layout in found.values())
        if (untold, len(samples.shared)) < fewest:
            best, fewest = found, (untold, len(samples.shared))
            reading = samples
        clear = untold < len(found) and not {COUPLED, SEVERAL} & {*found.values()}
        if clear and not samples.shared:
            break
    return best, reading


def _found(
    model: nn.Module,
    samples: Samples,
    shapes: dict[str, Shape],
    watch: Watch,
    run: Run | None,
) -> Found | None:
    """None if the model does not run on batches that are read so."""
    for sizes in ((SMALL, LARGE), (samples.size, samples.size)):
        try:
            return _Passes(model, samples, sizes, shapes, watch, run).found()
        except Exception:  # of the model
            continue
    return None


class _Passes:
    """Golden passes, and what they show if samples lie in the batch as supposed."""

    def __init__(
        self,
        model: nn.Module,
        samples: Samples,
        sizes: tuple[int, int],
        shapes: dict[str, Shape],
        watch: Watch,
        run: Run | None,
    ) -> None:
        self._model, self._samples, self._watch, self._through = model, samples, watch, run
        self._small, self._large = sizes
        self._names = list(shapes)
        self._shapes = {samples.size: shapes}
        self._changed: list[tuple[int, int, dict[str, dict[int, Ints]]]] = []

    def found(self) -> Found:
        """Where samples lie in each tensor."""
        if self._small < self._large:
            self._run(self._small, None, self._shape_at(self._small))
        elif self._large < SMALL:
            raise ValueError("one sample shows nothing")
        self._compare(self._large, self._large - 2)
        found = {name: self._layouts(name) for name in self._names}
        if any(not isinstance(item, str) and len(item) > 1 for item in found.values()):
            self._compare(self._small, self._small - 1)
            found = {name: self._layouts(name) for name in self._names}
        return {name: self._chosen(item) for name, item in found.items()}

    def _shape_at(self, size: int) -> Seen:
        shapes = self._shapes[size] = {}

        def seen(name: str, tensor: torch.Tensor) -> None:
            shapes[name] = tuple(tensor.shape)

        return seen

    def _run(self, size: int, altered: int | None, seen: Seen) -> None:
        rows = [row % self._samples.size for row in range(size)]
        batch = self._samples.take(rows, altered)
        golden_pass(self._model, batch, self._watch(seen), self._through)

    def _compare(self, size: int, altered: int) -> None:
        """Notes which positions of each tensor change with one sample."""
        golden: dict[str, torch.Tensor] = {}
        changed: dict[str, dict[int, Ints]] = {}
        shape_at = self._shape_at(size)

        def keep(name: str, tensor: torch.Tensor) -> None:
            shape_at(name, tensor)
            golden[name] = tensor.detach().clone()

        def compare(name: str, tensor: torch.Tensor) -> None:
            before, axes = golden.pop(name, None), self._axes(name)
            if before is not None and before.shape == tensor.shape:
                changed[name] = {axis: _changed(before, tensor, axis) for axis in axes}

        self._run(size, None, keep)
        self._run(size, altered, compare)
        self._changed.append((size, altered, changed))

    def _possible(self, name: str) -> list[Layout] | str:
        shapes = {size: seen[name] for size, seen in self._shapes.items() if name in seen}
        return possible_layouts(shapes) if len(shapes) == len(self._shapes) else UNSEEN

    def _axes(self, name: str) -> set[int]:
        possible = self._possible(name)
        return set() if isinstance(possible, str) else {layout.axis for layout in possible}

    def _layouts(self, name: str) -> list[Layout] | str:
        """Those that all passes allow, the likeliest first; or why there is none."""
        possible = self._possible(name)
        if isinstance(possible, str):
            return possible
        for size, altered, changed in self._changed:
            positions = changed.get(name)
            if positions is None:
                return UNSEEN
            possible = [at for at in possible if at.owns(positions[at.axis], size, altered)]
        return possible or COUPLED

    def _chosen(self, layouts: list[Layout] | str) -> Layout | str:
        if isinstance(layouts, str):
            return layouts
        if self._small == self._large and len(layouts) > 1:
            return FIXED
        if layouts[0][1:] != (1, 1) and self._samples.axis != 0:
            return FOLDED
        return layouts[0]


def possible_layouts(shapes: Mapping[int, Shape]) -> list[Layout] | str:
    """The layouts that a tensor's shapes at several numbers of samples allow, the likeliest first.

    That is also the order of preference where no value tells: samples outermost, as windows of an
    image that follow one another; then innermost; then between. From one number of samples alone,
    all that it divides.
    """
    if len({len(shape) for shape in shapes.values()}) > 1:
        return SEVERAL
    dimensions = list(zip(*shapes.values(), strict=True))
    axes = list(range(len(dimensions)))
    if len(shapes) > 1:
        axes = [axis for axis in axes if len(set(dimensions[axis])) > 1]
        if len(axes) != 1:
            return SEVERAL if axes else CONSTANT
    found = []
    for axis in axes:
        times = {length / size for size, length in zip(shapes, dimensions[axis], strict=True)}
        each = times.pop()
        if not times and each and each.is_integer():
            found += [Layout(axis, n, int(each) // n) for n in _divisors(int(each))]
    return found or SEVERAL


def _divisors(number: int) -> list[int]:
    """All divisors: 1, then the number itself, then the others."""
    small = [d for d in range(1, int(number**0.5) + 1) if number % d == 0]
    found = sorted({*small, *(number // d for d in small)})
    return list(dict.fromkeys([1, number, *found]))


def differs(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Where two tensors differ in a bit."""
    fmt = FORMATS.get(one.dtype)
    if fmt is None or fmt.word == one.dtype:
        return one != other
    return one.contiguous().view(fmt.word) != other.detach().contiguous().view(fmt.word)


def _changed(one: torch.Tensor, other: torch.Tensor, axis: int) -> Ints:
    """In which positions along a dimension two tensors differ."""
    rows = differs(one, other).movedim(axis, 0).reshape(one.shape[axis], -1)
    return np.flatnonzero(rows.any(dim=1).cpu().numpy())
