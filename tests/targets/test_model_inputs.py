"""Faults in what a model is given."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from faultsim import FaultSet, FaultSpace, inject, trees
from faultsim.errors import FaultError, InjectionError
from faultsim.faults import Fault

DTYPES = [torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.uint8]
DTYPES += [torch.float8_e4m3fn, torch.complex64, torch.int32]


class Reader(nn.Module):
    """Keeps what it is given, and returns a number for each sample."""

    def __init__(self) -> None:
        super().__init__()
        self.given: Any = None

    def forward(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        self.given = trees.map_tensors((args, kwargs), lambda _, tensor: tensor.clone())
        return sum(map(number, trees.tensors((args, kwargs))))

    def run(self, batch: Any) -> torch.Tensor:
        if isinstance(batch, dict):
            return self(**batch)
        return self(*batch) if isinstance(batch, tuple) else self(batch)


def number(tensor: torch.Tensor) -> torch.Tensor:
    plain = tensor.abs() if tensor.is_complex() else tensor.float()
    return plain.reshape(len(tensor), -1).nan_to_num(0, 0, 0).clamp(-9, 9)[:, 0]


def content(shape: tuple[int, ...], dtype: torch.dtype, seed: int) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    values = torch.rand(shape, generator=g) * 5 + 1
    if dtype == torch.complex64:
        return torch.complex(values, values.flip(0))
    return values.to(dtype)


def bits(tensor: torch.Tensor) -> np.ndarray:
    """(words, bits) of a tensor, row-major."""
    plain = torch.view_as_real(tensor) if tensor.is_complex() else tensor
    raw = plain.contiguous().view(torch.uint8).numpy().reshape(-1, plain.element_size())
    return np.unpackbits(raw, axis=1, bitorder="little")


FORMS = {
    "tensor": lambda a, b: a,
    "arguments": lambda a, b: (a, b),
    "keywords": lambda a, b: {"one": a, "two": b},
    "nested": lambda a, b: ({"deep": (a, [b])}, b),
}


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=12)
@given(
    dtypes=st.tuples(st.sampled_from(DTYPES), st.sampled_from(DTYPES)),
    dims=st.lists(st.integers(1, 4), min_size=0, max_size=2),
    found_at=st.integers(1, 4),
    struck_at=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    layout=st.sampled_from(["dense", "gaps", "turned"]),
    data=st.data(),
)
def test_the_word_that_is_numbered_is_the_word_that_changes(
    form, dtypes, dims, found_at, struck_at, layout, data
):
    def batch(n: int, seed: int) -> Any:
        shape = (n, *dims, 3)
        wide = [content((*shape, 2) if layout == "gaps" else shape, d, seed) for d in dtypes]
        if layout == "gaps":
            wide = [tensor[..., 1] for tensor in wide]
        elif layout == "turned":
            wide = [tensor.transpose(-1, 1).contiguous().transpose(-1, 1) for tensor in wide]
        return FORMS[form](*wide)

    model = Reader().eval()
    space = FaultSpace(model, "inputs", inputs=batch(found_at, 0))
    assert all(site.shape[: len(dims) + 1] == (*dims, 3) for site in space.sites)
    assert all(site.per_sample for site in space.sites)
    (fault,) = space.locate([data.draw(st.integers(0, len(space) - 1))])
    one = data.draw(st.one_of(st.none(), st.integers(0, sum(struck_at) - 1)))
    fault = Fault(fault.site, fault.index, fault.mask, sample=one)
    names = [site.name for site in space.sites]
    fed = data.draw(st.booleans())
    first = 0
    with inject(model, FaultSet.of([fault])) as injector, torch.no_grad():
        for seed, n in enumerate(struck_at, 1):
            inputs = batch(n, seed)
            before = trees.map_tensors(inputs, lambda _, t: t.clone())
            model.run(injector.feed(inputs) if fed else inputs)
            for was, now in zip(trees.tensors(before), trees.tensors(inputs), strict=True):
                assert (bits(was) == bits(now)).all()
            leaves = zip(names, trees.tensors(before), trees.tensors(model.given), strict=True)
            for name, was, now in leaves:
                changed = np.argwhere(bits(was) != bits(now)).tolist()
                samples = [s for s in range(n) if one in (None, first + s)]
                words = fault.site.numel
                bit = fault.mask.bit_length() - 1 if fault.mask > 0 else fault.site.format.bits - 1
                expected = [[s * words + fault.index, bit] for s in samples]
                assert changed == (expected if name == fault.tensor else [])
            injector.advance(n)
            first += n


def names_of(model: nn.Module, inputs: Any, **how: Any) -> dict[str, tuple[int, ...]]:
    return {s.name: s.shape for s in FaultSpace(model, "inputs", inputs=inputs, **how).sites}


def test_names_say_where_a_tensor_stands():
    model, x = Reader(), torch.ones(2, 3)
    assert names_of(model, x) == {"(input)": (3,)}
    assert names_of(model, (x, x[:, 0])) == {"(input):0": (3,), "(input):1": ()}
    named = FaultSpace(model, "inputs", inputs={"x": x, "y": {"z": x}}, include="(input):y*")
    assert [site.name for site in named.sites] == ["(input):y.z"]
    through = names_of(model, {"a": x, "b": x}, run=lambda batch: model(batch["b"]))
    assert through == {"(input):b": (3,)}


def test_what_no_fault_can_strike_is_told_and_what_belongs_to_all_is_struck_as_a_whole():
    class Masked(nn.Module):
        def forward(self, x, keep, scale):
            return (x * keep[:, None] * scale).sum(1)

    x, keep, scale = torch.ones(4, 3), torch.ones(4, dtype=torch.bool), torch.ones(3)
    space = FaultSpace(Masked(), "inputs", inputs=(x, keep, scale))
    assert space.skipped == {
        "(input):1": "bool has one bit, whose other seven torch requires to be 0"
    }
    assert space.whole == {"(input):2": "it belongs to all samples"}
    with pytest.raises(FaultError, match="give inputs="):
        FaultSpace(Masked(), "inputs")


def test_samples_may_lie_along_the_second_dimension():
    class Sequence(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gru = nn.GRU(3, 4)

        def forward(self, x):
            return self.gru(x)[0][-1]

    torch.manual_seed(0)
    (site,) = FaultSpace(Sequence().eval(), "inputs", inputs=torch.rand(5, 4, 3)).sites
    assert (site.shape, site.axis, site.per_sample) == ((5, 3), 1, True)


def test_samples_that_depend_on_one_another_are_struck_as_one():
    class Mixed(nn.Module):
        def forward(self, x):
            return x + x.sum()

    space = FaultSpace(Mixed(), "inputs", inputs=torch.rand(4, 3))
    assert space.sites[0].shape == (4, 3)
    assert "depends on the others" in space.whole["(input)"]


def test_a_tensor_given_twice_is_struck_in_one_place():
    class Difference(nn.Module):
        def forward(self, a, b):
            return a - b

    x = torch.rand(3, 2)
    space = FaultSpace(Difference(), "inputs", "31", inputs=(x, x))
    assert len(space) == 4
    with inject(Difference(), space.locate([2])) as injector:
        out = injector.model(x, x)
    expected = torch.zeros(3, 2)
    expected[:, 0] = 2 * x[:, 0]
    assert torch.equal(out, expected)


class Finder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3, padding=1)

    def forward(self, images):
        images = [item["image"] if isinstance(item, dict) else item for item in images]
        return [self.conv(image[None]).amax((0, 2, 3)) for image in images]


@pytest.mark.parametrize("nested", [False, True])
def test_a_list_of_samples_is_one_site_of_what_all_of_them_have(nested):
    torch.manual_seed(0)
    model = Finder().eval()
    images = [torch.rand(1, h, w) for h, w in ((4, 5), (6, 3), (5, 5))]
    batch = [{"image": image} for image in images] if nested else images
    (site,) = FaultSpace(model, "inputs", inputs=batch).sites
    assert site.name == ("(input):(each).image" if nested else "(input):(each)")
    assert (site.shape, site.ragged) == ((1, 6, 5), True)
    fault = Fault(site, (0, 3, 1), bit=31)
    for sample in (None, 4):
        injector = inject(model, FaultSet.of([Fault(site, fault.index, fault.mask, sample=sample)]))
        with injector:
            for first in (0, 3):
                for n, image in enumerate(trees.tensors(injector.feed(batch))):
                    expected = images[n].clone()
                    if sample in (None, first + n):
                        expected[0, 3, 1] *= -1
                    assert torch.equal(image, expected)
                injector.advance(3)


def test_a_batch_that_a_fault_does_not_reach_is_an_error():
    model, x = Reader().eval(), {"a": torch.ones(2, 3), "b": torch.ones(2, 3)}
    space = FaultSpace(model, "inputs", inputs=x, include="(input):b")
    for go in (lambda i: model(a=x["a"]), lambda i: i.feed({"a": x["a"]})):
        with (
            pytest.raises(InjectionError, match=r"never fired: \(input\):b.*no such pass|no such"),
            inject(model, space.sample(1, seed=0)) as injector,
        ):
            go(injector)
    late = FaultSet.of([Fault(space.sites[0], 0, 1, sample=7)])
    with pytest.raises(InjectionError, match="never fired"), inject(model, late):
        model(**x)
    short = {"a": x["a"], "b": torch.ones(2, 2)}
    end = FaultSet.of([Fault(space.sites[0], 2, 1)])
    with pytest.raises(InjectionError, match="no element 2"), inject(model, end):
        model(**short)
    half = {"a": x["a"], "b": x["b"].half()}
    with pytest.raises(FaultError, match=r"is torch\.float16 here"), inject(model, end):
        model(**half)


def test_gradients_flow_through_what_is_struck():
    x = torch.rand(2, 3, requires_grad=True)
    model = nn.Sequential(nn.Linear(3, 2))
    faults = FaultSpace(model, "inputs", "31", inputs=x.detach()).locate([1])
    with inject(model, faults):
        model(x).sum().backward()
    assert torch.allclose(x.grad, model[0].weight.sum(0).expand(2, 3))


def test_a_model_that_calls_itself_is_struck_once():
    class Twice(nn.Module):
        def forward(self, x, again=True):
            return self.forward(x + 1, False) if again else x * 1

    x = torch.rand(2, 3)
    faults = FaultSpace(Twice(), "inputs", "31", inputs=x).locate([0])
    model = Twice()
    with inject(model, faults):
        out = model(x)
    expected = x.clone()
    expected[:, 0] *= -1
    assert torch.equal(out, expected + 1)


def test_words_of_tokens_have_64_bits():
    model = nn.Sequential(nn.Embedding(9, 2))
    ids = torch.tensor([[1, 2], [3, 4]])
    space = FaultSpace(model, "inputs", inputs=ids)
    assert len(space) == 2 * 64
    with pytest.raises(IndexError), inject(model, space.locate([40])):
        model(ids)
    with inject(model, space.locate([64])):
        assert torch.equal(model(ids), model[0].weight[torch.tensor([[1, 3], [3, 5]])])
