"""The devices that operators run on."""

from __future__ import annotations

import pytest
import torch

from faultsim.ops._native import native


@pytest.fixture(params=["cpu", "cuda"], scope="session")  # hypothesis wants no function scope
def device(request: pytest.FixtureRequest) -> str:
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    if request.param == "cuda" and not native().with_cuda:
        pytest.skip("built without CUDA")
    return str(request.param)
