"""The kinds of things that faults strike; each is a target that a campaign can have."""

from __future__ import annotations

from typing import Literal, get_args

Kind = Literal[
    "weights", "activations", "states", "inputs", "module-inputs", "operations", "kv-cache"
]
"""Parameters and buffers; outputs of modules; hidden states of selective scans; what the model is
given; what each of its modules is given; results of functions between modules; what the model keeps
from one forward pass of a run for the next."""

When = Literal["after", "before"]
"""Whether a fault strikes after the user's own hooks of a module, or before."""

KINDS: tuple[str, ...] = get_args(Kind)
