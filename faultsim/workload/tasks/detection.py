"""Boxes around the objects of an image."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from faultsim.errors import ConfigError
from faultsim.workload.batch import Batch
from faultsim.workload.boxes import Boxes, changes, corners_of
from faultsim.workload.extras import check_installed
from faultsim.workload.outputs import Rows
from faultsim.workload.parts import Where, part
from faultsim.workload.task import Events, Task

EVENTS = ("appeared", "vanished", "moved", "relabelled")
FIGURES = ("map", "map_50", "map_75")


class Detection(Task):
    """An image is corrupted when a box appears, vanishes, moves or changes its class.

    Outputs are torchvision's, a mapping of ``boxes`` (corners), ``labels`` and ``scores`` for each
    image; or those of DETR and its like in transformers, ``logits`` (n, queries, classes) and
    ``pred_boxes`` (n, queries, 4: centre, width, height). Boxes whose score reaches a threshold are
    compared with those of the golden run, one to one (:func:`faultsim.workload.boxes.changes`).
    Each way of changing is an event: ``appeared``, ``vanished``, ``moved``, ``relabelled``.

    Targets are a mapping for each image, of ``boxes`` as the outputs have them and ``labels`` or
    ``class_labels``. With them, figures are COCO's mean average precision ``map``, ``map_50`` and
    ``map_75``, of all boxes with finite numbers; without them there are none, and a search lowers
    the share of unharmed images.

    The loss is the one that an output brings along (transformers' models compute it where they are
    given labels). Else, as torchvision's have one only while they train, it is the mean negative
    logarithm of the scores of the boxes that reach the threshold: it grows as found objects fade.
    """

    objective = "map"

    def __init__(
        self,
        threshold: float = 0.5,
        *,
        iou: float = 0.5,
        no_object: bool = True,
        boxes: Where | None = None,
    ) -> None:
        """Says which boxes count.

        Args:
            threshold: The least score.
            iou: The least intersection over union of a box that has not moved.
            no_object: Of outputs like DETR's, whether the last class is that of no object, and
                scores are a softmax; else each class has a sigmoid of its own.
            boxes: Where they are in the output, a path or a function; by default it is all of it.

        Raises:
            ConfigError: A threshold is no share.
        """
        for name, value in (("threshold", threshold), ("iou", iou)):
            if not 0 <= value <= 1:
                raise ConfigError(f"{name} must be from 0 to 1, not {value}")
        self.threshold, self.iou, self.no_object, self._where = threshold, iou, no_object, boxes

    def check(self, output: Any, batch: Batch) -> None:
        count = len(self._found(output))
        if count != batch.size:
            raise ConfigError(f"there are boxes of {count} images, not of {batch.size}")
        if batch.targets is None:
            self.objective = ""  # for there are no figures
            return
        for module in ("torchmetrics", "pycocotools"):
            check_installed(module, "the mAP of Detection")
        check_installed("torchvision", "the mAP of Detection", "pip install torchvision")
        if len(self._targets(output, batch)) != batch.size:
            raise ConfigError(f"there are targets of another number of images than {batch.size}")

    def samples(self, output: Any, size: int) -> Sequence[Any]:
        found = self._given(output)
        queries = _queries(found)
        return list(found) if queries is None else Rows(queries, size)

    def changed(self, golden: Any, output: Any, batch: Batch) -> Events:
        pairs = zip(self._shown(golden), self._shown(output), strict=True)
        counts = [changes(was, now, self.iou) for was, now in pairs]
        flags = torch.tensor(counts).reshape(len(counts), len(EVENTS)) > 0
        return {"sdc": flags.any(dim=1), **dict(zip(EVENTS, flags.T, strict=True))}

    def loss(self, output: Any, batch: Batch) -> torch.Tensor:
        given = output.get("loss") if isinstance(output, Mapping) else None
        given = getattr(output, "loss", None) if given is None else given
        if isinstance(given, torch.Tensor):
            return given
        scores = torch.cat([boxes.scores for boxes in self._found(output)])
        kept = scores[scores >= self.threshold].clamp_min(torch.finfo(scores.dtype).tiny)
        return -kept.log().sum() / max(len(kept), 1)

    def scores(
        self, outputs: Sequence[Any], batches: Sequence[Batch]
    ) -> Mapping[str, float | int | None]:
        if any(batch.targets is None for batch in batches):
            return {}
        from torchmetrics.detection import MeanAveragePrecision

        precision = MeanAveragePrecision()
        precision.warn_on_many_detections = False
        for output, batch in zip(outputs, batches, strict=True):
            precision.update(
                [_finite(found) for found in self._found(output)], self._targets(output, batch)
            )
        found = precision.compute()
        return {name: _share(float(found[name])) for name in FIGURES}

    def _given(self, output: Any) -> Any:
        return output if self._where is None else part(output, self._where)

    def _shown(self, output: Any) -> list[Boxes]:
        return [boxes.where(boxes.scores >= self.threshold) for boxes in self._found(output)]

    def _found(self, output: Any) -> list[Boxes]:
        """All boxes, image by image."""
        output = self._given(output)
        queries = _queries(output)
        if queries is not None:
            return self._of_queries(*queries)
        if not isinstance(output, (list, tuple)) or not all(map(_is_image, output)):
            raise ConfigError(
                "the model must return boxes, labels and scores of each image, or logits and "
                f"pred_boxes, not a {type(output).__name__}"
            )
        return [Boxes(image["boxes"], image["labels"], image["scores"]) for image in output]

    def _of_queries(self, logits: torch.Tensor, centred: torch.Tensor) -> list[Boxes]:
        shares = logits.softmax(dim=-1)[..., :-1] if self.no_object else logits.sigmoid()
        scores, labels = shares.max(dim=-1)
        return [Boxes(*rows) for rows in zip(corners_of(centred), labels, scores, strict=True)]

    def _targets(self, output: Any, batch: Batch) -> list[dict[str, torch.Tensor]]:
        centred, found = _queries(self._given(output)) is not None, []
        for image in batch.targets:
            labels = image.get("labels", image.get("class_labels"))
            if labels is None or "boxes" not in image:
                raise ConfigError("targets must have boxes and labels (or class_labels)")
            boxes = corners_of(image["boxes"]) if centred else image["boxes"]
            found.append({"boxes": boxes, "labels": labels.long()})
        return found


def _queries(output: Any) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Logits and boxes, of DETR and its like."""
    names = ("logits", "pred_boxes")
    if isinstance(output, Mapping):
        logits, boxes = (output.get(name) for name in names)
    else:
        logits, boxes = (getattr(output, name, None) for name in names)
    return None if logits is None or boxes is None else (logits, boxes)


def _is_image(image: Any) -> bool:
    return isinstance(image, Mapping) and {"boxes", "labels", "scores"} <= image.keys()


def _finite(boxes: Boxes) -> dict[str, torch.Tensor]:
    """What torchmetrics takes of an image."""
    kept = boxes.where(boxes.corners.isfinite().all(dim=-1) & boxes.scores.isfinite())
    return {"boxes": kept.corners, "labels": kept.labels, "scores": kept.scores}


def _share(value: float) -> float | None:
    """COCO says -1 where there is nothing to find."""
    return value if math.isfinite(value) and value >= 0 else None
