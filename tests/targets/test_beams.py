"""Beams: a sample has several rows, which change places from step to step, and no others' do."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from faultsim import Batch, CampaignConfig, FaultSpace, Task, Workload, inject, run_campaign
from faultsim.errors import InjectionError
from faultsim.faults import Fault

BEAMS, STEPS = 2, 4

Between = Callable[[int, Any], Any]


def search(model: nn.Module, ids: torch.Tensor, between: Between = lambda step, cache: cache):
    """(samples, steps, beams, vocabulary) logits of a beam search, its cache sorted with beams."""
    samples, found, cache = len(ids), [], None
    ids, total = ids.repeat_interleave(BEAMS, 0), torch.zeros(samples, BEAMS)
    with torch.no_grad():
        for step in range(STEPS):
            logits, cache = model(ids, between(step, cache))
            found.append(logits.unflatten(0, (samples, BEAMS)))
            scores = (total[..., None] + found[-1].log_softmax(-1)).flatten(1)
            total, best = scores.topk(BEAMS)
            rows = (torch.arange(samples)[:, None] * BEAMS + best // logits.shape[-1]).flatten()
            cache = tuple(tuple(part[rows] for part in layer) for layer in cache)
            ids = (best % logits.shape[-1]).reshape(-1, 1)
    return torch.stack(found, 1)


class Beams(nn.Module):
    """A model whose own method searches."""

    def __init__(self, decoder: nn.Module) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, ids: torch.Tensor, cache: Any = None) -> Any:
        return self.decoder(ids, cache)

    def beams(self, ids: torch.Tensor) -> torch.Tensor:
        return search(self, ids)


def struck(model: nn.Module, ids: torch.Tensor, fault: Fault, samples: range) -> torch.Tensor:
    """The search with a word flipped by hand in one beam of some samples."""
    _, layer, part = fault.tensor.split(".")
    beam, *element = torch.unravel_index(torch.tensor(fault.index), fault.home.shape)

    def between(step: int, cache: Any) -> Any:
        for sample in samples if step == fault.step else ():
            place = (sample * BEAMS + beam, *element)
            words = cache[int(layer)][int(part)].view(torch.int32)
            words[place] ^= int(fault.mask)
        return cache

    return search(model, ids, between)


def same(one: torch.Tensor, other: torch.Tensor) -> bool:
    return torch.equal(one.view(torch.int32), other.view(torch.int32))


@pytest.fixture
def model(decoder) -> Beams:
    return Beams(decoder).eval()


@pytest.fixture
def space(model, prompt) -> FaultSpace:
    return FaultSpace(model, "kv-cache", inputs=prompt(3), run=model.beams)


def test_a_site_has_the_beams_of_a_sample(space):
    for site in space.sites:
        assert (site.per_sample, site.axis, site.outer, site.inner) == (True, 0, 1, BEAMS)
        assert (site.steps, site.shape) == (STEPS, (BEAMS, 2, 6, 4))


@pytest.mark.parametrize("samples", [1, 2, 5])
def test_a_fault_strikes_one_beam_of_each_sample(model, prompt, space, samples):
    ids, changed = prompt(samples), 0
    golden = model.beams(ids)
    for fault in space.sample(30, seed=samples):
        with inject(model, fault):
            found = model.beams(ids)
        assert same(found, struck(model, ids, fault, range(samples)))
        changed += not same(found, golden)
    assert changed > 10


def test_a_fault_in_one_sample_changes_no_other(model, prompt, space):
    ids, changed = prompt(3), 0
    golden = model.beams(ids)
    for number, fault in enumerate(space.sample(30, seed=1)):
        sample = number % 3
        one = Fault(fault.home, fault.index, mask=fault.mask, step=fault.step, sample=4 + sample)
        with inject(model, one) as injector:
            injector.advance(4)
            found = model.beams(ids)
            injector.advance(3)
        assert same(found, struck(model, ids, fault, range(sample, sample + 1)))
        others = [row for row in range(3) if row != sample]
        assert same(found[others], golden[others])
        changed += not same(found, golden)
    assert changed > 10


class Changed(Task):
    objective = "sum"

    def changed(self, golden: Any, output: Any, batch: Batch) -> torch.Tensor:
        return (golden != output).flatten(1).any(1)


def test_a_search_around_the_model_is_refused_unless_its_batch_is_known(decoder, prompt, tmp_path):
    work = Workload(decoder, [prompt(3), prompt(2)], Changed(), search)
    space = FaultSpace(decoder, "kv-cache", inputs=prompt(3), run=work.run)
    assert all(site.inner == BEAMS for site in space.sites)
    faults = list(space.sample(12, seed=0))
    with pytest.raises(InjectionError, match="cannot be told apart"), inject(decoder, faults[0]):
        search(decoder, prompt(3))
    config = CampaignConfig(mode="random", flips=(1,), trials=None, out=str(tmp_path / "a"))
    result = run_campaign(config, work, trials=[space.sample(1, seed=s) for s in range(12)])
    lines = (result.directory / "trials-0.jsonl").read_text().splitlines()
    for seed, line in enumerate(map(json.loads, lines)):
        (fault,) = space.sample(1, seed=seed)
        harmed = 0
        for ids in (prompt(3), prompt(2)):
            golden, found = search(decoder, ids), struck(decoder, ids, fault, range(len(ids)))
            harmed += int((golden != found).flatten(1).any(1).sum())
        assert line["sdc"] + line["due"] == harmed


@pytest.mark.parametrize("kind", ["GPT2", "Llama"])
def test_beams_of_transformers(kind, tiny_language_model):
    model, ids = tiny_language_model(kind), torch.arange(12).reshape(3, 4)

    def scores(ids: torch.Tensor) -> torch.Tensor:
        settings = {"max_new_tokens": STEPS, "eos_token_id": None, "pad_token_id": 0}
        settings |= {"do_sample": False, "num_beams": BEAMS, "output_scores": True}
        settings["attention_mask"] = torch.ones_like(ids)
        found = model.generate(ids, **settings, return_dict_in_generate=True).scores
        return torch.stack(found, 1).unflatten(0, (len(ids), BEAMS))

    space, golden = FaultSpace(model, "kv-cache", inputs=ids, run=scores), scores(ids)
    forward = model.forward
    for number, fault in enumerate(space.sample(12, seed=0)):
        sample = number % 3
        one = Fault(fault.home, fault.index, mask=fault.mask, step=fault.step, sample=sample)
        with inject(model, one):
            found = scores(ids)
        calls = []

        def by_hand(*args, fault=fault, calls=calls, sample=sample, **kwargs):
            if len(calls) == fault.step:
                cache = kwargs.get("past_key_values", kwargs.get("cache"))
                _, _, layer, part = fault.tensor.split(".")
                words = getattr(cache.layers[int(layer)], part).view(torch.int32)
                beam, *at = torch.unravel_index(torch.tensor(fault.index), fault.home.shape)
                words[(sample * BEAMS + beam, *at)] ^= int(fault.mask)
            calls.append(1)
            return forward(*args, **kwargs)

        model.forward = by_hand
        try:
            assert same(found, scores(ids))
        finally:
            del model.forward
        others = [row for row in range(3) if row != sample]
        assert same(found[others], golden[others])
