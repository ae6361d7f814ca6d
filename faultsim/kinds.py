"""The kinds of things that faults strike; each is a target that a campaign can have."""

from __future__ import annotations

from typing import Literal, get_args

Kind = Literal["weights", "activations", "states"]
"""Parameters and buffers; outputs of modules; hidden states of selective scans."""

When = Literal["after", "before"]
"""Whether a fault strikes after the user's own hooks of a module, or before."""

KINDS: tuple[str, ...] = get_args(Kind)
