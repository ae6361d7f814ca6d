"""The kinds of things that faults strike; each is a target that a campaign can have."""

from __future__ import annotations

from typing import Literal, get_args

Kind = Literal["weights", "activations", "states", "kv-cache"]
"""Parameters and buffers; outputs of modules; hidden states of selective scans; what a
model keeps from one forward pass of a run for the next."""

KINDS: tuple[str, ...] = get_args(Kind)
