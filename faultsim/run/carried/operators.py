"""Operators of a pass, numbered, and which of them read which memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache, cached_property
from typing import Any, NamedTuple

import torch
from torch.utils._pytree import tree_flatten, tree_unflatten

from faultsim import trees
from faultsim.run.carried.storage import memory_of, storage_of
from faultsim.run.dispatch import Dispatch

Shape = tuple[int, ...]


class Call:
    """One operator with its operands.

    Attributes:
        func: The operator.
        leaves: Its operands, flattened.
        tensors: Positions in ``leaves`` of those that are tensors.
    """

    def __init__(self, func: Any, args: Any, kwargs: Any) -> None:
        self.func = func
        self.leaves, self._spec = tree_flatten((args, kwargs))
        self.tensors = [n for n, x in enumerate(self.leaves) if isinstance(x, torch.Tensor)]

    def run(self) -> Any:
        """Runs it."""
        args, kwargs = tree_unflatten(self.leaves, self._spec)
        return self.func(*args, **kwargs)

    def with_operands(self, changed: dict[int, torch.Tensor]) -> Call:
        """The same on other tensors, by their positions in ``leaves``."""
        other = object.__new__(Call)
        other.func, other._spec, other.tensors = self.func, self._spec, self.tensors
        other.leaves = [changed.get(n, leaf) for n, leaf in enumerate(self.leaves)]
        return other

    def written(self) -> list[int]:
        """Positions in ``leaves`` of the tensors that it changes in place."""
        if not (names := _written(self.func)):
            return []  # of nearly all
        args, kwargs = tree_unflatten(list(range(len(self.leaves))), self._spec)
        found: list[int] = []
        for at, name in names:
            given = args[at] if at < len(args) else kwargs.get(name, ())
            found += tree_flatten(given)[0]
        return [n for n in found if n in self.tensors]

    def argument(self, at: int) -> int | None:
        """Which positional argument the leaf number ``at`` is; None if it is a part of one."""
        return self._places.get(at)

    @cached_property
    def _places(self) -> dict[int, int]:
        args, _ = tree_unflatten(list(range(len(self.leaves))), self._spec)
        return {leaf: n for n, leaf in enumerate(args) if isinstance(leaf, int)}

    @cached_property
    def args(self) -> tuple[Any, ...]:
        """Its positional arguments."""
        args: tuple[Any, ...] = tree_unflatten(self.leaves, self._spec)[0]
        return args


@cache
def _written(func: Any) -> tuple[tuple[int, str], ...]:
    """Positions and names of the arguments that an operator changes in place."""
    arguments = enumerate(func._schema.arguments)
    aliased = ((at, each) for at, each in arguments if each.alias_info is not None)
    return tuple((at, each.name) for at, each in aliased if each.alias_info.is_write)


class Operator(NamedTuple):
    """What is known of one operator of a pass.

    Attributes:
        func: Which it is.
        reads: The values that its tensors hold, by number.
        makes: Those of what it returns.
        shapes: Of what it returns.
        written: Values that it changes in place.
    """

    func: Any
    reads: tuple[int, ...]
    makes: tuple[int, ...]
    shapes: tuple[Shape, ...]
    written: tuple[int, ...]


Seen = Callable[[str, torch.Tensor], None]


def nothing(name: str, tensor: torch.Tensor) -> None:
    """Sees nothing."""


class Operators(Dispatch):
    """Lists the operators of a pass. Values of weights are numbered first, in the order given.

    As hooks of a golden pass: :meth:`register` begins to watch, :meth:`remove` ends.

    Attributes:
        found: In the order they ran.
        read: Values whose numbers left the tensors, as control flow reads them.
    """

    def __init__(
        self, weights: Iterable[int], seen: Seen = nothing, only: frozenset[int] | None = None
    ) -> None:
        """Runs nothing.

        Args:
            weights: Addresses of their storages.
            seen: Is shown operands and results of the operators, before and after they run.
            only: The numbers of those of which it is.
        """
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: list[Operator] = []
        self._number = {address: n for n, address in enumerate(weights)}
        self._next = len(self._number)
        # Lest memory is used again, and one value taken for another. Storages, for torch makes
        # another tensor of one that somebody holds.
        self._kept: list[Any] = []
        self._see, self._only = seen, only
        self._on = False

    def register(self) -> None:
        self._on = True
        self.__enter__()  # type: ignore[no-untyped-call]

    def remove(self) -> None:
        if self._on:
            self._on = False
            self.__exit__(None, None, None)  # type: ignore[no-untyped-call]
            self._kept.clear()

    def _value(self, tensor: torch.Tensor, fresh: bool) -> int:
        address = memory_of(tensor)
        if fresh or address not in self._number:
            self._number[address], self._next = self._next, self._next + 1
        return self._number[address]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        call = Call(func, args, kwargs or {})
        given = [call.leaves[n] for n in call.tensors]
        reads = tuple(self._value(tensor, False) for tensor in given)
        written = tuple(self._value(call.leaves[n], False) for n in call.written())
        number = len(self.found)
        shown = self._only is None or number in self._only
        if shown:
            for at, tensor in enumerate(given):
                self._see(name_of(number, func, "in", at), tensor)
        result = call.run()
        outputs = list(trees.tensors(result))
        held = {memory_of(tensor) for tensor in given}
        makes = tuple(self._value(o, memory_of(o) not in held) for o in outputs)
        if shown:
            for at, tensor in enumerate(outputs):
                self._see(name_of(number, func, "out", at), tensor)
        shapes = tuple(tuple(tensor.shape) for tensor in outputs)
        self.found.append(Operator(func, reads, makes, shapes, written))
        self._kept += filter(None, map(storage_of, (*given, *outputs)))
        return result


def name_of(number: int, func: Any, side: str, at: int) -> str:
    """What an operand or result is called; passes of other operators have other names."""
    return f"{number} {func} {side}{at}"
