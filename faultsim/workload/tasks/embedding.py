"""Embeddings: corrupted when they turn too far from where they pointed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch.nn import functional

from faultsim import trees
from faultsim.errors import ConfigError
from faultsim.workload.batch import Batch
from faultsim.workload.readout import mean, named
from faultsim.workload.task import Events, Task

NEAREST = "nearest"
NAMES = ("embeddings", "sentence_embedding", "image_embeds", "text_embeds", "pooler_output")


class Embedding(Task):
    """A sample is corrupted when its cosine distance to the golden embedding exceeds a bound.

    Embeddings are (n, d): the output, or what it calls by one of ``NAMES``, or its first tensor.
    Targets are embeddings to be near, (n, d); or with a gallery, the row of each sample's match in
    it, (n,) int64; or none.

    With a gallery the event ``nearest`` counts samples whose nearest neighbour in it, by cosine, is
    another: who is recognised.

    Figures of a run: ``similarity``, the mean cosine similarity to the targets; ``recall``, the
    share whose nearest neighbour is the match; ``golden_similarity``, the mean cosine similarity
    to the golden run. The first and the last are over the samples that are finite.
    """

    ranges: ClassVar = {
        "similarity": (-1.0, 1.0),
        "golden_similarity": (-1.0, 1.0),
        "recall": (0.0, 1.0),
    }

    def __init__(self, distance: float = 0.1, *, gallery: torch.Tensor | None = None) -> None:
        """Sets the bound.

        Args:
            distance: Of 1 - cosine, from 0 to 2.
            gallery: (m, d) embeddings to look for neighbours in.

        Raises:
            ConfigError: No distance, or no gallery of rows.
        """
        if not 0 <= distance <= 2:
            raise ConfigError(f"a cosine distance is from 0 to 2, not {distance}")
        if gallery is not None and (gallery.ndim != 2 or not gallery.is_floating_point()):
            raise ConfigError(f"a gallery is (m, d) real numbers, not {tuple(gallery.shape)}")
        self.distance = distance
        self.gallery = None if gallery is None else gallery.detach().cpu().double()

    def check(self, output: Any, batch: Batch) -> None:
        found, gallery, wanted = _found(output), self.gallery, batch.targets
        if not isinstance(found, torch.Tensor) or found.shape[:-1] != (batch.size,):
            raise ConfigError(f"embeddings are (n, d), a row for each of {batch.size} samples")
        if not found.is_floating_point():
            raise ConfigError(f"embeddings are real numbers, not {found.dtype}")
        if gallery is not None and gallery.shape[1] != found.shape[1]:
            raise ConfigError(f"embeddings have {found.shape[1]} numbers, the gallery's others")
        if wanted is None:
            return
        if not isinstance(wanted, torch.Tensor) or len(wanted) != batch.size:
            raise ConfigError("targets of embeddings are a tensor, a row a sample")
        if wanted.is_floating_point() and wanted.shape != found.shape:
            raise ConfigError(f"embeddings {tuple(found.shape)}, but targets {tuple(wanted.shape)}")
        if not wanted.is_floating_point() and not self._indexes(wanted):
            raise ConfigError("whole numbers as targets are rows of a gallery: Embedding(gallery=)")

    def _indexes(self, wanted: torch.Tensor) -> bool:
        rows = 0 if self.gallery is None else len(self.gallery)
        return wanted.ndim == 1 and bool(((wanted >= 0) & (wanted < rows)).all())

    def samples(self, output: Any, size: int) -> Sequence[Any]:
        rows: Any = _found(output)  # a tensor of rows is a sequence of samples
        return rows  # type: ignore[no-any-return]

    def changed(self, golden: Any, output: Any, batch: Batch) -> Events:
        was, now = _found(golden), _found(output)
        if was.shape != now.shape:
            other = torch.ones(batch.size, dtype=torch.bool)
            return {"sdc": other} if self.gallery is None else {"sdc": other, NEAREST: other}
        turned = ~(1 - _cosine(now, was) <= self.distance)
        events = {"sdc": turned & (was != now).any(dim=1)}  # zeros point nowhere, and stay there
        if self.gallery is not None:
            events[NEAREST] = self._nearest(was) != self._nearest(now)
        return events

    def _nearest(self, found: torch.Tensor) -> torch.Tensor:
        """(n,) rows of the gallery."""
        assert self.gallery is not None
        return (_unit(found) @ _unit(self.gallery).T).argmax(dim=1)

    def loss(self, output: Any, batch: Batch) -> torch.Tensor:
        """The mean cosine distance to the targets; without any, the similarity to another sample.

        For at the golden embedding itself the distance to it has no slope.
        """
        found = _found(output)
        wanted = self._wanted(batch)
        if wanted is not None:
            return (1 - _cosine(found, wanted.to(found.device))).mean()
        if batch.size < 2:
            raise ConfigError("a loss of embeddings needs targets, or two samples in a batch")
        return _cosine(found, found.detach().roll(1, dims=0)).mean()

    def _wanted(self, batch: Batch) -> torch.Tensor | None:
        wanted: torch.Tensor | None = batch.targets
        if wanted is None or wanted.is_floating_point():
            return wanted
        assert self.gallery is not None
        return self.gallery[wanted.to(self.gallery.device)]

    def scores(
        self, outputs: Sequence[Any], batches: Sequence[Batch]
    ) -> Mapping[str, float | int | None]:
        if any(batch.targets is None for batch in batches):
            return {}
        pairs = [(_found(output), batch) for output, batch in zip(outputs, batches, strict=True)]
        near = [_alike(found, self._wanted(batch)) for found, batch in pairs]
        figures = {"similarity": mean(torch.cat(near))}
        if all(not batch.targets.is_floating_point() for batch in batches):
            right = [self._recognised(found, batch.targets) for found, batch in pairs]
            figures["recall"] = mean(torch.cat(right))
        return figures

    def _recognised(self, found: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        if self.gallery is None or found.shape != (len(wanted), self.gallery.shape[1]):
            return torch.zeros(len(wanted), dtype=torch.bool)
        return (self._nearest(found) == wanted) & found.isfinite().all(dim=1)

    def deviations(
        self, golden: Sequence[Any], outputs: Sequence[Any], batches: Sequence[Batch]
    ) -> Mapping[str, float | int | None]:
        pairs = zip(golden, outputs, strict=True)
        alike = [_alike(_found(now), _found(was)) for was, now in pairs]
        return {"golden_similarity": mean(torch.cat(alike)) if alike else None}


def _found(output: Any) -> Any:
    found = named(output, *NAMES)
    return next(trees.tensors(output), None) if found is None else found


def _unit(vectors: torch.Tensor) -> torch.Tensor:
    """Of length 1, in float64: large ones do not overflow, zeros stay zeros."""
    wide = vectors.double()
    scale = wide.detach().abs().amax(-1, keepdim=True).clamp_min(1e-300)
    return functional.normalize(wide / scale, dim=-1)


def _cosine(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    return (_unit(one) * _unit(other)).sum(dim=-1)


def _alike(found: torch.Tensor, wanted: torch.Tensor | None) -> torch.Tensor:
    """Cosines to what is wanted, of the rows that are finite."""
    if wanted is None or found.shape != wanted.shape:
        return torch.empty(0, dtype=torch.float64)
    return _cosine(found, wanted)[found.isfinite().all(dim=1)]
