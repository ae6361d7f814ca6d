"""Faults at one step of a generation: the word that is numbered is struck, in that pass alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from faultsim import FaultSet, FaultSpace, inject
from faultsim.errors import FaultError, InjectionError
from faultsim.faults import Fault, Site
from faultsim.targets.layouts import UNSEEN, Layout
from faultsim.targets.steps import MOVES, RARE, VARIES, Sites, Words

STEPS = 4


@pytest.fixture
def space(decoder, prompt, generate) -> FaultSpace:
    run = lambda ids: generate(decoder, ids)  # noqa: E731
    return FaultSpace(decoder, "activations", inputs=prompt(3), run=run)


def flipped(tensor: torch.Tensor, place: tuple[int, ...], mask: int) -> torch.Tensor:
    struck = tensor.clone()
    struck[place] = (struck[place].view(torch.int32) ^ mask).view(torch.float32)
    return struck


def by_hand(model: nn.Module, site: Site, fault: Fault, generate, ids, samples) -> torch.Tensor:
    """The continuation with a word of a module's output flipped in the passes of the fault."""
    module, _, path = site.name.partition(":")
    passes = []

    def hook(_, __, output):
        passes.append(output)
        if fault.step not in (len(passes) - 1, None):
            return None
        element = torch.unravel_index(torch.tensor(fault.index), site.shape)
        place = tuple(int(at) for at in element)
        keys = [int(key) for key in path.split(".")] if path else []
        leaf = output
        for key in keys:
            leaf = leaf[key]
        if any(at >= size for at, size in zip(place, leaf.shape[1:], strict=True)):
            return None
        for sample in samples:
            leaf = flipped(leaf, (sample, *place), int(fault.mask))
        return replaced(output, keys, leaf)

    handle = model.get_submodule(module).register_forward_hook(hook)
    try:
        return generate(model, ids)
    finally:
        handle.remove()


def replaced(tree, keys, leaf):
    if not keys:
        return leaf
    parts = list(tree)
    parts[keys[0]] = replaced(parts[keys[0]], keys[1:], leaf)
    return tuple(parts)


def test_a_site_has_every_pass_in_the_shape_that_it_has_there(space):
    sites = {site.name: site for site in space.sites}
    mlp = sites["blocks.1.mlp"]
    assert (mlp.steps, mlp.shape, mlp.per_sample) == (STEPS, (4, 8), True)
    assert mlp.shapes == ((4, 8), (1, 8), (1, 8), (1, 8))
    assert mlp.words == 4 * 8 + 3 * 8
    assert sites["head"].shapes == ()
    assert sites["head"].words == STEPS * 11
    assert sites["blocks.0:1.0"].shapes == tuple((2, 4 + step, 4) for step in range(STEPS))
    assert sites["place"].shapes == ((4, 8), (1, 8), (1, 8), (1, 8))


@pytest.mark.parametrize("samples", [1, 2, 5])
def test_what_is_numbered_is_what_is_struck(decoder, prompt, generate, space, samples):
    ids = prompt(samples)
    drawn = space.sample(12, seed=samples)
    for fault in drawn:
        if not fault.home.per_sample:
            continue
        with inject(decoder, fault):
            struck = generate(decoder, ids)
        expected = by_hand(decoder, fault.home, fault, generate, ids, range(samples))
        assert torch.equal(struck.view(torch.int32), expected.view(torch.int32))
        before = slice(0, fault.step)
        assert torch.equal(struck[:, before], generate(decoder, ids)[:, before])


def test_every_number_is_another_word_at_another_step(space):
    every = space.filter(lambda site, bit: bit == 3)
    faults = every.locate(range(len(every)))
    words = {(f.tensor, f.index, f.step) for f in faults}
    assert len(words) == len(every) == sum(site.words for site in space.sites)
    for site, part in faults.by_site():
        assert site.has(part.index, part.step).all()
    assert FaultSet.from_json(faults.to_json()) == faults


def test_one_sample_is_struck_alone(decoder, prompt, generate, space):
    site = next(site for site in space.sites if site.name == "blocks.0.mlp")
    fault = Fault(site, (0, 2), bit=30, step=2, sample=4)
    with inject(decoder, fault) as injector:
        first = generate(decoder, prompt(3))
        injector.advance(3)
        second = generate(decoder, prompt(2))
        injector.advance(2)
    assert torch.equal(first, generate(decoder, prompt(3)))
    golden = generate(decoder, prompt(2))
    assert torch.equal(second[0], golden[0])
    assert torch.equal(second[1, :2], golden[1, :2])
    assert not torch.equal(second[1, 2], golden[1, 2])


def test_without_a_step_every_pass_is_struck_that_has_the_element(decoder, prompt, generate, space):
    site = next(site for site in space.sites if site.name == "blocks.0.mlp")
    for place in ((0, 2), (3, 2)):
        fault = Fault(site, place, bit=27)
        with inject(decoder, fault):
            struck = generate(decoder, prompt(2))
        expected = by_hand(decoder, site, fault, generate, prompt(2), range(2))
        assert torch.equal(struck, expected)
        assert not torch.equal(struck, generate(decoder, prompt(2)))


def test_every_run_starts_to_count_anew(decoder, prompt, generate, space):
    site = next(site for site in space.sites if site.name == "head")
    with inject(decoder, Fault(site, 3, bit=30, step=1)) as injector:
        found = []
        for _ in range(2):
            found.append(generate(decoder, prompt(2)))
            injector.advance(2)
    assert torch.equal(*found)
    assert not torch.equal(found[0], generate(decoder, prompt(2)))


def test_a_step_that_no_run_comes_to_is_an_error(decoder, prompt, generate, space):
    site = next(site for site in space.sites if site.name == "head")
    fault = Fault(site, 3, bit=30, step=3)

    def runs(*lengths: int) -> None:
        with inject(decoder, fault) as injector:
            for steps in lengths:
                generate(decoder, prompt(2), steps=steps)
                injector.advance(2)

    runs(4, 4)
    for lengths in ((2,), (4, 2)):
        with pytest.raises(InjectionError, match="ended after 2 forward passes"):
            runs(*lengths)


def test_a_run_that_a_fault_ends_early_has_met_it(decoder, prompt, generate, space):
    site = next(site for site in space.sites if site.name == "head")
    early, late = Fault(site, 3, bit=30, step=1), Fault(site, 3, bit=30, step=3)
    with inject(decoder, [early, late]) as injector:  # as where the first one makes an end token
        generate(decoder, prompt(2), steps=2)
        injector.advance(2)


def test_an_element_must_be_there_at_its_step(space):
    site = next(site for site in space.sites if site.name == "blocks.0.mlp")
    Fault(site, (3, 7), bit=0, step=0)
    for wrong in (
        lambda: Fault(site, (3, 7), bit=0, step=1),
        lambda: FaultSet([site], 0, [31], 1, step=[1]),
    ):
        with pytest.raises(FaultError, match="no element 31"):
            wrong()
    with pytest.raises(FaultError, match="4 time steps"):
        Fault(site, (0, 0), bit=0, step=4)


def test_a_part_of_the_steps(space):
    part = space.until(2)
    assert {site.steps for site in part.sites} == {2}
    mlp = next(site for site in part.sites if site.name == "blocks.1.mlp")
    assert mlp.words == 5 * 8
    assert int(part.sample(500, seed=0).step.max()) == 1


def test_a_model_that_runs_once_has_no_steps(decoder, prompt):
    space = FaultSpace(decoder, "activations", inputs=prompt(3))
    assert {(site.steps, site.shapes) for site in space.sites} == {(0, ())}


class Growing(nn.Module):
    """Reads all of its text again for each token."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(11, 8), nn.Linear(8, 11)
        self.first = nn.Linear(8, 8)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.embed(ids)
        if ids.shape[1] == 4:
            x = self.first(x)
        return self.head(x.cumsum(1))[:, -1]

    def continued(self, ids: torch.Tensor) -> torch.Tensor:
        for _ in range(3):
            ids = torch.cat([ids, self(ids).argmax(-1, keepdim=True)], 1)
        return ids


def test_a_text_that_grows_and_a_module_of_the_first_pass(prompt):
    torch.manual_seed(0)
    model = Growing()
    space = FaultSpace(model, "activations", inputs=prompt(3), run=model.continued)
    sites = {site.name: site for site in space.sites}
    assert sites["embed"].shapes == ((4, 8), (5, 8), (6, 8))
    assert sites["first"].shapes == ((4, 8), (0, 0), (0, 0))
    for name, step in (("first", 0), ("first", None), ("embed", 2), ("embed", None)):
        with inject(model, Fault(sites[name], (0, 0), bit=30, step=step)):
            model.continued(prompt(2))


def test_what_is_no_site():
    def placed(passes, layouts):
        sites = Sites("activations")
        for step, words in enumerate(passes):
            if words:
                sites.see("a", step, words)
        sites.place(layouts, len(passes))
        return sites

    row = Words("float32", (3, 4))
    found = placed([row, Words("float32", (3,))], {})
    assert found.skipped == {"a": VARIES}
    assert not found.sites
    found = placed([row, row], {"a": Layout(0), "a step 1": Layout(1)})
    assert found.whole == {"a": MOVES}
    assert found.sites[0].shape == (3, 4)
    found = placed([row, row], {"a": Layout(0), "a step 1": UNSEEN})
    assert not found.whole
    assert found.sites[0].shape == (4,)
    found = placed([Words("float32", (3,)), None], {"a": Layout(0)})
    assert found.skipped == {"a": RARE}
    assert not found.sites


@pytest.mark.parametrize("kind", ["GPT2", "Llama"])
@pytest.mark.parametrize("samples", [1, 3])
def test_a_transformers_model_that_generates(kind, samples, tiny_language_model):
    model = tiny_language_model(kind)
    ids = torch.arange(4 * samples).reshape(samples, 4)

    def run(ids: torch.Tensor) -> torch.Tensor:
        usual = {"max_new_tokens": 4, "min_new_tokens": 4, "do_sample": False}
        more = {"return_dict_in_generate": True, "output_logits": True, "pad_token_id": 0}
        return torch.stack(model.generate(ids, **usual, **more).logits, 1)

    space = FaultSpace(model, "activations", inputs=torch.arange(12).reshape(3, 4), run=run)
    head = next(site for site in space.sites if site.name == "lm_head")
    assert (head.steps, head.per_sample) == (4, True)
    deep = [site for site in space.sites if "mlp" in site.name and site.steps]
    assert deep
    assert all(site.per_sample and site.shapes[1][0] == 1 for site in deep)
    for fault in space.filter(lambda site, bit: site in deep).sample(6, seed=0):
        with inject(model, fault):
            struck = run(ids)
        expected = by_hand(model, fault.home, fault, lambda _, ids: run(ids), ids, range(samples))
        assert torch.equal(struck.view(torch.int32), expected.view(torch.int32))
