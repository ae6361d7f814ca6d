"""A workload made from a workload."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Any

import torch
from torch import nn

from faultsim.errors import ConfigError, FaultSimError
from faultsim.faults import FaultSet, Site
from faultsim.models.loading import evaluating
from faultsim.protections.alarms import answer
from faultsim.protections.known import protection_named
from faultsim.protections.protection import Protection
from faultsim.targets.transient import module_of
from faultsim.workload import Batch, Workload
from faultsim.workload.failures import cause
from faultsim.workload.workload import REPORTED

Named = str | Protection


class Protected:
    """What stands between a model and its answer.

    Attributes:
        names: Of its protections, in the order applied.
    """

    def __init__(self, names: Sequence[str], places: Mapping[str, str]) -> None:
        self.names, self._places = tuple(names), places

    def __call__(self, model: nn.Module, run: Callable[[], Any]) -> Any:
        return answer(model, run)

    def after(self, first: Protected) -> Protected:
        """What stands there where this was put around what was protected before."""
        places = {name: self._places.get(place, place) for name, place in first._places.items()}
        return Protected((*first.names, *self.names), places)

    def place(self, name: str) -> str:
        """What a weight or a module of the bare model is called now."""
        return self._places.get(name, name)

    def moved(self, faults: FaultSet) -> FaultSet:
        """Faults of the bare model, in the same words and values of the protected one."""
        return FaultSet(tuple(map(self._moved, faults.sites)), *faults.table, checked=True)

    def _moved(self, site: Site) -> Site:
        weight = site.kind == "weights"
        place = site.name.partition(":")[0] if weight else module_of(site.name)
        rest = site.name[len(place) :]
        return replace(site, name=self.place(place) + rest)


def protect(
    work: Workload,
    *protections: Named | Sequence[Named],
    batches: Sequence[Batch] | None = None,
) -> Workload:
    """The same workload with protections in its model, of which it gets a copy.

    Args:
        work: Its model is left as it is.
        protections: Names, several joined by commas (``"ranger,secded"``), or objects of one's own;
            the first is applied first. A name may be followed by ``:pattern`` of the layers or
            weights it is to protect.
        batches: Of the golden run that bounds are from; those of ``work`` unless given. To the last
            bit, outputs may depend on how samples are cut into batches.

    Returns:
        A workload of the same kind. Without a fault its outputs are those of ``work``, bit for bit,
        unless a protection says otherwise.

    Raises:
        ConfigError: An unknown name; a protection that finds nothing to protect.
    """
    chosen = list(protections_of(protections))
    if not chosen:
        raise ConfigError("no protection was named")
    found = copy.copy(work)
    found.model = evaluating(copy.deepcopy(work.model))
    before = _places(found.model)
    held = _objects(found.model)
    for protection in chosen:
        protection.apply(found.model, partial(_rehearse, found, batches))
    after = _places(found.model)
    places = {name: after[at] for at, name in before.items() if at in after}
    del held  # it kept the addresses in use
    around = Protected([each.name for each in chosen], places)
    found.around = around.after(work.around) if isinstance(work.around, Protected) else around
    return found


def _rehearse(work: Workload, batches: Sequence[Batch] | None) -> None:
    rehearse(work, work.read(REPORTED) if batches is None else batches)


def rehearse(work: Workload, batches: Sequence[Batch]) -> None:
    """Runs batches through a model, without faults.

    Raises:
        ConfigError: The model fails.
    """
    device = next((tensor.device for tensor in work.model.parameters()), "cpu")
    with torch.no_grad():
        for batch in batches:
            try:
                work.run(batch.to(device).inputs)
            except FaultSimError:
                raise
            except Exception as error:
                raise ConfigError(f"the golden run of protections fails: {cause(error)}") from error


def protections_of(given: Sequence[Any]) -> list[Protection]:
    """Protections by name or as they are.

    Raises:
        ConfigError: An unknown name.
    """
    found: list[Protection] = []
    for item in given:
        if isinstance(item, str):
            found += [protection_named(name.strip()) for name in item.split(",") if name.strip()]
        elif isinstance(item, (list, tuple)):
            found += protections_of(item)
        else:
            found.append(item)
    return found


def _objects(model: nn.Module) -> list[Any]:
    return [*model.modules(), *model.parameters(), *model.buffers()]


def _places(model: nn.Module) -> dict[int, str]:
    """By identity, the first name of every module and weight."""
    found: dict[int, str] = {}
    named = (model.named_modules(), model.named_parameters(), model.named_buffers())
    for name, item in chain(*named):
        found.setdefault(id(item), name)
    return found
