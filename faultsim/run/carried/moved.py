"""Whether samples of a batch give the same bits in other rows of a pass.

Kernels may sum in another order where there are fewer rows, or in the last of them. The output
alone does not tell: it may be rounded, or be a class. So all that operators return is compared, by
numbers that stand for the words of each sample. Words of fewer digits than float32 hide another
order nearly always, and not always: where there are any, nothing is moved.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from faultsim import trees
from faultsim.run.carried.pass_ import Diverged
from faultsim.run.carried.tails import Tail
from faultsim.run.dispatch import Dispatch

WORDS = {torch.float32: torch.int32, torch.float64: torch.int64}
"""Floats whose bits show an order of sums, and their words."""
SPREAD = -1640531535
"""Some odd number; products of words wrap around."""
TOGETHER = 1 << 24
"""Words that are summed at a time, which takes as much memory again."""
UNWRITTEN = ("empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided")

Axes = Sequence[Sequence[int | None]]
"""By operator and tensor that it returns, the dimension of samples; None where there is none."""


def is_coarse(tensor: torch.Tensor) -> bool:
    """Whether rounding may hide in which order its numbers were summed."""
    rounded = tensor.is_floating_point() or tensor.dtype == torch.complex32 or tensor.is_quantized
    return rounded and tensor.dtype not in WORDS


class Digests(Dispatch):
    """Sums up what the operators of a pass return.

    Attributes:
        found: By operator and tensor, a number for each position along its dimension of samples.
        coarse: Whether there were words that hide an order of sums.
    """

    def __init__(self, funcs: Sequence[Any], axes: Axes) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: list[list[torch.Tensor]] = []
        self.coarse = False
        self._funcs, self._axes = funcs, axes

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        number = len(self.found)
        if number >= len(self._funcs) or self._funcs[number] is not func:
            raise Diverged
        result = func(*args, **(kwargs or {}))
        outputs = list(trees.tensors(result))
        self.coarse |= any(map(is_coarse, outputs))
        told = zip(outputs, self._axes[number], strict=False)
        skipped = func.is_view or func.overloadpacket.__name__ in UNWRITTEN
        self.found.append([] if skipped else [_sums(*each) for each in told])
        return result


class Moved:
    """What the operators of a batch return, to hold passes of other rows against.

    Attributes:
        possible: Whether any pass could agree.
    """

    def __init__(self, size: int, funcs: Sequence[Any], axes: Axes) -> None:
        """Runs nothing.

        Args:
            size: Samples of the batch.
            funcs: The operators of a pass.
            axes: Of what they return.
        """
        self._size, self._funcs, self._axes = size, funcs, axes
        self._golden: list[list[torch.Tensor]] | None = None

    def keep(self, run: Callable[[], Any]) -> None:
        """Runs the whole batch, each sample in its row."""
        with Digests(self._funcs, self._axes) as digests:
            run()
        self._golden = None if digests.coarse else digests.found

    @property
    def possible(self) -> bool:
        return self._golden is not None

    def agrees(self, run: Callable[[], Any], tail: Tail, samples: Sequence[int]) -> bool:
        """Whether a pass, or what is left of one, has such samples in its rows, bit for bit."""
        if self._golden is None:
            return False
        behind = tail.first - tail.before
        digests = Digests(tail.funcs, [*[()] * behind, *self._axes[tail.first :]])
        with digests:
            run()
        found = digests.found[behind:]
        return not digests.coarse and all(
            self._same(golden, moved, samples)
            for one, other in zip(self._golden[tail.first :], found, strict=True)
            for golden, moved in zip(one, other, strict=True)
        )

    def _same(self, golden: torch.Tensor, moved: torch.Tensor, samples: Sequence[int]) -> bool:
        if golden.ndim == 0 or moved.ndim == 0:
            return golden.shape == moved.shape and torch.equal(golden, moved)
        size, count = self._size, len(samples)
        if len(golden) % size or len(moved) % count:
            return False
        where = torch.tensor(samples, device=golden.device)
        inner = torch.equal(golden.view(size, -1)[where], moved.view(count, -1))
        return inner or torch.equal(golden.view(-1, size)[:, where], moved.view(-1, count))


def _sums(tensor: torch.Tensor, axis: int | None) -> torch.Tensor:
    """(positions,) or () int64, of a tensor of no floats zero."""
    lengths = () if axis is None else (tensor.shape[axis],)
    if tensor.is_complex():
        tensor = torch.view_as_real(tensor)
    if tensor.dtype not in WORDS:
        return torch.zeros(lengths, dtype=torch.int64, device=tensor.device)
    rows = tensor.detach() if axis is None else tensor.detach().movedim(axis, 0)
    words = rows.reshape(*(lengths or (1,)), -1).view(WORDS[tensor.dtype])
    # Odd numbers that differ by place: a word that differs changes the sum.
    keys = torch.arange(words.shape[1], dtype=words.dtype, device=words.device) * SPREAD | 1
    count = max(1, TOGETHER // max(1, words.shape[1]))
    parts = (words[n : n + count] for n in range(0, max(1, len(words)), count))
    return torch.cat([(part * keys).sum(dim=1, dtype=torch.int64) for part in parts]).view(lengths)
