"""Forward hooks that an interrupt cannot leave behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn
from torch.utils.hooks import RemovableHandle

Hook = Callable[..., Any]


class ForwardHooks:
    """Forward hooks on the modules of a model.

    torch hands out the handle of a hook once the hook is there, and an interrupt in between would
    leave a hook that nobody can take off. Here the handle comes first.
    """

    def __init__(self) -> None:
        self._handles: list[RemovableHandle] = []

    def before(self, module: nn.Module, hook: Hook) -> None:
        """Calls ``hook(module, args, kwargs)`` before every forward pass of a module."""
        with_kwargs = module._forward_pre_hooks_with_kwargs
        handle = RemovableHandle(module._forward_pre_hooks, extra_dict=with_kwargs)
        self._handles.append(handle)
        with_kwargs[handle.id] = True  # first, for another thread may be running the module
        module._forward_pre_hooks[handle.id] = hook

    def after(self, module: nn.Module, hook: Hook) -> None:
        """Calls ``hook(module, args, output)`` after every forward pass of a module."""
        handle = RemovableHandle(module._forward_hooks)
        self._handles.append(handle)
        module._forward_hooks[handle.id] = hook

    def remove(self) -> None:
        """Takes the hooks off; may be called again, after an interrupt or for nothing."""
        for handle in self._handles:
            handle.remove()
