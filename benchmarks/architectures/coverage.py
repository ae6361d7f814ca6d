"""How much of a model faults can strike: counted beside what the model itself says it has."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from benchmarks.architectures.words import leaves
from faultsim import FaultSpace

STEPS = ("scale", "zero_point")
"""Numbers of a quantised word's format, which are struck, but are not parameters."""


def coverage(model: nn.Module) -> dict[str, Any]:
    """Parameters, the share of them that are weight sites, and why others are not."""
    space = FaultSpace(model)
    own = {name: tensor.numel() for name, tensor in model.named_parameters()}
    words = {site.name: site.words for site in space.sites}
    sites = {n: size for n, size in words.items() if n in own or not n.endswith(STEPS)}
    buffers = dict(model.named_buffers())
    missed = {name: size for name, size in own.items() if not _struck(name, sites)}
    packed = sum(_packed(model, {*own, *buffers}))
    beside = [n for n in sites if n not in buffers and n.partition(":")[0] not in own]
    lost = max(0, packed - sum(sites[name] for name in beside))
    total = sum(own.values()) + packed
    reasons = {name: space.skipped.get(name, "no reason given") for name in missed}
    return {
        "parameters": total,
        "covered": 1 - (sum(missed.values()) + lost) / total if total else 1.0,
        "not_covered": reasons | {n: why for n, why in space.skipped.items() if n not in own},
        "weight_sites": len(space.sites),
    }


def _struck(name: str, sites: Iterable[str]) -> bool:
    """Whether a parameter is a site, or as a subclass has inner tensors that are."""
    return any(site == name or site.startswith(f"{name}:") for site in sites)


def _packed(model: nn.Module, known: set[str]) -> list[int]:
    """Sizes of weights that are no parameters: quantised ones with their biases, and what objects
    of torch hold."""
    state = model.state_dict().items()
    held = {n: value for n, value in state if n not in known and not n.endswith(STEPS)}
    words = [leaf for value in held.values() for _, leaf in _words(value)]
    return [leaf.numel() for leaf in {id(leaf): leaf for leaf in words}.values()]


def _words(value: Any) -> list[tuple[str, torch.Tensor]]:
    return [(name, leaf) for name, leaf in leaves(value) if not name.endswith(STEPS)]
