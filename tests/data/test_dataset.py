"""What a data set says about itself, and what it refuses."""

from __future__ import annotations

import pytest
import torch

from faultsim.data import Dataset, Split
from faultsim.errors import ConfigError


def made(num_classes: int, labels: list, **more) -> Dataset:
    rows = torch.tensor(labels)
    split = Split(torch.zeros(len(rows), 1, 2, 2), rows)
    return Dataset("set", num_classes, split, split, split, **more)


@pytest.mark.parametrize(
    ("classes", "labels", "task"),
    [
        (2, [0, 1], "binary-class"),
        (3, [0, 1], "multi-class"),
        (2, [[0, 1], [1, 1]], "multi-label"),
    ],
)
def test_the_task_is_what_the_labels_look_like(classes, labels, task):
    data = made(classes, labels)
    assert data.task == task
    assert data.classes == tuple(map(str, range(classes)))


def test_directions_name_the_diseased_class_first():
    data = made(2, [0, 1], classes=("malignant", "benign"), positive=0)
    assert data.directions == {
        "missed": "malignant → benign",
        "false_alarms": "benign → malignant",
    }
    assert made(3, [0, 1]).directions == {}


@pytest.mark.parametrize(
    ("classes", "labels", "more", "message"),
    [
        (3, [0, 5], {}, "labels are not all in 0 to 2"),
        (2, [[0, 2]], {}, "labels are not all in 0 to 1"),
        (3, [[0, 1]], {}, "n rows of labels"),
        (2, [[0, 1]], {"task": "binary-class"}, "with n labels"),
        (3, [0], {"task": "binary-class"}, "classes 0 and 1"),
        (2, [0], {"positive": 2}, "one positive"),
        (2, [0], {"task": "regression"}, "is no task"),
        (2, [0], {"classes": ("a",)}, "1 names for 2 classes"),
        (2, [0.5, 1.0], {}, "labels must be integers, not torch.float32"),
        (1 << 40, [0], {}, "1099511627776 classes, more than"),
    ],
)
def test_what_does_not_fit_is_refused(classes, labels, more, message):
    with pytest.raises(ConfigError, match=message):
        made(classes, labels, **more)


def test_the_digest_covers_several_labels():
    digests = {made(2, rows).digest for rows in ([[0, 1]], [[1, 1]], [1])}
    assert len(digests) == 3
