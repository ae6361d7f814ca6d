"""Loss, accuracy and AUC; the last two as MedMNIST's evaluator defines them."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional


def loss(
    logits: torch.Tensor, labels: torch.Tensor, weight: torch.Tensor | None = None
) -> torch.Tensor:
    """Mean cross entropy, or mean binary cross entropy of each label where there are several.

    Args:
        logits: (n, classes).
        labels: (n,) int64 classes, or (n, classes) of 0 and 1.
        weight: (classes,) weights of the classes; of the positive labels where there are several.
    """
    if labels.ndim == 2:
        return functional.binary_cross_entropy_with_logits(
            logits, labels.to(logits.dtype), pos_weight=weight
        )
    return functional.cross_entropy(logits, labels, weight)


def probabilities(logits: torch.Tensor, multi_label: bool = False) -> torch.Tensor:
    """Softmax over the classes, or a sigmoid of each label; (n, classes)."""
    return logits.sigmoid() if multi_label else logits.softmax(dim=1)


def accuracy(logits: torch.Tensor, labels: torch.Tensor) -> float:
    """Share of images whose largest logit is the label's; a non-finite row counts as wrong.

    Args:
        logits: (n, classes).
        labels: (n,) int64.
    """
    finite = logits.isfinite().all(dim=1)
    return float(((logits.argmax(dim=1) == labels) & finite).double().mean())


def auc(probabilities: torch.Tensor, labels: torch.Tensor) -> float | None:
    """Area under the ROC curve: macro one-vs-rest, or of the last column for two classes.

    Args:
        probabilities: (n, classes).
        labels: (n,) int64.

    Returns:
        None where it is undefined: non-finite scores, or a class without or with all images.
    """
    from sklearn.metrics import roc_auc_score

    scores, truth = probabilities.double().cpu().numpy(), labels.cpu().numpy()
    classes = range(scores.shape[1]) if scores.shape[1] > 2 else [scores.shape[1] - 1]
    present = [0 < np.count_nonzero(truth == c) < len(truth) for c in classes]
    if not np.isfinite(scores).all() or not all(present):
        return None
    areas = [roc_auc_score(truth == c, scores[:, c]) for c in classes]
    return float(sum(areas) / len(areas))
