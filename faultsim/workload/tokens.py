"""Tokens in batches and outputs: what went in, what was written, where it ends and differs."""

from __future__ import annotations

from collections.abc import Set
from typing import Any

import torch

from faultsim import trees
from faultsim.workload.batch import Batch
from faultsim.workload.readout import named


def ids(batch: Batch) -> torch.Tensor | None:
    """The tokens that went in, (n, t); of a decoder, where there are two."""
    found = named(batch.inputs, "decoder_input_ids", "input_ids")
    if found is None:
        found = next((leaf for leaf in trees.tensors(batch.inputs) if whole(leaf)), None)
    return found if isinstance(found, torch.Tensor) and whole(found) else None


def whole(tensor: torch.Tensor) -> bool:
    """Whether it holds whole numbers."""
    return not (tensor.is_floating_point() or tensor.is_complex())


def rows(output: Any) -> list[torch.Tensor] | None:
    """The tokens of each sample: of a list, or of rows in a tensor; None where there are none."""
    if isinstance(output, list):
        found = [leaf for leaf in output if isinstance(leaf, torch.Tensor) and leaf.ndim == 1]
        return found if len(found) == len(output) and all(map(whole, found)) else None
    told = named(output, "sequences")
    if not isinstance(told, torch.Tensor) or told.ndim != 2 or not whole(told):
        return None
    return list(told)


def steps(output: Any) -> torch.Tensor | None:
    """What tokens were chosen by, (n, steps, vocabulary), if told; what was ruled out is finite."""
    if isinstance(output, (torch.Tensor, list)):
        return None
    told = named(output, "logits", "scores")
    found = [step for step in trees.tensors(told) if step.is_floating_point()]
    if not found:
        return None
    chosen = torch.stack(found, dim=1) if found[0].ndim == 2 else found[0]
    return chosen.masked_fill(chosen == -torch.inf, torch.finfo(chosen.dtype).min)


def written(tokens: list[int], eos: Set[int]) -> list[int]:
    """Tokens up to the first that ends them, which is one of them."""
    ends = (at for at, token in enumerate(tokens) if token in eos)
    return tokens[: next(ends, len(tokens)) + 1]


def unfilled(tokens: list[int], eos: Set[int]) -> list[int]:
    """A row that may hold ``eos`` in its prompt, without what fills it up after the last one."""
    end = len(tokens)
    while end > 1 and tokens[end - 1] == tokens[end - 2]:
        end -= 1
    if end > 1 and tokens[end - 2] in eos:
        end -= 1
    return tokens[:end] if end and tokens[end - 1] in eos else tokens


def difference(one: list[int], other: list[int], *, lengths: bool) -> int | None:
    """The first position where two rows differ, or where one ends, if ``lengths`` count."""
    for place, (was, now) in enumerate(zip(one, other, strict=False)):
        if was != now:
            return place
    return min(len(one), len(other)) if lengths and len(one) != len(other) else None
