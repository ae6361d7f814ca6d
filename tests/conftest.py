"""Small models and data that every test may use."""

from __future__ import annotations

import os
from collections.abc import Iterator

import hypothesis
import pytest
import torch
from torch import nn

from faultsim.data import Dataset, Split
from faultsim.ops._native import native
from faultsim.ops.grid import rehearsed

# Examples share the machine with other workers, so only correctness is judged, not time.
hypothesis.settings.register_profile("faultsim", deadline=None, max_examples=60, derandomize=True)
hypothesis.settings.load_profile("faultsim")

# Workers share the cores; more threads than cores would make every one of them wait.
os.environ.setdefault("OMP_NUM_THREADS", "1")
torch.set_num_threads(1)


class TinyNet(nn.Module):
    """Convolution, BatchNorm, a raw parameter and a tied head."""

    def __init__(self, num_classes: int = 3, in_channels: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.gain = nn.Parameter(torch.ones(4))
        self.act = nn.ReLU()
        self.head = nn.Linear(4, num_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.act(self.norm(self.conv(images)))
        logits: torch.Tensor = self.head(x.mean(dim=(2, 3)) * self.gain)
        return logits


@pytest.fixture(scope="module", params=["cpu", "grid", "cuda"])
def device(request) -> Iterator[torch.device]:
    """The CPU; the CPU running what a CUDA device would run; a CUDA device."""
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("torch finds no CUDA device here")
    if request.param == "cuda" and not native().with_cuda:
        pytest.skip("faultsim was built without CUDA")
    if request.param != "grid":
        yield torch.device(request.param, 0) if request.param == "cuda" else torch.device("cpu")
        return
    with rehearsed(shuffle=1):
        yield torch.device("cpu")


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return TinyNet().eval()


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def dataset() -> Dataset:
    generator = torch.Generator().manual_seed(2)

    def split(n: int) -> Split:
        labels = torch.arange(n) % 3
        noise = torch.rand(n, 1, 8, 8, generator=generator) * 0.3
        return Split(noise + labels.view(-1, 1, 1, 1) * 0.3, labels)

    return Dataset("stripes", 3, split(30), split(18), split(24))


@pytest.fixture
def bits_of_model():
    """The exact words of every parameter and buffer, to compare before with after."""

    def read(module: nn.Module) -> dict[str, bytes]:
        tensors = module.state_dict().items()
        return {
            name: t.cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes()
            for name, t in tensors
        }

    return read
