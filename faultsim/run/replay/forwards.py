"""Stands between modules and their ``forward``, for as long as a context lasts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from faultsim.run.compiled import is_compiled

Forward = Callable[..., Any]
_CLOSED = (torch.jit.ScriptModule, nn.DataParallel, nn.parallel.DistributedDataParallel)


def open_modules(model: nn.Module) -> dict[str, nn.Module]:
    """The modules below ``model`` whose calls can be seen, by the first of their names.

    Modules that are scripted, or that run as replicas, are closed, and so is all below them. None
    can be seen where anything is compiled: it may call any module past its ``forward``, and would
    be compiled anew, to other last bits, for being watched.
    """
    modules = list(model.modules())
    if is_compiled(model):
        return {}
    replicas = [module for module in modules if isinstance(module, _CLOSED)]
    closed = {id(inner) for module in replicas for inner in module.modules()}
    named = model.named_modules()
    return {name: module for name, module in named if name and id(module) not in closed}


@contextmanager
def other_forwards(
    modules: Mapping[str, nn.Module], around: Callable[[str, Forward], Forward]
) -> Iterator[None]:
    """Gives every module the ``forward`` that ``around(name, its own)`` returns.

    Hooks of the modules run as ever, and models that look for hooks, or at the signature of a
    ``forward``, see nothing new.
    """
    before: list[tuple[dict[str, Any], Forward | None]] = []
    live = [True]
    try:
        try:
            for name, module in modules.items():
                own = module.__dict__  # past nn.Module's slow __setattr__
                before.append((own, own.get("forward")))
                own["forward"] = _while(live, around(name, module.forward), module.forward)
            yield
        finally:
            _put_back(live, before)
    except BaseException:
        _put_back(live, before)  # once more: an interrupt may have come between
        raise


def _put_back(live: list[bool], before: list[tuple[dict[str, Any], Forward | None]]) -> None:
    live.clear()  # first, so that those that a second interrupt leaves behind do nothing
    for own, forward in reversed(before):
        own.pop("forward", None)
        if forward is not None:
            own["forward"] = forward


def _while(live: list[bool], other: Forward, forward: Forward) -> Forward:
    def either(*args: Any, **kwargs: Any) -> Any:
        return (other if live else forward)(*args, **kwargs)

    either.__wrapped__ = forward  # type: ignore[attr-defined]
    return either
