"""Accuracy and AUC as MedMNIST's evaluator defines them."""

from __future__ import annotations

import numpy as np
import torch


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
