"""Compiled models are run as they were before: one path for golden and faulty runs alike.

What a compiled model computes depends on what it has met before: another batch size, a hook or a
gradient makes it compile anew, to other last bits, and then serves the golden run's inputs too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from faultsim.errors import ConfigError


@contextmanager
def uncompiled(model: nn.Module) -> Iterator[None]:
    """Runs compiled modules and functions as plain Python for a while.

    Raises:
        ConfigError: The model is compiled, and this version of torch cannot do that.
    """
    if not is_compiled(model):
        yield
        return
    stance = getattr(torch.compiler, "set_stance", None)
    if stance is None:
        raise ConfigError(
            "the model is compiled, and may compute other last bits from pass to pass: give it as "
            "it was before torch.compile, or use torch 2.6"
        )
    with stance("force_eager"):
        yield


def is_compiled(model: nn.Module) -> bool:
    """Whether it, or a module or function in it, is compiled."""
    return any(map(_compiled, model.modules()))


def _compiled(module: nn.Module) -> bool:
    kept = vars(module).values()
    functions = any(hasattr(value, "_torchdynamo_orig_callable") for value in kept)
    return "_orig_mod" in module._modules or functions
