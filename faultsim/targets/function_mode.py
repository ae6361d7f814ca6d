"""Sees the functions of torch as Python calls them, for as long as a function runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch.overrides import TorchFunctionMode, _get_current_function_mode


class FunctionMode(TorchFunctionMode):
    """Hands the calls of torch's functions on, for as long as :meth:`run` lasts."""

    def __init__(self, called: Callable[[Any, Any, Any], Any]) -> None:
        """Is not on yet.

        Args:
            called: Given a function, its arguments and its keywords; returns what it returns.
        """
        super().__init__()
        self._called, self._on = called, False

    @property
    def first(self) -> bool:
        """Whether it sees calls before all others."""
        return _get_current_function_mode() is self  # type: ignore[no-untyped-call]

    def run(self, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Runs a function; what that runs itself does nothing more."""
        if self._on:
            return function(*args, **kwargs)
        self._on = True
        return between(self.__enter__, lambda: function(*args, **kwargs), self._off)

    def pause(self, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Runs a function without it, if it is the first to see calls."""
        if not self.first:
            return function(*args, **kwargs)

        def again() -> None:
            if not self.first:
                self.__enter__()  # type: ignore[no-untyped-call]

        return between(self._leave, lambda: function(*args, **kwargs), again)

    def _off(self) -> None:
        if self.first:
            self._leave()
        self._on = False

    def _leave(self) -> None:
        self.__exit__(None, None, None)  # type: ignore[no-untyped-call]

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self._called(func, args, kwargs or {})


def between(enter: Callable[[], Any], act: Callable[[], Any], leave: Callable[[], Any]) -> Any:
    """Acts, and leaves whatever comes; leaving twice must do nothing more."""
    try:
        try:
            enter()
            return act()
        finally:
            leave()
    except BaseException:
        leave()  # once more: an interrupt may have come between
        raise
