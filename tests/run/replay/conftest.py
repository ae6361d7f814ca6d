"""Networks that make replay hard: what they share, remember, change in place or decide."""

from __future__ import annotations

import inspect
from dataclasses import dataclass

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations


class InPlace(nn.Module):
    """Activations that overwrite what came before, and a skip connection around them."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(8, 8), nn.Linear(8, 8)
        self.act = nn.ReLU(inplace=True)
        self.head = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.act(self.one(x))
        y = self.act(self.two(x))
        y += x
        return self.head(y.mul_(2))


class Tied(nn.Module):
    """The last layer reads the weight of the first; one module is called three times."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.mix, self.norm = nn.Linear(8, 8), nn.Linear(8, 8), nn.LayerNorm(8)
        self.out = nn.Linear(8, 8, bias=False)
        self.out.weight = self.embed.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.embed(x)
        for _ in range(3):
            x = torch.tanh(self.norm(self.mix(x)))
        return self.out(x)[:, :3]


class Inner(nn.Module):
    def __init__(self, shared: nn.Module) -> None:
        super().__init__()
        self.own, self.shared = nn.Linear(8, 8), shared

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.shared(self.own(x)))


class Shared(nn.Module):
    """Blocks that call one and the same layer, once out of sight of the root."""

    def __init__(self) -> None:
        super().__init__()
        shared = nn.Linear(8, 8)
        self.blocks = nn.ModuleList([Inner(shared) for _ in range(3)])
        self.last, self.head = shared, nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = block(x)
        return self.head(self.last(x))


class Deciding(nn.Module):
    """Goes one way or the other, by values that faults and images change."""

    def __init__(self) -> None:
        super().__init__()
        self.start, self.gate = nn.Linear(8, 8), nn.Linear(8, 1)
        self.left, self.right, self.head = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        start = self.start(x)
        way = self.left(start) if self.gate(start).mean() > 0 else self.right(start)
        late = self.head(way)
        if late.abs().max() > 2:  # never in the golden run
            late = late + start[:, :3] + x[:, 3:6]
        return late


@dataclass
class Pair:
    first: torch.Tensor
    rest: dict[str, tuple[torch.Tensor, int]]


class Splitting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(8, 16)

    def forward(self, x: torch.Tensor) -> Pair:
        first, second = self.project(x).chunk(2, dim=-1)
        return Pair(first, {"second": (second.t(), 3), "none": (x.expand(2, *x.shape)[0], 0)})


class Nested(nn.Module):
    """Values in containers, as views with gaps and transposes."""

    def __init__(self) -> None:
        super().__init__()
        self.split, self.join, self.head = Splitting(), nn.Bilinear(8, 8, 8), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pair = self.split(x)
        second, times = pair.rest["second"]
        return self.head(torch.relu(self.join(pair.first, second.t().contiguous())) * times)


class Remembering(nn.Module):
    """A layer leaves its result where a later one finds it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 3)
        self.writer = Writer()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.writer(self.first(x))
        return self.head(self.second(x) + self.writer.left)


class Writer(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.left = x.flip(-1)
        return x


class Normed(nn.Module):
    """Weights computed from others when they are asked for, and a weight of the root's."""

    def __init__(self) -> None:
        super().__init__()
        self.one = parametrizations.weight_norm(nn.Linear(8, 8))
        self.two = parametrizations.spectral_norm(nn.Linear(8, 8))
        self.scale, self.head = nn.Parameter(torch.ones(8)), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.tanh(self.two(torch.tanh(self.one(x)) * self.scale)))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.lstm, self.head = nn.Linear(2, 6), nn.LSTM(6, 6), nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        steps, _ = self.lstm(self.embed(x.view(4, -1, 2)))
        return self.head(steps[-1])


class Attending(nn.Module):
    """torch's own transformer, whose fast path reads weights outside the modules that own them."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.cls = nn.Parameter(torch.randn(1, 1, 8))
        self.encode = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False)
        self.cross = nn.MultiheadAttention(8, 2, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.cat([self.cls.expand(len(x), -1, -1), x.unsqueeze(1) * torch.ones(5, 1)], dim=1)
        x = self.encode(x)
        return self.head(self.cross(x[:, :1], x, x)[0].squeeze(1))


class Seeded(nn.Module):
    """Noise that is the same in every pass."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.head = Noisy(), Noisy(), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(5)
        return self.head(self.two(self.one(x)))


class Noisy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.layer(x)
        return x + torch.rand_like(x)


class Looping(nn.Module):
    """Calls the shared layer once or twice, by the scale of the images."""

    def __init__(self, shared: nn.Module) -> None:
        super().__init__()
        self.shared = shared

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for _ in range(2 if x.abs().mean() > 1 else 1):
            x = self.shared(x)
        return x


class Boxing(nn.Module):
    """Returns something that nobody can copy, by the scale of the images."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor | Box:
        large = x.abs().mean() > 1
        x = self.layer(x)
        return Box(x) if large else x


class Box:
    def __init__(self, inside: torch.Tensor) -> None:
        self.inside = inside


class Varying(nn.Module):
    """Takes another way for other images."""

    def __init__(self) -> None:
        super().__init__()
        shared = nn.Linear(8, 8)
        self.looping, self.again, self.head = Looping(shared), shared, nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.again(torch.tanh(self.looping(x)))))


class Opening(nn.Module):
    """Changes what it finds in a box."""

    def __init__(self) -> None:
        super().__init__()
        self.boxing, self.head = Boxing(), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.boxing(x)
        return self.head(y.inside.add_(1) if isinstance(y, Box) else y)


class Publishing(nn.Module):
    """A layer leaves a figure of its weight, as quantisers do, for a later one."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.scaled, self.head = nn.Linear(8, 8), Scaled(), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.tanh(self.scaled(self.first(x))) * self.scaled.scale)


class Scaled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(8, 8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.scale = self.weight.abs().mean()
        return x @ self.weight / self.scale


class Counting(nn.Module):
    """Every pass changes a buffer in place, and a list."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.mean, self.head = nn.Linear(8, 8), Mean(), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.mean(self.first(x))
        return self.head(x - self.mean.last + self.mean.shapes[-1].mean())


class Mean(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("last", torch.zeros(8), persistent=False)
        self.shapes: list[torch.Tensor] = [torch.zeros(8)]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.last.copy_(x.mean(0))
        self.shapes[-1] = x[0] * 2
        return x


class Bounding(nn.Module):
    """Bounds a value in place where both it and the result are read; only large values change."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.bound = nn.Linear(8, 8), nn.Hardtanh(-1.5, 1.5, inplace=True)
        self.mix, self.head = nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.first(x)
        z = self.bound(y)
        return self.head(torch.tanh(self.mix(z)) + y)


class Ranger(nn.Module):
    """Clamps a value in place of which another module has returned a view."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.flat, self.clamp = nn.Linear(8, 8), nn.Flatten(), Clamp()
        self.head = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.first(x)
        view = self.flat(y.unsqueeze(1))
        self.clamp(y)
        return self.head(view)


class Clamp(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("high", torch.tensor(1.0))

    def forward(self, x: torch.Tensor) -> None:
        x.clamp_(max=self.high)


class Filling(nn.Module):
    """Fills a container that a layer has returned."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = Holding(), nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        held = self.first(x)
        if "y" not in held["cache"]:
            held["cache"]["y"] = self.second(held["x"])
        return self.head(held["cache"]["y"])


class Holding(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> dict[str, object]:
        return {"x": self.layer(x), "cache": {}}


class Recursing(nn.Module):
    """Modules that call themselves."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.again, self.head = nn.Linear(8, 8), Again(), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.again(self.first(x), 3))


class Again(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 8)

    def forward(self, x: torch.Tensor, depth: int) -> torch.Tensor:
        return torch.tanh(self.layer(self(x, depth - 1) if depth else x))


class Nesting(nn.Module):
    """Runs the same modules in the same order, but inside others, by the scale of the images."""

    def __init__(self) -> None:
        super().__init__()
        shared = nn.Linear(8, 8)
        self.outer, self.shared, self.head = Outer(shared), shared, nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inside = bool(x.abs().mean() > 1)
        y = self.outer(x, inside)
        return self.head(torch.tanh(y if inside else self.shared(y)))


class Outer(nn.Module):
    def __init__(self, shared: nn.Module) -> None:
        super().__init__()
        self.own, self.inner = nn.Linear(8, 8), shared

    def forward(self, x: torch.Tensor, inside: bool) -> torch.Tensor:
        x = torch.relu(self.own(x))
        return self.inner(x) if inside else x


class Peeking(nn.Module):
    """Reads the last layer's weight first, for large images only."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.abs().mean() > 1:
            x = x + self.head.weight.sum()
        return self.head(torch.tanh(self.first(x)))


class Asking(nn.Module):
    """Looks at the signature of a module's forward."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.scaling, self.head = nn.Linear(8, 8), Scaling(), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        asks = "scale" in inspect.signature(self.scaling.forward).parameters
        return self.head(self.scaling(x, scale=3.0) if asks else self.scaling(x))


class Scaling(nn.Module):
    def forward(self, x: torch.Tensor, scale: float = 1.0) -> torch.Tensor:
        return x * scale


class Sensing(nn.Module):
    """Sees that it is watched."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.first(x)) + ("forward" in vars(self.head))


class Shy(nn.Module):
    """Fails if it is watched with large images."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.abs().mean() > 1 and torch._C._len_torch_dispatch_stack():
            raise RuntimeError("watched")
        return self.head(torch.tanh(self.first(x)))


NETWORKS = (
    InPlace,
    Tied,
    Shared,
    Deciding,
    Nested,
    Remembering,
    Normed,
    Recurrent,
    Attending,
    Seeded,
    Varying,
    Opening,
    Publishing,
    Counting,
    Bounding,
    Ranger,
    Filling,
    Recursing,
    Nesting,
    Peeking,
    Asking,
    Sensing,
    Shy,
)


@pytest.fixture(params=NETWORKS, ids=lambda network: network.__name__)
def network(request) -> nn.Module:
    torch.manual_seed(0)
    return request.param().eval()


@pytest.fixture
def vectors() -> torch.Tensor:
    return torch.randn(6, 8, generator=torch.Generator().manual_seed(3))
