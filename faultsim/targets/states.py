"""Faults in the hidden state of selective scans, inside the recurrence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from faultsim.errors import FaultError, InjectionError
from faultsim.faults import FaultSet, Site
from faultsim.ops import SelectiveScan, StateFault
from faultsim.targets.closed import check_open
from faultsim.targets.inputs import Run, Sizes, arguments_of
from faultsim.targets.layouts import Layout, Seen, find_layouts, golden_pass
from faultsim.targets.passes import ROOT, PassHooks
from faultsim.targets.samples import fold_of, struck_samples
from faultsim.targets.transient import TransientFaults

ARGUMENTS = ("u", "delta", "A", "B", "C", "D", "delta_bias", "delta_softplus")
DEFAULTS = {"D": None, "delta_bias": None, "delta_softplus": False, "state_faults": None}
BY_ROW = ("u", "delta", "B", "C")


@dataclass(frozen=True)
class Scan:
    """One call of a scan.

    Attributes:
        name: Of the module, ``@1`` for its second call in one pass.
        names: Of the sites, one for each part, whose channels follow one another.
        arguments: By name; ``u`` is (rows, channels, steps), and a row is a sample or a part of it.
    """

    name: str
    names: tuple[str, ...]
    arguments: dict[str, Any]

    @property
    def shape(self) -> tuple[int, int]:
        """(channels, states) of one part."""
        return self.arguments["u"].shape[1] // len(self.names), self.arguments["A"].shape[1]

    @property
    def steps(self) -> int:
        return int(self.arguments["u"].shape[2])

    @property
    def dtype(self) -> str:
        return "float64" if self.arguments["u"].dtype == torch.float64 else "float32"


Visit = Callable[[Scan], list[StateFault]]


class ScanHooks(PassHooks):
    """Calls ``visit`` before every scan of a model, and strikes what it returns.

    A scan is one site, ``name:state``, or one for each of its parts, ``name:part``. A module's
    second call within one pass of the model is ``name@1``.
    """

    def __init__(self, model: nn.Module, visit: Visit) -> None:
        super().__init__(model)
        self._visit = visit
        self._scans = {
            name or ROOT: module
            for name, module in model.named_modules()
            if isinstance(module, SelectiveScan)
        }

    def register(self) -> None:
        """Places the hooks."""
        self.enter(self._scans)
        for name, module in self._scans.items():
            self.before(module, self._hook(name))

    def _hook(self, name: str) -> Callable[[Any, Any, Any], Any]:
        def hook(module: SelectiveScan, args: Any, kwargs: dict[str, Any]) -> Any:
            arguments = DEFAULTS | dict(zip(ARGUMENTS, args, strict=False)) | kwargs
            scan = _scan(self.numbered(name), module, arguments)
            faults = [*(arguments["state_faults"] or ()), *self._visit(scan)]
            return args, {**kwargs, "state_faults": faults}

        return hook


def _scan(name: str, module: SelectiveScan, arguments: dict[str, Any]) -> Scan:
    names = tuple(f"{name}:{part}" for part in module.parts or ("state",))
    if arguments["u"].shape[1] % len(names):
        channels = arguments["u"].shape[1]
        raise FaultError(f"{name}: {channels} channels do not divide into {module.parts}")
    return Scan(name, names, arguments)


def state_sites(
    model: nn.Module, inputs: Any, run: Run | None = None
) -> tuple[list[Site], dict[str, str], dict[str, str]]:
    """The hidden states of one golden forward pass, in the order they are computed.

    Sites have the shape (channels, states), after the parts of a sample that are scanned as rows of
    their own (windows of an image, say), and the dtype that the scan computes in. Where rows cannot
    be told to be samples, ``per_sample`` is False and a fault strikes all of them.

    Args:
        model: Run as it is, without gradients; it is as before.
        inputs: One batch: a tensor, a tuple of arguments, a mapping of keyword arguments; of trees.
        run: How ``inputs`` go through the model, if not so.

    Returns:
        The sites, what is skipped (nothing), and of those whose samples cannot be told apart, the
        reason.

    Raises:
        FaultError: No inputs were given, or the calls of the model's modules cannot be seen.
    """
    check_open(model)
    batch = arguments_of(model, inputs, run)
    scans: list[Scan] = []

    def visit(scan: Scan) -> list[StateFault]:
        scans.append(scan)
        return []

    golden_pass(model, batch, ScanHooks(model, visit), run)
    if not scans:
        return [], {}, {}
    shapes = {scan.name: tuple(_rows(scan).shape) for scan in scans}
    layouts = find_layouts(model, batch, shapes, lambda seen: _watched(model, seen), run)
    sites, whole = [], {}
    for scan in scans:
        layout = layouts[scan.name]
        if isinstance(layout, Layout) and layout.axis:
            layout = "its rows do not follow the number of samples"
        for name in scan.names:
            if isinstance(layout, str):
                whole[name] = layout
            sites.append(_site(name, scan, layout))
    return sites, {}, whole


def _site(name: str, scan: Scan, layout: Layout | str) -> Site:
    if isinstance(layout, str):
        return Site(name, "states", scan.dtype, scan.shape, False, scan.steps)
    folds = tuple(size for size in layout[1:] if size > 1)
    return Site(name, "states", scan.dtype, (*folds, *scan.shape), True, scan.steps, *layout)


def _watched(model: nn.Module, seen: Seen) -> PassHooks:
    def visit(scan: Scan) -> list[StateFault]:
        seen(scan.name, _rows(scan))
        return []

    return ScanHooks(model, visit)


def _rows(scan: Scan) -> torch.Tensor:
    """(rows, all that a row depends on)."""
    given = [scan.arguments[key].detach().flatten(1) for key in BY_ROW]
    return torch.cat([tensor.to(given[0].dtype) for tensor in given], dim=1)


def row_elements(site: Site, rows: int, sizes: Sizes) -> np.ndarray[Any, np.dtype[np.int64]]:
    """(rows,) the element of the site with which each row of a scan begins."""
    words = site.shape[-2] * site.shape[-1]
    if not site.per_sample:
        return np.zeros(rows, np.int64)
    fold = fold_of(site, (rows,), sizes)
    row = np.arange(rows)
    return (row // (fold.inner * fold.batch) * fold.inner + row % fold.inner) * words


class StateFaults(TransientFaults):
    """The state faults of a set, armed on a model."""

    kind = "states"

    def _hooks_on(self, model: nn.Module) -> PassHooks:
        return ScanHooks(model, self._visit)

    def _visit(self, scan: Scan) -> list[StateFault]:
        strikes: list[StateFault] = []
        for number, name in enumerate(scan.names):
            if name in self._faults:
                site, faults = self._faults[name]
                _check(site, scan)
                strikes += self._strikes(faults, site, number * scan.shape[0], scan)
        return strikes

    def _strikes(self, faults: FaultSet, site: Site, first: int, scan: Scan) -> list[StateFault]:
        hit, batches = self._struck_rows(faults, site, len(scan.arguments["u"]))
        if (faults.step[hit] >= scan.steps).any():
            raise InjectionError(f"{site.name} has {scan.steps} steps in a pass, not {site.steps}")
        self._mark(site.name, hit)
        states = site.shape[-1]
        return [
            StateFault(
                first + fault.index // states % site.shape[-2],
                fault.index % states,
                None if step < 0 else int(step),
                (int(fault.operand) if fault.op == "replace" else fault.mask) & _all_of(site),
                fault.op,
                None if at < 0 else int(at),
                fault.operand,
                fault.random,
            )
            for fault, step, at in zip(faults[hit], faults.step[hit], batches, strict=True)
        ]

    def _struck_rows(self, faults: FaultSet, site: Site, rows: int) -> tuple[Any, Any]:
        """Which faults strike, and each the row of the scan that it strikes, -1 for all."""
        if not site.per_sample:
            return np.arange(len(faults)), np.full(len(faults), -1)
        fold = fold_of(site, (rows,), self._hooks.sizes)
        hit, samples = struck_samples(faults, fold.batch, self.offset)
        if fold == (1, rows, 1):
            every = faults.sample < 0
            hit = np.unique(hit)
            samples = np.where(every, -1, faults.sample - self.offset)[hit]
            return hit, samples
        part = faults.index[hit] // (site.shape[-2] * site.shape[-1])
        outer, inner = np.divmod(part, max(1, site.inner))
        if len(part) and (outer.max() >= fold.outer or inner.max() >= fold.inner):
            raise InjectionError(f"{site.name} has {rows} rows in a pass, and not all its elements")
        return hit, (outer * fold.batch + samples) * fold.inner + inner


def _all_of(site: Site) -> int:
    return (1 << site.format.bits) - 1


def _check(site: Site, scan: Scan) -> None:
    if site.shape[-2:] != scan.shape or site.dtype != scan.dtype:
        raise InjectionError(
            f"{site.name} is {scan.dtype} {scan.shape} in this pass, but its faults were made for "
            f"{site.dtype} {site.shape}"
        )
