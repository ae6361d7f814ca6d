"""What happens to the images of a campaign beside its faults."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from faultsim.data import Split
from faultsim.faults import FaultSet
from faultsim.injector import Injector
from faultsim.kinds import When
from faultsim.perturb import Perturbation, perturb_split
from faultsim.workload import Batch, Workload
from faultsim.workload.batch import Rows
from faultsim.workload.failures import NOT_ITS_OWN


@dataclass(frozen=True)
class Attack:
    """A perturbation of a campaign's images.

    Attributes:
        perturbation: What is done to them.
        seed: Of what is random in it.
        adapts: Whether each trial's images are perturbed anew, with its faults armed; else once,
            on the golden model. Only attacks can tell the difference.
        when: Whether those strike after the user's own hooks, or before.
    """

    perturbation: Perturbation
    seed: int = 0
    adapts: bool = False
    when: When = "after"

    def once(
        self, workload: Workload, batches: Sequence[Batch], device: torch.device
    ) -> list[Batch]:
        """The images perturbed on the golden model.

        Raises:
            ConfigError: The model fails under it.
        """
        part = perturb_split(
            self.perturbation,
            workload.model,
            Split(*(torch.cat(columns) for columns in _columns(batches))),
            seed=self.seed,
            batch_size=batches[0].size,
            device=device,
        )
        sizes = [batch.size for batch in batches]
        rows = zip(*(torch.split(t, sizes) for t in (part.images, part.labels)), strict=True)
        return [Rows(images, labels, len(labels)) for images, labels in rows]

    def anew(
        self, workload: Workload, batches: Sequence[Batch], faults: FaultSet, device: torch.device
    ) -> list[Batch]:
        """The images perturbed while faults are armed; as they are where the model raises."""
        generator = torch.Generator().manual_seed(self.seed)
        changed: list[Batch] = []
        injector = Injector(workload.model, faults, when=self.when)
        with injector:
            for batch in batches:
                images, labels, size = batch.to(device)
                try:
                    images = self.perturbation(workload.model, images, labels, generator)
                except NOT_ITS_OWN:
                    raise
                except Exception:  # judging the trial meets it again, as a detected error
                    pass
                changed.append(Rows(images.cpu(), batch.targets, size))
                injector.advance(size)
        return changed


def _columns(batches: Sequence[Batch]) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    return [batch.inputs for batch in batches], [batch.targets for batch in batches]
