"""What goes into the architectures: random images, tokens and sequences, small and few."""

from __future__ import annotations

import torch

SAMPLES, CLASSES, VOCABULARY = 4, 10, 64

Pair = tuple[torch.Tensor, torch.Tensor]


def images(side: int = 64, channels: int = 3) -> torch.Tensor:
    """(n, channels, side, side)."""
    return torch.rand(SAMPLES, channels, side, side)


def labels() -> torch.Tensor:
    """(n,)."""
    return torch.arange(SAMPLES) % CLASSES


def labelled(samples: torch.Tensor) -> dict[str, Pair]:
    """Splits of labelled samples, as a campaign of a classifier takes them."""
    return {"test": (samples, labels()), "val": (samples, labels())}


def tokens(length: int = 8) -> torch.Tensor:
    """(n, length) token ids, none of them special."""
    return torch.randint(5, VOCABULARY, (SAMPLES, length))


def sentences(length: int = 8) -> list[dict[str, torch.Tensor]]:
    """Two batches of tokens with a mask, the last tokens of one sample padding."""
    batches = []
    for ids in tokens(length).split(SAMPLES // 2):
        mask = torch.ones_like(ids)
        mask[-1, length - 2 :] = 0
        batches.append({"input_ids": ids, "attention_mask": mask})
    return batches
