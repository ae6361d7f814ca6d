"""Stands between modules and their ``forward``, for as long as a context lasts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

Forward = Callable[..., Any]
_CLOSED = (torch.jit.ScriptModule, nn.DataParallel, nn.parallel.DistributedDataParallel)


def open_modules(model: nn.Module) -> dict[str, nn.Module]:
    """The modules below ``model`` whose calls can be seen, by the first of their names.

    Modules that are compiled or scripted, or that run as replicas, are closed, and so is all below
    them.
    """
    found: dict[str, nn.Module] = {}
    seen = {id(model)}

    def walk(module: nn.Module, prefix: str) -> None:
        for name, child in module.named_children():
            if id(child) not in seen and not _closed(child):
                seen.add(id(child))
                found[prefix + name] = child
                walk(child, f"{prefix}{name}.")

    if not _closed(model):
        walk(model, "")
    return found


def _closed(module: nn.Module) -> bool:
    compiled = getattr(module, "_compiled_call_impl", None) is not None
    return compiled or "_orig_mod" in module._modules or isinstance(module, _CLOSED)


@contextmanager
def other_forwards(
    modules: Mapping[str, nn.Module], around: Callable[[str, Forward], Forward]
) -> Iterator[None]:
    """Gives every module the ``forward`` that ``around(name, its own)`` returns.

    Hooks of the modules run as ever, and models that look for hooks see no new ones.
    """
    before: list[tuple[dict[str, Any], Forward | None]] = []
    try:
        for name, module in modules.items():
            own = module.__dict__  # past nn.Module's slow __setattr__
            before.append((own, own.get("forward")))
            own["forward"] = around(name, module.forward)
        yield
    finally:
        for own, forward in reversed(before):
            own.pop("forward", None)
            if forward is not None:
                own["forward"] = forward
