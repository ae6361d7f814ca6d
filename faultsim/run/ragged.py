"""Which shapes the samples of all batches have, where the first batch does not tell."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace

import torch

from faultsim.errors import InjectionError
from faultsim.faults import Site
from faultsim.space import FaultSpace
from faultsim.targets.activations import showing
from faultsim.targets.cache_hooks import CacheHooks
from faultsim.targets.inputs import Sizes, sizes_of
from faultsim.targets.model_inputs import map_inputs
from faultsim.targets.module_inputs import GivenHooks
from faultsim.targets.operation_hooks import OperationHooks
from faultsim.targets.output_hooks import OutputHooks
from faultsim.targets.passes import PassHooks
from faultsim.targets.samples import fold_of, sample_shape
from faultsim.targets.untouched import untouched
from faultsim.workload import Batch, Workload

RANKS = "its samples do not have the same number of dimensions in every batch"
ABSENT = "not every batch has it"

Shape = tuple[int, ...]

HOOKS: dict[str, Callable[..., PassHooks]] = {
    "activations": OutputHooks,
    "module-inputs": GivenHooks,
    "operations": OperationHooks,
    "kv-cache": CacheHooks,
}


def common_shapes(
    workload: Workload, batches: Iterable[Batch], space: FaultSpace, device: torch.device
) -> FaultSpace:
    """The space with sites as large as the samples of any batch.

    Runs every batch once, unless nothing in the space is computed or given in a pass.

    Args:
        workload: The model, on ``device``.
        batches: All that trials run.
        space: Found on the first of them.
        device: Where it runs.

    Returns:
        The space as it is where all samples have its shapes; else one of other sites, whose
        ``skipped`` says what cannot be struck in every batch.
    """
    wanted = {site.name: site for site in space.sites if site.kind in ("inputs", *HOOKS)}
    if not wanted:
        return space
    seen = _Shapes(workload, wanted)
    for batch in batches:
        seen.look(batch.to(device))
    found = {name: seen.common(site) for name, site in wanted.items()}
    if found == wanted:
        return space
    sites = {site.name: found.get(site.name, site) for site in space.sites}
    made = space.placed({name: site for name, site in sites.items() if isinstance(site, Site)})
    lost = {name: why for name, why in sites.items() if isinstance(why, str)}
    made.skipped = {**space.skipped, **lost}
    return made


class _Shapes:
    """The shapes that samples have, by site and step."""

    def __init__(self, workload: Workload, sites: dict[str, Site]) -> None:
        self._workload, self._sites, self._batches = workload, sites, 0
        self._found: defaultdict[str, defaultdict[int, set[Shape]]]
        self._found = defaultdict(lambda: defaultdict(set))
        self._met: Counter[str] = Counter()
        self._lost: dict[str, str] = {}

    def look(self, batch: Batch) -> None:
        """Runs a batch."""
        self._batches += 1
        here: set[str] = set()
        kinds = {site.kind for site in self._sites.values()}
        if "inputs" in kinds:
            self._look_at_inputs(batch, here)
        for kind in kinds & HOOKS.keys():
            self._run(batch, kind, here)
        self._met.update(here)

    def _look_at_inputs(self, batch: Batch, here: set[str]) -> None:
        sizes = sizes_of((batch.inputs,))

        def visit(name: str, tensor: torch.Tensor, sample: int | None) -> torch.Tensor:
            one = tensor if sample is None else tensor[None]
            own = sizes if sample is None else Sizes(1, frozenset())
            showing(lambda _, words: self._see(name, words, 0, own, here))(name, one)
            return tensor

        map_inputs(batch.inputs, visit, self._sites)

    def _run(self, batch: Batch, kind: str, here: set[str]) -> None:
        def see(name: str, words: torch.Tensor) -> None:
            self._see(name, words, hooks.step or 0, hooks.sizes, here)

        hooks = HOOKS[kind](self._workload.model, showing(see))
        with untouched(self._workload.model):
            try:
                hooks.batch = sizes_of((batch.inputs,))
                hooks.register()
                self._workload.run(batch.inputs)
            finally:
                hooks.remove()

    def _see(self, name: str, words: torch.Tensor, step: int, sizes: Sizes, here: set[str]) -> None:
        site = self._sites.get(name)
        if site is None:
            return
        here.add(name)
        shape = tuple(words.shape)
        try:
            if site.per_sample:
                shape = sample_shape(site, shape, fold_of(site, shape, sizes))
        except (InjectionError, IndexError):
            self._lost[name] = RANKS
            return
        if len(shape) != len(site.shape):
            self._lost[name] = RANKS
        self._found[name][step].add(shape)

    def common(self, site: Site) -> Site | str:
        """The site as all batches have it, or why it is none."""
        if site.name in self._lost:
            return self._lost[site.name]
        if self._met[site.name] < self._batches:
            return ABSENT
        seen = self._found[site.name]
        if not site.steps:
            return _over(site, {shape for shapes in seen.values() for shape in shapes})
        each = [_over(site, seen[step] or {(0,) * len(site.shape)}) for step in range(site.steps)]
        shapes = tuple(one.shape for one in each)
        largest = tuple(map(max, zip(*shapes, strict=True)))
        ragged = site.ragged or any(one.ragged for one in each)
        kept = shapes if len(set(shapes)) > 1 else ()
        return replace(site, shape=largest, shapes=kept, ragged=ragged)


def _over(site: Site, shapes: set[Shape]) -> Site:
    """A site of samples that have these shapes."""
    largest = tuple(map(max, zip(*shapes, strict=True))) if site.shape else ()
    ragged = site.ragged or len(shapes) > 1
    return replace(site, shape=largest, shapes=(), steps=0, ragged=ragged)
