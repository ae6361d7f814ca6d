"""What results may depend on beside their settings."""

from __future__ import annotations

import platform

import numpy as np
import torch

import faultsim


def versions() -> dict[str, str]:
    """Of faultsim, Python, torch and NumPy."""
    return {
        "faultsim": faultsim.__version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
    }
