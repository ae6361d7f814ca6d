"""The corrupting operators against NumPy, over every dtype and layout."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from faultsim import ops
from faultsim.dtypes import FORMATS
from faultsim.errors import FaultError, FormatError, InjectionError
from faultsim.formats import signed
from faultsim.ops.operators import OPS

DTYPES = list(FORMATS)
OPERATORS = {
    "flip": (ops.flip_, lambda word, mask: word ^ mask),
    "stuck-at-0": (ops.stuck_at_0_, lambda word, mask: word & ~mask),
    "stuck-at-1": (ops.stuck_at_1_, lambda word, mask: word | mask),
    "replace": (ops.replace_, lambda word, mask: mask),
}
assert OPERATORS.keys() == set(OPS[:4]), "those of whole words are in test_operators.py"
LAYOUTS = {
    "contiguous": lambda t: t,
    "channels_last": lambda t: t.contiguous(memory_format=torch.channels_last),
    "transposed": lambda t: t.transpose(1, 3),
    "strided view": lambda t: t.new_empty(*t.shape, 2)[..., 1].copy_(t),
    "narrowed": lambda t: t[:, 1:, :, ::2],
}


def random_words(dtype: torch.dtype, seed: int, device: torch.device) -> torch.Tensor:
    """Uniform bit patterns: NaNs with payloads, infinities, subnormals and all."""
    fmt = FORMATS[dtype]
    generator = torch.Generator().manual_seed(seed)
    raw = torch.randint(0, 256, (2, 4, 3, 6, fmt.bits // 8), generator=generator, dtype=torch.uint8)
    return raw.view(dtype).squeeze(-1).to(device, copy=True)


def words_of(tensor: torch.Tensor) -> np.ndarray:
    words = tensor.contiguous().view(FORMATS[tensor.dtype].word)
    return words.flatten().cpu().numpy().astype(np.int64)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("op", OPERATORS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_operators_match_numpy_and_restore(device, dtype, op, layout):
    tensor = LAYOUTS[layout](random_words(dtype, 3, device))
    bits = FORMATS[dtype].bits
    rng = np.random.default_rng(5)
    index = rng.integers(0, tensor.numel(), 40)  # many duplicates
    masks = np.array([signed(int(m), bits) for m in rng.integers(0, 2**63, 40)], dtype=np.int64)
    before = words_of(tensor)
    expected, saved = before.copy(), []
    apply, oracle = OPERATORS[op]
    for i, mask in zip(index, masks, strict=True):
        saved.append(expected[i])
        expected[i] = signed(int(oracle(expected[i], mask)), bits)

    returned = apply(tensor, index, masks)

    np.testing.assert_array_equal(words_of(tensor), expected)
    np.testing.assert_array_equal(returned.cpu().numpy(), saved)
    np.testing.assert_array_equal(ops.read_words(tensor, index).cpu().numpy(), expected[index])
    ops.restore_(tensor, index, returned)
    np.testing.assert_array_equal(words_of(tensor), before)


@given(
    dtype=st.sampled_from(DTYPES),
    layout=st.sampled_from(list(LAYOUTS)),
    faults=st.lists(st.tuples(st.integers(0, 71), st.integers(0, 2**64 - 1)), max_size=30),
)
def test_flipping_twice_is_identity(device, dtype, layout, faults):
    tensor = LAYOUTS[layout](random_words(dtype, 9, device))
    index = [i % tensor.numel() for i, _ in faults]
    masks = [signed(mask, FORMATS[dtype].bits) for _, mask in faults]
    before = words_of(tensor)
    ops.flip_(tensor, index, masks)
    ops.flip_(tensor, index[::-1], masks[::-1])
    np.testing.assert_array_equal(words_of(tensor), before)


@given(index=st.sets(st.integers(0, 143), max_size=20), mask=st.integers(0, 2**32 - 1))
def test_a_flip_changes_as_many_bits_as_its_masks_have(device, index, mask):
    tensor = random_words(torch.float32, 2, device)
    before = words_of(tensor)
    ops.flip_(tensor, sorted(index), mask)
    changed = (words_of(tensor) ^ before) & 0xFFFFFFFF
    assert sum(int(word).bit_count() for word in changed) == len(index) * mask.bit_count()


@pytest.mark.parametrize(
    "pattern", [0x7F800001, 0xFFA00000, 0x7F800000, 0x80000000, 0x00000001, 0x807FFFFF]
)
def test_special_words_survive_bit_for_bit(device, pattern):
    """Signalling NaNs, infinity, negative zero and subnormals."""
    tensor = torch.tensor([signed(pattern, 32)], dtype=torch.int32, device=device)
    tensor = tensor.view(torch.float32)
    saved = ops.flip_(tensor, 0, 1 << 22)
    assert int(tensor.view(torch.int32)) == signed(pattern ^ 1 << 22, 32)
    ops.restore_(tensor, 0, saved)
    assert int(tensor.view(torch.int32)) == signed(pattern, 32)


@pytest.mark.parametrize("bad", [[0, 4], [-1], [1, 2**40], [-(2**63)]])
@pytest.mark.parametrize("op", OPERATORS)
def test_nothing_is_written_when_an_index_is_outside(device, op, bad):
    tensor = torch.arange(4.0, device=device)
    with pytest.raises(FaultError, match="outside"):
        OPERATORS[op][0](tensor, [0, *bad], 1)
    assert tensor.tolist() == [0, 1, 2, 3]


def test_indices_on_a_device_are_checked_there(device):
    if device.type != "cuda":
        pytest.skip("indices on the host are checked before anything is written")
    tensor = torch.arange(4.0, device=device)
    ops.flip_(tensor, torch.tensor([4, 1], device=device), 1 << 31)
    with pytest.raises(FaultError, match="skipped: an index was outside its tensor"):
        ops.check_device_flag(device)
    assert tensor.tolist() == [0, -1, 2, 3]


@pytest.mark.parametrize(
    ("dtype", "mask"), [(torch.int8, 256), (torch.float16, 1 << 16), (torch.float32, -(1 << 32))]
)
def test_masks_wider_than_the_word_are_refused(device, dtype, mask):
    tensor = torch.zeros(4, dtype=dtype, device=device)
    with pytest.raises(FaultError, match="wider"):
        ops.flip_(tensor, [0], mask)
    assert not tensor.any()


def test_expanded_and_overlapping_tensors_are_refused(device):
    base = torch.zeros(8, device=device)
    for tensor in (base[:1].expand(4), base.as_strided((3, 3), (2, 1))):
        with pytest.raises(InjectionError, match="overlapping"):
            ops.flip_(tensor, 0, 1)


@pytest.mark.parametrize("dtype", [torch.bool, torch.complex64])
def test_dtypes_without_format_are_refused(dtype):
    with pytest.raises(FormatError):
        ops.flip_(torch.zeros(2, dtype=dtype), 0, 1)


@pytest.mark.parametrize("index", [[0.5], torch.tensor([1.0]), np.array([True])])
def test_indices_must_be_integers(index):
    with pytest.raises(FaultError, match="integers"):
        ops.flip_(torch.zeros(2), index, 1)


def test_autograd_notices_a_flip_of_a_saved_tensor(device):
    weight = torch.ones(3, requires_grad=True, device=device)
    saved = weight * 2
    loss = (saved * saved).sum()
    ops.flip_(saved.detach(), 0, 1 << 30)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_inference_tensors_can_be_struck(device):
    with torch.inference_mode():
        tensor = torch.ones(2, device=device)
        ops.flip_(tensor, 0, 1 << 31)
    assert tensor.tolist() == [-1.0, 1.0]


def test_compiles_as_one_graph(device):
    def faulty(x: torch.Tensor, index: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        ops.flip_(x, index, mask)
        return x * 2

    compiled = torch.compile(faulty, fullgraph=True, backend="aot_eager")
    args = torch.tensor([1], device=device), torch.tensor([1 << 31], device=device)
    assert compiled(torch.ones(3, device=device), *args).tolist() == [2.0, -2.0, 2.0]


def test_functional_transforms_are_refused_in_one_sentence():
    def inside(x: torch.Tensor) -> torch.Tensor:
        ops.flip_(x, 0, 1)
        return x.sum()

    with pytest.raises(InjectionError, match="outside the transform"):
        torch.func.vmap(inside)(torch.zeros(2, 2))


def test_the_compiled_operator_says_what_it_returns():
    tensor, index = torch.ones(3), torch.tensor([1, 2], dtype=torch.int32)
    torch.library.opcheck(
        torch.ops.faultsim.corrupt_.default, (tensor, index, torch.tensor([1 << 31]), 0)
    )
