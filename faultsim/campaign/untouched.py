"""Marks that other libraries leave in a process when they are first imported, taken away again."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

MARKS = ("TORCHINDUCTOR_CACHE_DIR",)
"""Variables of the environment; torch sets this one whenever it needs it and it is not there."""


@contextmanager
def untouched() -> Iterator[None]:
    """Leaves filters of warnings and the environment as they were."""
    new = [name for name in MARKS if name not in os.environ]
    try:
        with warnings.catch_warnings():
            yield
    finally:
        for name in new:
            os.environ.pop(name, None)
