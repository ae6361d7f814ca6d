"""The kinds of things that faults strike; each is a target that a campaign can have."""

from __future__ import annotations

from typing import Literal, get_args

Kind = Literal["weights", "activations", "states"]
"""Parameters and buffers; outputs of modules; hidden states of selective scans."""

KINDS: tuple[str, ...] = get_args(Kind)
