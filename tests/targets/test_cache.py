"""Faults in what a model keeps from pass to pass: struck between two, read by all later ones."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
from torch import nn

from faultsim import FaultSpace, inject
from faultsim.errors import FaultError, InjectionError
from faultsim.faults import Fault

STEPS = 4


@pytest.fixture
def space(decoder, prompt, generate) -> FaultSpace:
    def run(ids: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = generate(decoder, ids)
        return found

    return FaultSpace(decoder, "kv-cache", inputs=prompt(3), run=run)


def flip(tensor: torch.Tensor, fault: Fault, samples) -> None:
    element = torch.unravel_index(torch.tensor(fault.index), fault.home.shape)
    for sample in samples:
        word = tensor[(sample, *element)].view(torch.int32)
        tensor[(sample, *element)] = (word ^ int(fault.mask)).view(torch.float32)


def by_hand(model, fault: Fault, generate, ids, samples) -> torch.Tensor:
    """The continuation with a word of the cache flipped before the step of the fault."""
    _, layer, part = fault.tensor.split(".")

    def between(step: int, cache: Any) -> Any:
        if step == fault.step:
            flip(cache[int(layer)][int(part)], fault, samples)
        return cache

    return generate(model, ids, between=between)


def same(one: torch.Tensor, other: torch.Tensor) -> bool:
    return torch.equal(one.view(torch.int32), other.view(torch.int32))


def test_a_site_has_what_is_stored_at_each_step(space):
    names = [f"(cache).{layer}.{part}" for layer in range(2) for part in range(2)]
    assert [site.name for site in space.sites] == names
    for site in space.sites:
        assert (site.steps, site.shape, site.per_sample, site.axis) == (STEPS, (2, 6, 4), True, 0)
        assert site.shapes == ((0, 0, 0), (2, 4, 4), (2, 5, 4), (2, 6, 4))
    assert list(space.layers()) == ["(cache).0", "(cache).1"]
    assert len(space) == 32 * 4 * (4 + 5 + 6) * 8


@pytest.mark.parametrize("samples", [1, 2, 5])
def test_what_is_numbered_is_what_is_struck(decoder, prompt, generate, space, samples):
    ids = prompt(samples)
    golden = generate(decoder, ids)
    changed = 0
    for fault in space.sample(40, seed=samples):
        with inject(decoder, fault):
            struck = generate(decoder, ids)
        assert same(struck, by_hand(decoder, fault, generate, ids, range(samples)))
        assert same(struck[:, : fault.step], golden[:, : fault.step])
        changed += not same(struck, golden)
    assert changed > 20
    assert same(generate(decoder, ids), golden)


def test_every_number_is_another_word_at_another_step(space):
    every = space.filter(lambda site, bit: bit == 3)
    faults = every.locate(range(len(every)))
    assert len({(f.tensor, f.index, f.step) for f in faults}) == len(every)
    assert {f.step for f in faults} == {1, 2, 3}


def test_a_struck_word_stays_until_the_end(decoder, prompt, generate, space):
    fault = Fault(space.sites[0], (1, 2, 3), bit="29", step=2)
    seen = []

    def between(step, cache):
        seen.append(cache and cache[0][0].clone())
        return cache

    golden = generate(decoder, prompt(2), between=between)
    with inject(decoder, fault):
        struck = generate(decoder, prompt(2), between=between)
    was, now = seen[:STEPS], seen[STEPS:]
    assert same(was[1], now[1])
    assert same(was[2], now[2])
    assert not same(was[3][:, 1, 2, 3], now[3][:, 1, 2, 3])
    assert same(golden[:, :2], struck[:, :2])
    assert not same(golden[:, 2:], struck[:, 2:])


def test_one_sample_is_struck_alone(decoder, prompt, generate, space):
    fault = Fault(space.sites[1], (0, 4, 1), bit=30, step=2, sample=4)
    with inject(decoder, fault) as injector:
        first = generate(decoder, prompt(3))
        injector.advance(3)
        second = generate(decoder, prompt(2))
        injector.advance(2)
    assert same(first, generate(decoder, prompt(3)))
    golden = generate(decoder, prompt(2))
    assert same(second[0], golden[0])
    assert not same(second[1], golden[1])
    assert same(second, by_hand(decoder, fault, generate, prompt(2), [1]))


def test_a_fault_names_a_step_at_which_the_word_is_there(decoder, prompt, generate, space):
    site = space.sites[0]
    for wrong in ({"step": None}, {"step": 4}):
        with pytest.raises(FaultError, match="4 time steps"):
            Fault(site, 0, bit=0, **wrong)
    for step, index in ((0, 0), (1, (0, 4, 0)), (2, (1, 5, 0))):
        with pytest.raises(FaultError, match=f"at step {step}, and has no element"):
            Fault(site, index, bit=0, step=step)
    with (
        pytest.raises(InjectionError, match="ended after 2 forward passes"),
        inject(decoder, Fault(site, 0, bit=0, step=3)),
    ):
        generate(decoder, prompt(2), steps=2)


def test_what_the_caller_brings_is_given_back(decoder, prompt, generate):
    with torch.no_grad():
        _, cache = decoder(prompt(2))
    words = [part.clone() for layer in cache for part in layer]
    new = prompt(2, 1)
    space = FaultSpace(decoder, "kv-cache", inputs=(new, cache))
    assert {(site.steps, site.shapes) for site in space.sites} == {(1, ())}
    golden, _ = decoder(new, cache)
    with inject(decoder, space.sample(60, seed=0)):
        struck, _ = decoder(new, cache)
        assert not same(struck, golden)
    for part, was in zip((part for layer in cache for part in layer), words, strict=True):
        assert same(part, was)
    assert same(decoder(new, cache)[0], golden)


class Recurrent(nn.Module):
    """Keeps what it sums in memory of the caller's, and counts."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Linear(3, 3)

    def forward(self, x: torch.Tensor, state: dict[str, torch.Tensor]) -> torch.Tensor:
        state["sum"].mul_(0.5).add_(self.mix(x))
        state["count"] += 1
        return state["sum"] + state["offset"]

    def unrolled(self, x: torch.Tensor) -> torch.Tensor:
        state = {"sum": torch.zeros(len(x), 3), "count": torch.zeros(1, dtype=torch.int64)}
        state["offset"] = torch.ones(len(x), 3)
        with torch.no_grad():
            return torch.stack([self(part, state) for part in x.unbind(1)], 1)


def test_a_state_that_is_changed_in_place(prompt):
    torch.manual_seed(0)
    model, x = Recurrent(), torch.rand(3, 4, 3)
    space = FaultSpace(model, "kv-cache", inputs=x, run=model.unrolled)
    assert [site.name for site in space.sites] == ["(cache).sum", "(cache).offset"]
    assert "counts" in space.skipped["(cache).count"]
    sums, offset = space.sites
    assert (sums.steps, sums.shape, sums.shapes) == (4, (3,), ())
    golden = model.unrolled(x)
    with inject(model, Fault(sums, 1, bit=31, step=2)):
        struck = model.unrolled(x)
    assert same(struck[:, :2], golden[:, :2])
    assert same(struck[..., [0, 2]], golden[..., [0, 2]])
    expected = golden[:, 2, 1] - (golden[:, 1, 1] - 1)
    assert torch.allclose(struck[:, 2, 1], expected)
    with inject(model, Fault(offset, 1, bit=31, step=2)):
        struck = model.unrolled(x)
    assert torch.equal(struck[:, 2:, 1], golden[:, 2:, 1] - 2)


def test_a_model_without_a_cache_is_told_so(prompt, decoder):
    with pytest.raises(FaultError, match="no forward pass is given a cache"):
        FaultSpace(decoder, "kv-cache", inputs=prompt(2))


def tokens(samples: int) -> torch.Tensor:
    return torch.arange(4 * samples).reshape(samples, 4)


def continued(model: nn.Module, ids: torch.Tensor, between=lambda step, cache: None, cache=None):
    """(samples, steps, vocabulary) of a greedy loop around a model of transformers."""
    known = inspect.signature(model.forward).parameters
    name = "cache" if "cache" in known else "past_key_values"  # since transformers 5
    found = []
    with torch.no_grad():
        for step in range(STEPS):
            if step:
                between(step, cache)
            output = model(ids, use_cache=True, logits_to_keep=1, **{name: cache})
            cache = getattr(output, name)
            found.append(output.logits[:, -1])
            ids = found[-1].argmax(-1, keepdim=True)
    return torch.stack(found, 1)


def generated(model: nn.Module, ids: torch.Tensor, **settings) -> torch.Tensor:
    usual = {"max_new_tokens": STEPS, "eos_token_id": None, "do_sample": False}
    more = {"return_dict_in_generate": True, "output_logits": True}
    more["attention_mask"] = torch.ones_like(ids)  # else it is guessed, by what fills up
    return torch.stack(model.generate(ids, **usual, **more, **settings).logits, 1)


@pytest.mark.parametrize("kind", ["GPT2", "Llama"])
@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("through", [continued, generated])
def test_the_cache_of_a_transformers_model(kind, samples, through, tiny_language_model):
    model = tiny_language_model(kind)
    space = FaultSpace(model, "kv-cache", inputs=tokens(3), run=lambda ids: through(model, ids))
    names = [f"(cache).layers.{n}.{part}" for n in range(2) for part in ("keys", "values")]
    assert [site.name for site in space.sites] == names
    assert all(site.per_sample and site.shape == (2, 6, 8) for site in space.sites)
    assert list(space.layers()) == ["(cache).layers.0", "(cache).layers.1"]
    for fault in space.sample(10, seed=0):
        with inject(model, fault):
            struck = through(model, tokens(samples))

        def between(step, cache, fault=fault):
            if step == fault.step:
                _, _, layer, part = fault.tensor.split(".")
                flip(getattr(cache.layers[int(layer)], part), fault, range(samples))

        assert same(struck, continued(model, tokens(samples), between))


def test_a_static_cache_and_one_that_the_caller_brings(tiny_language_model):
    cache = pytest.importorskip("transformers").StaticCache
    model = tiny_language_model("Llama")

    def run(ids: torch.Tensor, between=lambda step, cache: None) -> torch.Tensor:
        return continued(model, ids, between, cache(model.config, max_cache_len=8))

    space = FaultSpace(model, "kv-cache", inputs=tokens(3), run=run)
    assert {site.shape for site in space.sites} == {(2, 8, 8)}
    for fault in space.sample(10, seed=0):

        def between(step, cache, fault=fault):
            if step == fault.step:
                _, _, layer, part = fault.tensor.split(".")
                flip(getattr(cache.layers[int(layer)], part), fault, range(2))

        with inject(model, fault):
            struck = run(tokens(2))
        assert same(struck, run(tokens(2), between))


@pytest.mark.parametrize("kind", ["T5", "Mamba"])
def test_other_caches_of_transformers(kind):
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    if kind == "T5":
        sizes = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2}
        config = transformers.T5Config(vocab_size=32, decoder_start_token_id=0, **sizes)
        model = transformers.T5ForConditionalGeneration(config).eval()
        parts = {"self_attention_cache.layers.0.keys", "cross_attention_cache.layers.0.values"}
    else:
        sizes = {"hidden_size": 16, "state_size": 4, "num_hidden_layers": 1, "vocab_size": 32}
        model = transformers.MambaForCausalLM(transformers.MambaConfig(**sizes)).eval()
        parts = {"layers.0.recurrent_states.0", "layers.0.conv_states.0"}
    golden = generated(model, tokens(2))
    space = FaultSpace(model, "kv-cache", inputs=tokens(3), run=lambda ids: generated(model, ids))
    sites = {site.name: site for site in space.sites}
    assert {f"(cache).{part}" for part in parts} <= sites.keys()
    assert all(site.per_sample for site in sites.values())
    changed = 0
    for fault in space.filter(lambda site, bit: bit == 29).sample(10, seed=0):
        with inject(model, fault):
            struck = generated(model, tokens(2))
        assert same(struck[:, : fault.step], golden[:, : fault.step])
        changed += not same(struck, golden)
    assert changed > 3
    assert same(generated(model, tokens(2)), golden)
