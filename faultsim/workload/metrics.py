"""Loss, accuracy and AUC; the last two as MedMNIST's evaluator defines them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
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


def predict(logits: torch.Tensor, multi_label: bool = False) -> torch.Tensor:
    """What the logits say, a column for each label.

    Exact on logits. MedMNIST's evaluator asks whether a probability exceeds 0.5 where there are
    two classes or several labels: the same, unless the probability rounds to 0.5.

    Args:
        logits: (n, classes).
        multi_label: Whether each class is a label of its own.

    Returns:
        (n, 1) the class of the largest logit, the first of equals; or (n, classes) bool.
    """
    return logits > 0 if multi_label else logits.argmax(dim=1, keepdim=True)


def hits(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Which predictions are right, in the shape of :func:`predict`; none of a non-finite row.

    Args:
        logits: (n, classes).
        labels: (n,) int64 classes, or (n, classes) of 0 and 1.
    """
    several = labels.ndim == 2
    right = predict(logits, several) == (labels if several else labels[:, None])
    right[~logits.isfinite().all(dim=1)] = False
    return right


def accuracy(logits: torch.Tensor, labels: torch.Tensor) -> float:
    """Share of right predictions, the mean over the labels where there are several.

    Args:
        logits: (n, classes); a non-finite row counts as wrong.
        labels: (n,) int64 classes, or (n, classes) of 0 and 1.
    """
    shares = [float(column.double().mean()) for column in hits(logits, labels).T]
    return _mean(shares)


def sensitivity_specificity(
    right: torch.Tensor, labels: torch.Tensor, positive: int
) -> tuple[float | None, float | None]:
    """Share of the positive and of the other images that are predicted right.

    Args:
        right: (n,) bool, whether the image is predicted as labelled.
        labels: (n,) int64.
        positive: The diseased class.

    Returns:
        None for a share of no images.
    """
    diseased = labels == positive
    return _share(right[diseased]), _share(right[~diseased])


def _share(right: torch.Tensor) -> float | None:
    return float(right.double().mean()) if len(right) else None


def auc(probabilities: torch.Tensor, labels: torch.Tensor) -> float | None:
    """Area under the ROC curve: the mean over the classes, each against the rest, or the labels.

    Of two classes, the last column's.

    Args:
        probabilities: (n, classes).
        labels: (n,) int64 classes, or (n, classes) of 0 and 1.

    Returns:
        None where it is undefined: non-finite scores, or a class without or with all images.
    """
    scores, truth = one_against_rest(probabilities, labels)
    mixed = truth.any(axis=0) & ~truth.all(axis=0)
    if not np.isfinite(scores).all() or not mixed.all():
        return None
    return _mean(areas(scores, truth).tolist())


def areas(scores: npt.NDArray[np.float64], truth: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """The area under each column's ROC curve.

    It is the share of pairs of a positive and another image in which the positive scores higher, a
    tie counting half (Mann and Whitney, 1947); all is counted in whole numbers, so that only the
    last division rounds. scikit-learn's trapezoids give the same but for the last bits, in twenty
    times as long.

    Args:
        scores: (n, columns), finite.
        truth: (n, columns) whether an image is a positive of the column.

    Returns:
        (columns,); NaN for a column without, or of nothing but, positives.
    """
    order = np.argsort(scores, axis=0)
    ranked, hit = (np.take_along_axis(each, order, axis=0).T for each in (scores, truth))
    begins = np.ones(ranked.shape, dtype=bool)
    begins[:, 1:] = ranked[:, 1:] != ranked[:, :-1]
    tie = np.cumsum(begins) - 1  # numbers of equal scores, column after column
    positives = np.bincount(tie, weights=hit.ravel()).astype(np.int64)
    others = np.bincount(tie) - positives
    below = np.cumsum(others) - others
    first = tie[:: len(scores)]
    won_twice = np.add.reduceat(positives * (2 * below + others), first)
    counts = truth.sum(axis=0)
    pairs = counts * (len(truth) - counts)
    with np.errstate(invalid="ignore"):
        found: npt.NDArray[np.float64] = (won_twice - 2 * below[first] * counts) / (2 * pairs)
    return found


def _mean(values: Sequence[float]) -> float:
    """In the evaluator's steps, for its last bit: sum() makes other ones since Python 3.12."""
    total = 0.0
    for value in values:
        total += value
    return float(total / len(values))


def one_against_rest(
    probabilities: torch.Tensor, labels: torch.Tensor
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """The columns whose areas :func:`auc` averages: scores, and whether they should be high.

    Arguments as :func:`auc`.
    """
    scores, truth = probabilities.double().cpu().numpy(), labels.cpu().numpy()
    if truth.ndim == 2:
        return scores, truth != 0
    truth = truth[:, None] == np.arange(scores.shape[1])
    return (scores[:, 1:], truth[:, 1:]) if scores.shape[1] == 2 else (scores, truth)
