"""Modules that cannot be skipped are run again, and forbid no cut after them."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import fx, nn

from faultsim import FaultSpace, Workload, inject
from faultsim.run.replay import Prefix, decisions
from faultsim.workload.outputs import same_bits


def replayed(work: Workload, inputs, size: int, targets=("weights", "activations")) -> Prefix:
    """Its replay, which gave the bits of the whole model under faults of each target."""
    prefix = Prefix(work.model, inputs, size, run=work.run, size=size)
    with torch.no_grad():
        assert same_bits(prefix.record(inputs), work.run(inputs))
    for target in targets:
        space = FaultSpace(work.model, target, bits="23-30", inputs=inputs, run=work.run)
        layers = list(space.layers().values())
        for layer in layers[:: max(1, len(layers) // 6)]:
            faults = layer.sample(1, seed=1)
            outcomes = [
                outcome(work, faults, run)
                for run in (partial(work.run, inputs), partial(prefix.run, 0, inputs, faults))
            ]
            assert type(outcomes[0]) is type(outcomes[1])
            assert (
                outcomes[0] == outcomes[1] if isinstance(outcomes[0], str) else same_bits(*outcomes)
            )
    return prefix


def outcome(work: Workload, faults, run):
    try:
        with torch.no_grad(), inject(work.model, faults):
            return run()
    except Exception as error:  # a detected error, of both
        return str(error)


def never(golden, faulty, batch):
    return torch.zeros(batch.size, dtype=torch.bool)


class Box:
    def __init__(self, inside: torch.Tensor) -> None:
        self.inside = inside


class Boxing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> Box:
        return Box(torch.tanh(self.layer(x)))


class Caching(nn.Module):
    """Leaves its result in a list that is handed round."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 8)

    def forward(self, x: torch.Tensor, cache: list[torch.Tensor]) -> torch.Tensor:
        cache.append(torch.tanh(self.layer(x)))
        return x + torch.stack(cache).sum(0)


class Hard(nn.Module):
    """Boxes, a cache and a counter, in an order that a seed chooses."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        kinds = torch.randint(0, 4, (5,), generator=torch.Generator().manual_seed(seed))
        makers = (Boxing, Caching, Counter, lambda: nn.Sequential(nn.Linear(8, 8), nn.ReLU(True)))
        self.parts = nn.ModuleList([makers[int(kind)]() for kind in kinds])
        self.head = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        cache: list[torch.Tensor] = []
        for part in self.parts:
            x = part(x, cache) if isinstance(part, Caching) else part(x)
            x = x.inside if isinstance(x, Box) else x
        return self.head(x)


class Counter(nn.Module):
    seen = 0

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen = self.seen + 1
        return self.layer(x).relu()


@pytest.mark.parametrize("seed", range(6))
def test_random_networks_replay_to_the_bits_of_the_whole_model(seed):
    torch.manual_seed(seed)
    work = Workload(Hard(seed).eval(), None, never)
    prefix = replayed(work, torch.randn(4, 8), 4)
    assert prefix.cuts


def test_what_is_run_again_is_said_with_its_reason():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 8), Counter(), nn.Linear(8, 3)).eval()
    prefix = replayed(Workload(model, None, never), torch.randn(4, 8), 4)
    why = {each.module: each.why for each in decisions(prefix)}
    assert why["1"] == "it is run again: 1 changes its own attributes"
    assert why["1.layer"] == "" or "nearby" in why["1.layer"]


class Aliasing(nn.Module):
    """Writes to a value of its own after a module has returned a view of it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.flat, self.gate = nn.Linear(8, 8), nn.Flatten(), nn.Linear(8, 8)
        self.head = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = self.first(x).unsqueeze(1) * 2
        view = self.flat(z)
        z.mul_(1 + self.gate(x).abs().amax().gt(1e3))  # by one, unless a fault is large
        return self.head(view)


def test_a_view_of_what_is_written_later_is_never_handed_on():
    torch.manual_seed(0)
    work = Workload(Aliasing().eval(), None, never)
    inputs = torch.randn(4, 8)
    prefix = replayed(work, inputs, 4)
    faults = FaultSpace(work.model, include="gate", bits=[30]).locate(range(64))
    whole = outcome(work, faults, partial(work.run, inputs))
    assert same_bits(whole, outcome(work, faults, partial(prefix.run, 0, inputs, faults)))


def test_flat_graphs_are_cut():
    models = pytest.importorskip("torchvision", exc_type=Exception).models
    torch.manual_seed(0)
    model = fx.symbolic_trace(models.resnet18(weights=None).eval())
    prefix = replayed(Workload(model, None, never), torch.rand(2, 3, 32, 32), 2)
    assert len(prefix.cuts) >= 15


@pytest.mark.parametrize(
    ("name", "cuts"),
    [
        ("fasterrcnn_mobilenet_v3_large_320_fpn", 6),
        ("retinanet_resnet50_fpn", 6),
        ("ssdlite320_mobilenet_v3_large", 6),
    ],
)
def test_detectors_are_cut(name, cuts):
    models = pytest.importorskip("torchvision", exc_type=Exception).models
    torch.manual_seed(0)
    sizes = {} if name.startswith("ssd") else {"min_size": 64, "max_size": 96}
    make = getattr(models.detection, name)
    model = make(weights=None, weights_backbone=None, num_classes=4, **sizes).eval()
    work = Workload(model, None, never, forward=lambda model, batch: model(batch))
    prefix = replayed(work, [torch.rand(3, 60, 70)], 1, ["weights"])
    assert len(prefix.cuts) >= cuts


@pytest.mark.parametrize("kind", ["GPT2", "Llama"])
def test_generation_is_exact(kind):
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    sizes |= {"num_attention_heads": 2, "num_key_value_heads": 2}
    if kind == "GPT2":
        sizes = {"n_embd": 32, "n_layer": 2, "n_head": 2}
    tokens = {"vocab_size": 40, "eos_token_id": 39, "bos_token_id": 38, "pad_token_id": 37}
    config = getattr(transformers, f"{kind}Config")(**sizes, **tokens)
    names = {"GPT2": "GPT2LMHeadModel", "Llama": "LlamaForCausalLM"}
    model = getattr(transformers, names[kind])(config).eval()
    work = Workload(
        model, None, never, forward=lambda m, b: m.generate(b, max_new_tokens=3, do_sample=False)
    )
    prefix = replayed(work, torch.randint(0, 36, (2, 6)), 2, ["weights"])
    assert len(prefix.cuts) >= 5
