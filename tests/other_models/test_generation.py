"""Models that write step by step, and keep a cache meanwhile.

What is tested elsewhere: the steps and caches of hand-written loops in
tests/campaign/test_generation.py and test_caches.py, beams in tests/targets/test_beams.py.
"""

from __future__ import annotations

import inspect

import pytest
import torch

from faultsim import FaultSet, FaultSpace, Workload, inject, tasks
from faultsim.faults import Fault

IDS = torch.randint(0, 32, (3, 4), generator=torch.Generator().manual_seed(0))
STEPS = 4


def written(model, ids):
    settings = {"max_new_tokens": STEPS, "do_sample": False, "eos_token_id": None}
    more = {"return_dict_in_generate": True, "output_logits": True, "pad_token_id": 0}
    return model.generate(ids, attention_mask=torch.ones_like(ids), **settings, **more)


def moved(golden, faulty):
    """By step, whether a bit of the logits is another in any sample."""
    pairs = zip(golden.logits, faulty.logits, strict=True)
    return [not torch.equal(one.view(torch.int32), other.view(torch.int32)) for one, other in pairs]


@pytest.mark.parametrize("kind", ["GPT2", "Llama"])
def test_a_fault_in_what_is_computed_names_its_step(tiny_language_model, kind):
    model = tiny_language_model(kind)
    run = lambda ids: written(model, ids)  # noqa: E731
    space = FaultSpace(model, "activations", inputs=IDS, run=run, include="*mlp")
    site, golden = space.sites[0], written(model, IDS)
    assert site.steps == STEPS
    for step in range(STEPS):
        with inject(model, Fault(site, (0, 3), bit=29, step=step)):
            found = moved(golden, written(model, IDS))
        assert found.index(True) == step


@pytest.mark.parametrize("kind", ["GPT2", "Llama"])
def test_the_cache_is_a_target(campaign, tiny_language_model, kind):
    model = tiny_language_model(kind)
    work = Workload(model, [IDS], tasks.Generation(prompt=4), written)
    assert campaign(work, target="kv-cache", bits="30", trials=6).golden.n == len(IDS)
    space = FaultSpace(model, "kv-cache", inputs=IDS, run=work.run)
    names = [f"(cache).layers.{n}.{part}" for n in range(2) for part in ("keys", "values")]
    assert [site.name for site in space.sites] == names
    golden = written(model, IDS)
    for step in range(1, STEPS):
        fault = FaultSet.of(Fault(space.sites[-1], (0, 2, 1), bit=28, step=step))
        with inject(model, fault):
            found = moved(golden, written(model, IDS))
        assert found.index(True) == step  # and none before it


def test_a_cache_object_of_the_callers_is_struck_in_copies(campaign, tiny_language_model):
    model = tiny_language_model("Llama")
    known = inspect.signature(model.forward).parameters
    name = "cache" if "cache" in known else "past_key_values"  # since transformers 5
    with torch.no_grad():
        cache = getattr(model(IDS, use_cache=True), name)
    held = [(layer.keys, layer.values) for layer in cache.layers]
    words = [tuple(part.clone() for part in layer) for layer in held]
    batch = {"input_ids": IDS[:, :1], name: cache}

    def forward(model, batch):
        with torch.no_grad():
            return model(**batch).logits

    work = Workload(model, [batch], lambda g, f, b: (g != f).flatten(1).any(1), forward)
    result = campaign(work, target="kv-cache", bits="28-30", trials=6)
    assert result.cells[0].rates["sdc"].value > 0
    for layer, was, word in zip(cache.layers, held, words, strict=True):
        assert layer.keys is was[0]
        assert layer.values is was[1]
        assert torch.equal(layer.keys, word[0])
        assert torch.equal(layer.values, word[1])
    space = FaultSpace(model, "kv-cache", inputs=batch)
    with inject(model, space.sample(3, seed=0)), torch.no_grad():
        model(**batch)
    assert all(torch.equal(at.keys, word[0]) for at, word in zip(cache.layers, words, strict=True))
    assert cache.layers[0].keys is held[0][0]
