"""Small models and data that every test may use."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import hypothesis
import pytest
import torch
from torch import nn

from faultsim.data import Dataset, Split
from faultsim.ops._native import native
from faultsim.ops.grid import rehearsed
from faultsim.run import engine

# Examples share the machine with other workers, so only correctness is judged, not time.
hypothesis.settings.register_profile("faultsim", deadline=None, max_examples=60, derandomize=True)
hypothesis.settings.load_profile("faultsim")

# Workers share the cores; more threads than cores would make every one of them wait.
os.environ.setdefault("OMP_NUM_THREADS", "1")
torch.set_num_threads(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--once", action="store_true", help="each test with its first parameters only")
    parser.addoption("--not-again", metavar="XML", help="leave out what passed in this record")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Whether an interface is there shows at once; what has passed shows nothing new."""
    kept = items[:]
    if config.getoption("--once"):
        first = {item.nodeid.partition("[")[0]: item for item in reversed(kept)}
        kept = [item for item in kept if first[item.nodeid.partition("[")[0]] is item]
    record = config.getoption("--not-again")
    if record and Path(record).exists():
        cases = [case for case in ElementTree.parse(record).iter("testcase") if not len(case)]
        passed = {(case.get("classname"), case.get("name")) for case in cases}
        kept = [item for item in kept if (_module_of(item), item.name) not in passed]
    kept.sort(key=lambda item: item.get_closest_marker("slow") is None)  # workers end together
    left = set(kept)
    config.hook.pytest_deselected(items=[item for item in items if item not in left])
    items[:] = kept


def _module_of(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0].removesuffix(".py").replace("/", ".")


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


@pytest.fixture(autouse=True)
def replay_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small models win nothing by replay, but are to show that it is exact."""
    monkeypatch.setattr(engine, "MEASURED", False)


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


HEADS, WIDTH, VOCABULARY = 2, 8, 11


class Block(nn.Module):
    """Attention over what was kept and what is new, then a step of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.mlp = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: torch.Tensor, past: Any) -> tuple[torch.Tensor, Any]:
        batch, new, _ = x.shape
        parts = self.qkv(x).chunk(3, dim=-1)
        q, k, v = (part.view(batch, new, HEADS, -1).transpose(1, 2) for part in parts)
        if past is not None:
            k, v = torch.cat([past[0], k], dim=2), torch.cat([past[1], v], dim=2)
        later = torch.ones(new, k.shape[2]).triu(k.shape[2] - new + 1).bool()
        scores = (q @ k.transpose(2, 3)).masked_fill(later, -1e9).softmax(-1)
        x = x + self.out((scores @ v).transpose(1, 2).flatten(2))
        return x + torch.tanh(self.mlp(x)), (k, v)


class Decoder(nn.Module):
    """Tokens and a cache in, logits of the last token and a cache out."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.place = nn.Embedding(VOCABULARY, WIDTH), nn.Embedding(32, WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(2))
        self.head = nn.Linear(WIDTH, VOCABULARY)

    def forward(self, ids: torch.Tensor, cache: Any = None) -> tuple[torch.Tensor, Any]:
        start = 0 if cache is None else cache[0][0].shape[2]
        x = self.embed(ids) + self.place(torch.arange(start, start + ids.shape[1]))
        kept = []
        for number, block in enumerate(self.blocks):
            x, new = block(x, None if cache is None else cache[number])
            kept.append(new)
        return self.head(x[:, -1]), tuple(kept)


@pytest.fixture
def decoder() -> nn.Module:
    torch.manual_seed(0)
    return Decoder().eval()


@pytest.fixture
def prompt() -> Callable[[int], torch.Tensor]:
    """Tokens of so many samples, and of so many of each."""

    def make(samples: int, length: int = 4) -> torch.Tensor:
        generator = torch.Generator().manual_seed(length)
        return torch.randint(0, VOCABULARY, (samples, length), generator=generator)

    return make


@pytest.fixture
def generate() -> Callable[..., torch.Tensor]:
    """(samples, steps, vocabulary) logits of a greedy continuation."""

    def run(
        model: nn.Module,
        ids: torch.Tensor,
        steps: int = 4,
        between: Callable[[int, Any], Any] = lambda step, cache: cache,
    ) -> torch.Tensor:
        """``between`` is given the number of the step that follows, and the cache."""
        found, cache = [], None
        with torch.no_grad():
            for step in range(steps):
                logits, cache = model(ids, between(step, cache))
                found.append(logits)
                ids = logits.argmax(-1, keepdim=True)
        return torch.stack(found, 1)

    return run


@pytest.fixture
def tiny_language_model() -> Callable[[str], nn.Module]:
    """A model of transformers by the name of its kind ("GPT2", "Llama"), with random weights."""
    transformers = pytest.importorskip("transformers")

    def make(kind: str) -> nn.Module:
        small = {"vocab_size": 32, "hidden_size": 16, "num_hidden_layers": 2}
        small |= {"num_attention_heads": 2, "intermediate_size": 32}
        sizes = {"GPT2": {"n_embd": 16, "n_layer": 2, "n_head": 2, "vocab_size": 32}}
        torch.manual_seed(0)
        config = getattr(transformers, f"{kind}Config")(**sizes.get(kind, small))
        model: nn.Module = transformers.AutoModelForCausalLM.from_config(config)
        return model.eval()

    return make
