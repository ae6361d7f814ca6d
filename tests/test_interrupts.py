"""Interrupts at every bytecode that arms, strikes or restores leave the model as it was.

A signal's exception rises between two bytecodes. So each is tried, with a tracer instead of a
signal: nothing is left to chance or to a clock. Left out is a bytecode after one that only moves
values within its frame, unless a handler begins or ends there: an exception finds the world as it
found it one earlier, and unwinds alike.
"""

from __future__ import annotations

import dis
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from inspect import CO_GENERATOR
from types import CodeType, FrameType
from typing import Any

import pytest
import torch
from torch import nn
from torch.overrides import _get_current_function_mode

from faultsim import FaultSet, FaultSpace, inject
from faultsim.injector import _ARMED
from faultsim.kinds import KINDS
from faultsim.ops import SelectiveScan
from faultsim.ops.grid import rehearsed
from faultsim.run.replay.forwards import other_forwards

WORDS = ("faultsim/ops/patch.py", "faultsim/ops/slots.py")
WHERE = ("faultsim/injector.py", "faultsim/targets/", "torch/utils/hooks.py", *WORDS)

Place = tuple[CodeType, int, str]
# Instructions that change nothing but the stack of their frame. Of an attribute this holds, for a
# property's own bytecodes are tried. What is not here (calls, stores, iteration) is tried after.
INNER = {"RESUME", "NOP", "PRECALL", "KW_NAMES", "PUSH_NULL", "COPY", "SWAP", "IS_OP"}
INNER |= {"LOAD_CONST", "LOAD_FAST", "LOAD_DEREF", "LOAD_GLOBAL", "LOAD_CLOSURE", "LOAD_ATTR"}
INNER |= {"LOAD_FAST_BORROW", "LOAD_SMALL_INT", "LOAD_METHOD", "JUMP_FORWARD", "JUMP_BACKWARD"}
INNER |= {"BUILD_TUPLE", "BUILD_LIST", "BUILD_MAP", "BUILD_SLICE", "MAKE_FUNCTION"}


@cache
def inner(code: CodeType) -> set[int]:
    """Where instructions do nothing that another frame could see."""
    return {each.offset for each in dis.get_instructions(code) if each.opname in INNER}


@cache
def borders(code: CodeType) -> set[int]:
    """Where a handler of exceptions begins or ends to hold (a table, from Python 3.11)."""
    entries = getattr(dis.Bytecode(code), "exception_entries", ())
    return {offset for entry in entries for offset in (entry.start, entry.end)}


def places(act: Callable[[], None], where: tuple[str, ...] = WHERE) -> Iterator[tuple[Place, int]]:
    """The bytecodes that ``act`` runs in some files, each with the second time, or the only one."""
    seen: Counter[Place] = Counter()
    needed: set[Place] = set()
    before: dict[FrameType, int] = {}  # what each frame ran last

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        name = frame.f_code.co_filename.replace("\\", "/")
        if not any(part in name for part in where) or frame.f_code.co_name == "__del__":
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        closed = frame.f_code.co_flags & CO_GENERATOR and event == "call"  # perhaps by its end
        if event in ("call", "opcode") and not closed:
            place = frame.f_code, frame.f_lasti, event
            seen[place] += 1
            if before.get(frame) not in inner(frame.f_code) or place[1] in borders(frame.f_code):
                needed.add(place)
            before[frame] = frame.f_lasti
        if event == "return":
            before.pop(frame, None)
        return trace

    sys.settrace(trace)
    try:
        act()
    finally:
        sys.settrace(None)
    for place, count in seen.items():
        if place in needed:
            yield place, min(count, 2) - 1


def interrupt(act: Callable[[], None], place: Place, time: int, error: type[BaseException]) -> bool:
    """Raises ``error`` where ``act`` comes to a place for the given time; whether it came out."""
    code, offset, wanted = place
    left = time

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal left
        if frame.f_code is not code:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if event == wanted and frame.f_lasti == offset:
            left -= 1
            if left < 0:
                raise error
        return trace

    sys.settrace(trace)
    try:
        act()
    except error:
        return True
    finally:
        sys.settrace(None)
    return False


def state(model: nn.Module) -> Any:
    """Every word, every hook, every method of its own, what is armed and what sees functions."""
    words = [tensor.numpy().tobytes() for tensor in model.state_dict().values()]
    modules = [
        (
            [list(value) for key, value in vars(module).items() if "_hooks" in key],
            [vars(module).get(name) for name in ("forward", "_call_impl")],
        )
        for module in model.modules()
    ]
    return words, modules, list(_ARMED.get(model, [])), _get_current_function_mode()


class Scanner(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Linear(2, 2)
        self.scan = SelectiveScan()

    def forward(self, x: torch.Tensor, state: list[torch.Tensor]) -> torch.Tensor:
        ones = torch.ones(len(x), 1, 1, x.shape[-1])
        y: torch.Tensor = self.scan(self.mix(x.mT).mT, state[0], -torch.ones(2, 1), ones, ones)
        return y


@pytest.fixture
def scanner() -> tuple[nn.Module, tuple[torch.Tensor, list[torch.Tensor]]]:
    """A model, and what it is given."""
    torch.manual_seed(0)
    return Scanner().eval(), (torch.rand(2, 2, 3), [torch.rand(2, 2, 3)])


def faults_of(model: nn.Module, given: Any) -> FaultSet:
    spaces = [FaultSpace(model, kind, inputs=given, bits="sign") for kind in KINDS]
    return FaultSet.join([space.sample(min(2, len(space)), seed=0) for space in spaces])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:faults on Scanner were armed and forgotten:ResourceWarning")
@pytest.mark.parametrize("grid", [False, True])
def test_whatever_is_interrupted_the_model_is_as_before(scanner, grid):
    model, given = scanner
    faults, before, (_, kept) = faults_of(model, given), state(model), given
    (own,) = kept

    def act() -> None:
        with torch.no_grad(), inject(model, faults):
            model(*given)

    def attempt() -> None:
        if not grid:
            return act()
        with rehearsed(shuffle=1):
            act()

    attempt()  # once, for what is remembered
    tried = list(places(attempt, WORDS if grid else WHERE))
    assert len(tried) > 100
    for number, (place, time) in enumerate(tried):
        error = (KeyboardInterrupt, TimeoutError)[number % 2]
        assert interrupt(attempt, place, time, error), place
        assert state(model) == before, place
        assert kept[0] is own, place


@pytest.mark.slow
def test_an_interrupted_look_for_sites_leaves_no_hooks(scanner):
    model, given = scanner
    before = state(model)
    known: set[Place] = set()  # kinds share most of their code
    for kind in KINDS[1:]:
        tried = places(lambda kind=kind: FaultSpace(model, kind, inputs=given))
        new = [(place, time) for place, time in tried if place not in known]
        assert new
        known.update(place for place, _ in new)
        for place, time in new:
            interrupt(lambda kind=kind: FaultSpace(model, kind, inputs=given), place, time, OSError)
            assert state(model) == before, place


def test_an_interrupted_replay_leaves_every_forward_as_it_was(scanner):
    model, given = scanner
    model.mix.forward = own = model.mix.forward  # a model may have its own
    before = state(model)
    modules = dict(model.named_children())

    def act() -> None:
        with other_forwards(modules, lambda name, forward: lambda *args: forward(*args)):
            model(*given)

    for place, time in places(act, ("replay/forwards.py",)):
        assert interrupt(act, place, time, KeyboardInterrupt), place
        assert state(model) == before, place
    assert model.mix.forward is own
