"""Forward hooks that an interrupt cannot leave behind."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from torch import nn
from torch.nn.modules import module as everywhere
from torch.utils.hooks import RemovableHandle

Hook = Callable[..., Any]
_Hooks = OrderedDict[int, Hook]


class ForwardHooks:
    """Forward hooks on the modules of a model.

    torch hands out the handle of a hook once the hook is there, and an interrupt in between would
    leave a hook that nobody can take off. Here the handle comes first.
    """

    def __init__(self) -> None:
        self._handles: list[RemovableHandle] = []

    def before(self, module: nn.Module, hook: Hook, *, first: bool = False) -> None:
        """Calls ``hook(module, args, kwargs)`` before every forward pass of a module.

        Args:
            module: The module.
            hook: Called after the hooks that are there.
            first: Called before those instead, also before those of all modules.
        """
        own: _Hooks = module._forward_pre_hooks  # type: ignore[assignment]
        hooks, hook = _place(own, everywhere._global_forward_pre_hooks, module, hook, first)
        with_kwargs = module._forward_pre_hooks_with_kwargs
        handle = RemovableHandle(hooks, extra_dict=with_kwargs)
        self._handles.append(handle)
        with_kwargs[handle.id] = True  # first, for another thread may be running the module
        hooks[handle.id] = hook
        if first:
            hooks.move_to_end(handle.id, last=False)

    def after(self, module: nn.Module, hook: Hook, *, first: bool = False) -> None:
        """Calls ``hook(module, args, output)`` after every forward pass of a module.

        Arguments as for :meth:`before`.
        """
        own: _Hooks = module._forward_hooks  # type: ignore[assignment]
        hooks, hook = _place(own, everywhere._global_forward_hooks, module, hook, first)
        handle = RemovableHandle(hooks)
        self._handles.append(handle)
        hooks[handle.id] = hook
        if first:
            hooks.move_to_end(handle.id, last=False)

    def remove(self) -> None:
        """Takes the hooks off; may be called again, after an interrupt or for nothing."""
        for handle in self._handles:
            handle.remove()


def _place(
    own: _Hooks, global_hooks: Any, module: nn.Module, hook: Hook, first: bool
) -> tuple[_Hooks, Hook]:
    """Where a hook goes: torch calls those of all modules before those of one."""
    if not (first and global_hooks):
        return own, hook

    def of_one(called: nn.Module, *given: Any) -> Any:
        return hook(called, *given) if called is module else None

    return global_hooks, of_one
