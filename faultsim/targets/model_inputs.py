"""Faults in what a model is given: the tensors of a batch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from faultsim.dtypes import FORMATS
from faultsim.faults import Site
from faultsim.ops.memory import overlaps
from faultsim.targets.activations import (
    Targets,
    TensorFaults,
    output_words,
    showing,
)
from faultsim.targets.closed import check_open
from faultsim.targets.fed import UNFED, Alter, Fed
from faultsim.targets.given import EACH, Visit, joined, map_arguments
from faultsim.targets.inputs import Arguments, Run, Samples, Sizes, arguments_of
from faultsim.targets.layouts import NONE, Found, Layout, Seen, Shape, golden_pass, read_batch
from faultsim.targets.output_hooks import OutputHooks
from faultsim.targets.passes import PASS, PassHooks
from faultsim.targets.steps import one_sample
from faultsim.trees import copy_of

INPUT = "(input)"
"""Stands in the names of sites for the batch."""

SHARED = "it belongs to all samples"
SOME = "not every sample has it"
OTHER = "it has another dtype, or number of dimensions, in other samples"


class InputHooks(PassHooks):
    """Replaces what the model's ``forward`` is given, or what is fed to it by hand.

    Attributes:
        fed: Whether batches are fed by hand; ``forward`` is then left alone.
    """

    def __init__(self, model: nn.Module, strike: Callable[[Arguments], Arguments]) -> None:
        """Prepares the hooks; :meth:`register` places them.

        Args:
            model: The root.
            strike: Returns the arguments to hand on.
        """
        super().__init__(model)
        self._strike, self.fed = strike, False

    def register(self) -> None:
        """Places the hooks."""
        self.enter(())

    def around(self, kind: int, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Runs a method; a pass gets other arguments."""
        if self.fed:
            return function(*args, **kwargs)
        if kind != PASS or self._depth >= kind:
            return super().around(kind, function, args, kwargs)

        def struck(*args: Any, **kwargs: Any) -> Any:
            given = self._strike(Arguments(args, kwargs))
            return function(*given.args, **given.kwargs)

        return super().around(kind, struck, args, kwargs)

    def feed(self, inputs: Any) -> Any:
        """A batch as it is to go through the model, which counts as a pass."""
        self.fed = True
        self.begin((inputs,))
        self.outermost = self.passes
        given = self._strike(_spread(inputs)).args
        return given if type(inputs) is tuple else given[0]


def _spread(inputs: Any) -> Arguments:
    """A batch as arguments: of a tuple, each of its items is one."""
    return Arguments(inputs if type(inputs) is tuple else (inputs,), {})


def map_inputs(inputs: Any, visit: Visit, names: Iterable[str]) -> Any:
    """A batch with every tensor replaced by ``visit(site name, tensor, sample)``.

    Args:
        inputs: As they are fed to a model.
        visit: As for :func:`faultsim.targets.given.map_arguments`.
        names: Of sites, which tell what lists hold samples.
    """
    given = map_arguments(_spread(inputs), _named(visit), lists_of(names)).args
    return given if type(inputs) is tuple else given[0]


def _named(visit: Visit) -> Visit:
    return lambda path, tensor, sample: visit(joined(INPUT, path, ":"), tensor, sample)


def lists_of(names: Iterable[str]) -> set[str]:
    """Paths of the lists of samples that names of sites tell of."""
    paths = (name.partition(":")[2].split(".") for name in names)
    return {".".join(path[: path.index(EACH)]) for path in paths if EACH in path}


def of_samples(name: str) -> bool:
    """Whether a site is what each sample of a list has."""
    return EACH in name.partition(":")[2].split(".")


def input_sites(model: nn.Module, inputs: Any, run: Run | None = None) -> Targets:
    """The tensors of a batch.

    ``(input)`` is a batch that is a tensor, ``(input):1`` the second of several arguments,
    ``(input):mask`` the one by that keyword, and so on inside of nested ones; ``(input):(each)``
    is what each sample has in a list of them.
    What ``run`` keeps for itself (labels, say) is none: a tensor is an input if the model is given
    something else once it has other values. Which tensors hold samples is found as for
    :func:`faultsim.targets.activations.activation_sites`: by what comes of it when one changes.

    Args:
        model: Run as it is, without gradients; it is as before.
        inputs: One batch: a tensor, a tuple of arguments, a mapping of keyword arguments; of trees.
        run: How ``inputs`` go through the model, if not so; sites are then those of ``inputs``.

    Raises:
        FaultError: No inputs were given, or the calls of the model's modules cannot be seen.
    """
    check_open(model)
    batch, run = _call(model, inputs, run)
    layouts, reading = _read(model, batch, run)
    listed = reading is not None and reading.axis is None  # its items are samples, if it runs so
    told = listed or any(isinstance(layout, Layout) for layout in layouts.values())
    why = next((layout for layout in reversed(layouts.values()) if isinstance(layout, str)), NONE)
    found = _sites(batch, reading if told else None, why)
    return found if run is None else _fed(model, batch, run, found)


def _fed(model: nn.Module, batch: Arguments, run: Run, found: Targets) -> Targets:
    """Those of the sites that reach the model."""
    fed, lists = Fed(model, batch, run), lists_of(site.name for site in found.sites)

    def alter(name: str) -> Alter:
        def of(other: Callable[[torch.Tensor], torch.Tensor]) -> Arguments:
            def visit(own: str, tensor: torch.Tensor, _: int | None) -> torch.Tensor:
                return other(tensor) if own == name else tensor

            return map_arguments(batch, _named(visit), lists)

        return of

    sites = [site for site in found.sites if fed.reaches(alter(site.name))]
    lost = {site.name: UNFED for site in found.sites if site not in sites}
    whole = {name: why for name, why in found.whole.items() if name not in lost}
    return Targets(sites, {**found.skipped, **lost}, whole)


def _call(model: nn.Module, inputs: Any, run: Run | None) -> tuple[Arguments, Run | None]:
    """A batch as the arguments of a call; of a tuple that is fed, each of its items is one."""
    if run is None or type(inputs) is not tuple:
        return arguments_of(model, inputs, run), run

    def through(*args: Any) -> Any:
        return run(args)

    return _spread(inputs), through


def _read(model: nn.Module, batch: Arguments, run: Run | None) -> tuple[Found, Samples | None]:
    """How samples lie in a batch, by where they lie in what modules return."""
    shapes: dict[str, Shape] = {}

    def watch(seen: Seen) -> PassHooks:
        return OutputHooks(model, showing(seen))

    first = watch(lambda name, words: shapes.update({name: tuple(words.shape)}))
    golden_pass(model, batch, first, run)
    return read_batch(model, batch, shapes, watch, run)


def _sites(batch: Arguments, reading: Samples | None, why: str) -> Targets:
    """The sites of a batch.

    Args:
        batch: As arguments.
        reading: How samples lie in it; None if that is not known.
        why: What is said then.
    """
    found: defaultdict[str, list[torch.Tensor]] = defaultdict(list)

    def visit(name: str, tensor: torch.Tensor, _: int | None) -> torch.Tensor:
        found[name].append(tensor)
        return tensor

    map_arguments(batch, _named(visit), _sample_lists(batch, reading))
    sites, skipped, whole = [], dict[str, str](), dict[str, str]()
    for name, tensors in found.items():
        site = (
            _each(name, tensors, reading) if of_samples(name) else _one(name, tensors[0], reading)
        )
        if isinstance(site, str):
            skipped[name] = site
            continue
        sites.append(site)
        if not site.per_sample:
            whole[name] = SHARED if reading else why
    return Targets(sites, skipped, whole)


def _sample_lists(batch: Arguments, reading: Samples | None) -> set[str]:
    """Paths of the arguments that are lists of samples."""
    if reading is None or reading.axis is not None:
        return set()
    if len(batch.args) == 1 and not batch.kwargs:
        return {""}
    named = (*enumerate(batch.args), *batch.kwargs.items())
    return {str(key) for key, item in named if isinstance(item, list) and len(item) == reading.size}


def _one(name: str, tensor: torch.Tensor, reading: Samples | None) -> Site | str:
    """The site of one tensor, or why there is none."""
    words = output_words(tensor)
    if isinstance(words, str):
        return words
    dtype, shape = FORMATS[words.dtype].name, tuple(words.shape)
    axis = reading.axis if reading and any(tensor is each for each in reading.holders()) else None
    if reading is None or axis is None or shape[axis : axis + 1] != (reading.size,):
        return Site(name, "inputs", dtype, shape, per_sample=False)
    return Site(name, "inputs", dtype, one_sample(shape, Layout(axis)), axis=axis)


def _each(name: str, tensors: list[torch.Tensor], reading: Samples | None) -> Site | str:
    """The site of what the samples of a list have."""
    words = [output_words(tensor) for tensor in tensors]
    for item in words:
        if isinstance(item, str):
            return item
    known = [item for item in words if isinstance(item, torch.Tensor)]
    if reading is None or len(known) < reading.size:
        return SOME
    if len({(item.dtype, item.ndim) for item in known}) > 1:
        return OTHER
    largest = tuple(map(max, zip(*(item.shape for item in known), strict=True)))
    ragged = len({tuple(item.shape) for item in known}) > 1
    return Site(name, "inputs", FORMATS[known[0].dtype].name, largest, ragged=ragged)


class InputFaults(TensorFaults):
    """The faults of a set in what a model is given, armed on a model.

    They strike copies, as its ``forward`` begins; the caller's tensors never change. Once a batch
    is fed by hand, they strike what is fed.
    """

    kind = "inputs"
    _hooks: InputHooks

    def _modules(self) -> set[str]:
        return set()

    def _hooks_on(self, model: nn.Module) -> PassHooks:
        return InputHooks(model, self._struck)

    def _struck(self, given: Arguments) -> Arguments:
        return map_arguments(given, _named(self._leaf), lists_of(self._faults))

    def _leaf(self, name: str, tensor: torch.Tensor, sample: int | None) -> torch.Tensor:
        if sample is None or name not in self._faults:
            return self._visit(name, tensor)
        return self._visit(name, tensor[None], self._offset + sample, Sizes(1, frozenset()))[0]

    def _copy(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.clone() if overlaps(tensor) else copy_of(tensor)  # to the same last bits

    def feed(self, inputs: Any) -> Any:
        given = self._hooks.feed(inputs)
        self._check_pass()
        return given
