"""The words that tensors store: the views are of the memory itself, or the reason is told."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from faultsim.ops import flip_
from faultsim.targets.words import stored_words, words_of

VALUES = torch.linspace(-2, 2, 24).view(2, 3, 4)


def per_tensor(dtype):
    return torch.quantize_per_tensor(VALUES, 0.03, 5 if dtype == torch.quint8 else 0, dtype)


def per_channel(dtype):
    scales, zeros = torch.tensor([0.02, 0.05]), torch.zeros(2, dtype=torch.int64)
    return torch.quantize_per_channel(VALUES, scales, zeros, 0, dtype)


@pytest.mark.parametrize("dtype", [torch.qint8, torch.quint8, torch.qint32])
@pytest.mark.parametrize(
    "make",
    [
        per_tensor,
        per_channel,
        lambda dtype: per_tensor(dtype).transpose(0, 2),
        lambda dtype: per_tensor(dtype)[:, 1:],
    ],
)
def test_quantised_tensors_are_their_integers(dtype, make):
    tensor = make(dtype)
    words, before = words_of(tensor), tensor.int_repr().clone()
    assert torch.equal(words, before)
    flip_(words, 5, 1)
    changed = (tensor.int_repr() != before).reshape(-1).nonzero().flatten().tolist()
    assert changed == [5]
    assert tensor.int_repr().reshape(-1)[5] == before.reshape(-1)[5] ^ 1


def test_packed_quantised_tensors_are_bytes():
    scales, zeros = torch.full((3,), 0.5), torch.zeros(3)
    tensor = torch.quantize_per_channel(torch.ones(3, 8), scales, zeros, 0, torch.quint4x2)
    words = words_of(tensor)
    assert (words.dtype, words.numel()) == (torch.uint8, 12)
    flip_(words, 0, 0x10)
    assert tensor.dequantize().flatten().ne(1).nonzero().flatten().tolist() == [1]


@pytest.mark.parametrize("dtype", [torch.complex32, torch.complex64, torch.complex128])
def test_complex_tensors_are_pairs_of_floats(dtype):
    tensor = torch.ones(3, 2, dtype=torch.complex128).to(dtype).t()
    words = words_of(tensor)
    assert words.shape == (2, 3, 2)
    flip_(words, 3, 1 << 8 * words.element_size() - 1)  # the sign of an imaginary part that is 0
    flip_(words, 4, 1 << 8 * words.element_size() - 1)  # of a real part
    signs = torch.view_as_real(tensor.contiguous()).signbit().flatten().tolist()
    assert [at for at, negative in enumerate(signs) if negative] == [3, 4]


@pytest.mark.parametrize(
    ("tensor", "reason"),
    [
        (torch.zeros(3, dtype=torch.bool), "bool"),
        (torch.zeros(0), "empty"),
        (torch.zeros(3, device="meta"), "meta"),
        (torch.eye(3).to_sparse(), "layout is sparse_coo"),
        (torch.eye(3).to_sparse_csr(), "layout is sparse_csr"),
        (torch.zeros(1).expand(3), "expanded"),
        (torch.zeros(5).as_strided((3, 3), (1, 1)), "expanded"),
        (torch.ones(2, dtype=torch.complex64).conj(), "conjugated"),
        (torch.ones(2, dtype=torch.complex64).conj().imag, "negated"),
        (torch.empty(2, dtype=torch.bits8), "bits8 has no bit format"),
        (nn.LazyLinear(2).weight, "not initialised"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_has_no_words_says_why(tensor, reason):
    assert reason in words_of(tensor)


@pytest.mark.skipif(not hasattr(torch, "float4_e2m1fn_x2"), reason="newer torch")
def test_pairs_of_float4_are_bytes():
    tensor = torch.arange(4, dtype=torch.uint8).view(torch.float4_e2m1fn_x2)
    flip_(words_of(tensor), 2, 0x80)
    assert tensor.view(torch.uint8).tolist() == [0, 1, 0x82, 3]


class Halves(torch.Tensor):
    """A tensor subclass without storage: the sum of two inner tensors."""

    @staticmethod
    def __new__(cls, high, low):
        return torch.Tensor._make_wrapper_subclass(cls, high.shape, dtype=high.dtype)

    def __init__(self, high, low):
        self.high, self.low = high, low

    def __tensor_flatten__(self):
        return ["high", "low"], None

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return cls(*(func(part) for part in (args[0].high, args[0].low)))


class Closed(Halves):
    __tensor_flatten__ = property()  # as if there were none


def test_subclasses_are_their_inner_tensors():
    high, low = torch.ones(2), torch.zeros(2, dtype=torch.bool)
    found = dict(stored_words("w", Halves(Halves(high, high.double()), low)))
    assert list(found) == ["w:high:high", "w:high:low", "w:low"]
    assert found["w:high:high"].data_ptr() == high.data_ptr()
    assert found["w:high:low"].dtype == torch.float64
    assert "bool" in found["w:low"]


def test_subclasses_that_cannot_be_opened_say_so():
    ((name, reason),) = stored_words("w", Closed(torch.ones(2), torch.ones(2)))
    assert (name, reason) == ("w", "Closed has no memory of its own")
