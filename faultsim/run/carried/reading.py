"""What is known of an operator that reads weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from faultsim.targets.layouts import Layout


@dataclass
class Reading:
    """What is known of an operator that reads weights.

    Attributes:
        inputs: Where samples lie in its tensors; None in those without.
        outputs: The same for what it returns.
        derives: Whether it makes a value that is the same for all samples, as of weights alone.
        apart: Whether samples can be told apart in its operands.
        seconds: By number of samples, what a run costs; of those that get the bits of the batch.
    """

    inputs: tuple[Layout | None, ...]
    outputs: tuple[Layout | None, ...]
    derives: bool = False
    apart: bool = True
    seconds: Mapping[int, float] = field(default_factory=dict)

    def short(self, size: int, count: int) -> Reading:
        """The same in a pass of fewer rows, that was seen to give the bits of the batch.

        Args:
            size: Samples of the batch.
            count: Rows of the pass.
        """
        if count == size or size not in self.seconds:
            return self
        seconds = {n: spent for n, spent in self.seconds.items() if n < count}
        return replace(self, seconds=seconds | {count: self.seconds[size] * count / size})
