"""Where an error travels: every module's output under faults, against its golden value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import nn

from faultsim.dtypes import FORMATS
from faultsim.faults import Site
from faultsim.injector import Faults, Injector
from faultsim.run.deviation import Deviation, deviation, joined
from faultsim.targets.activations import activation_sites, output_words
from faultsim.targets.inputs import Run, Sizes, arguments_of, sizes_of
from faultsim.targets.layouts import golden_pass
from faultsim.targets.output_hooks import OutputHooks
from faultsim.workload.failures import NOT_ITS_OWN, cause

COLUMNS = ("samples", "touched", "deviation", "changed", "non-finite")


def observe(model: nn.Module, faults: Faults, inputs: Any) -> Observation:
    """Runs a model without and with faults, and compares what its modules put out.

    Args:
        model: Run as it is, without gradients; it is as before.
        faults: As :func:`faultsim.inject` takes them.
        inputs: One batch: a tensor, a tuple of arguments, a mapping of keyword arguments.

    Returns:
        By site, in the order of the pass, how far each sample strayed; printed, it is a table.

    Raises:
        FaultSimError: The faults do not fit the model, or one never fired.
    """
    observer = Observer(model, inputs)
    golden = observer.golden(inputs)
    with Injector(model, faults):
        return observer.compare(golden, inputs)


@dataclass(frozen=True)
class Observation:
    """How far the outputs of modules strayed.

    Attributes:
        sites: By the name of an activation site, in the order of the golden pass. Of a module that
            was not reached there are no samples; of several passes those of all.
        raised: What the model raised under faults; empty where it did not.
    """

    sites: Mapping[str, Deviation]
    raised: str = ""

    def __str__(self) -> str:
        """A line for each site: means over samples, as :func:`summary_of` has them."""
        rows: list[tuple[str, ...]] = [("site", *COLUMNS)]
        for name, found in self.sites.items():
            texts = ("–" if value is None else f"{value:.4g}" for value in summary_of(found))
            rows.append((name, *texts))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        return "\n".join([*lines, *([f"it raised: {self.raised}"] if self.raised else [])])


class Summary(NamedTuple):
    """A site over its samples.

    Attributes:
        n: Samples that were compared.
        touched: Those in which a bit differs.
        relative: Mean relative deviation, of the samples that have one; None where none has.
        changed: Mean share of words that differ; None without samples.
        nonfinite: Mean share of words that faults made infinite or NaN; None without samples.
    """

    n: int
    touched: int
    relative: float | None
    changed: float | None
    nonfinite: float | None


def summary_of(found: Deviation) -> Summary:
    """Means over samples."""
    n, touched = len(found.changed), int(found.touched.sum())
    return Summary(n, touched, *(_mean(column[~column.isnan()].tolist()) for column in found))


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


class _Value(NamedTuple):
    """An output of the golden pass: where its samples lie, and a copy."""

    site: Site
    tensor: torch.Tensor


Key = tuple[int, str]
"""The number of a pass, and the name of a site."""

Golden = Mapping[Key, _Value]


class Observer:
    """Compares the outputs of all modules of one model, batch by batch.

    An output is kept from the golden pass to the end of the pass under faults, so that memory is
    that of the outputs of one batch.
    """

    def __init__(self, model: nn.Module, inputs: Any, run: Run | None = None) -> None:
        """Finds where samples lie in the outputs.

        Args:
            model: Run as it is; it is as before.
            inputs: One batch, as it will be given.
            run: How a batch goes through the model, if not as its arguments.

        Raises:
            FaultError: The calls of the model's modules cannot be seen.
        """
        self._model, self._run = model, run
        self._sites = {site.name: site for site in activation_sites(model, inputs, run).sites}

    def golden(self, inputs: Any) -> Golden:
        """The outputs of all modules without faults."""
        values: dict[Key, _Value] = {}

        def keep(key: Key, tensor: torch.Tensor, sizes: Sizes) -> None:
            words = output_words(tensor)
            if isinstance(words, torch.Tensor):
                copy = tensor.detach().clone()
                values[key] = _Value(self._sites.get(key[1]) or _whole(key[1], words), copy)

        self._pass(inputs, keep)
        return values

    def compare(self, golden: Golden, inputs: Any) -> Observation:
        """Runs the model as it is, with faults armed, and compares.

        Args:
            golden: Of the same inputs.
            inputs: One batch.
        """
        found: dict[str, list[Deviation]] = {name: [] for _, name in golden}

        def compared(key: Key, tensor: torch.Tensor, sizes: Sizes) -> None:
            if key in golden:
                was = golden[key]
                found[key[1]].append(deviation(was.site, was.tensor, tensor, sizes))

        raised = ""
        try:
            self._pass(inputs, compared)
        except NOT_ITS_OWN:
            raise
        except Exception as error:  # a detected error; what ran before it was seen
            raised = cause(error)
        return Observation({name: joined(parts) for name, parts in found.items()}, raised)

    def _pass(self, inputs: Any, see: Any) -> None:
        """Shows every output with the number of its pass."""

        def visit(name: str, tensor: torch.Tensor) -> torch.Tensor:
            see((hooks.passes, name), tensor, hooks.sizes)
            return tensor

        hooks = OutputHooks(self._model, visit)
        hooks.batch = sizes_of((inputs,))
        golden_pass(self._model, arguments_of(self._model, inputs, self._run), hooks, self._run)


def _whole(name: str, words: torch.Tensor) -> Site:
    """A site that the first batch did not have: its samples are not known."""
    dtype = FORMATS[words.dtype].name
    return Site(name, "activations", dtype, tuple(words.shape), per_sample=False)
