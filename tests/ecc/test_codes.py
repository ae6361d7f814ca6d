"""Every decoder against exhaustive flips, and against oracles in plain Python."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch

from faultsim.ecc import CLEAN, CODES, CORRECTED, DETECTED, Code, code_named
from faultsim.ecc.binary import BinaryCode
from faultsim.ecc.galois import product
from faultsim.errors import ConfigError

SECDED = ("secded", "secded-39")
BINARY = (*SECDED, "on-die", "parity")
SYMBOLS = ("chipkill", "chipkill-2")


def word_of(code: Code, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    data = torch.randint(0, 256, (1, code.data_bytes), dtype=torch.uint8, generator=generator)
    return torch.cat([data, code.encode(data)], dim=1)


def places(code: Code) -> int:
    return 8 * code.data_bytes + code.check_bits


def flipped(code: Code, word: torch.Tensor, flips: np.ndarray) -> torch.Tensor:
    """(m, k) places of bits to as many words."""
    words = word.repeat(len(flips), 1).numpy().copy()
    for column in flips.T:
        words[np.arange(len(flips)), column // 8] ^= (1 << column % 8).astype(np.uint8)
    return torch.from_numpy(words)


def decoded(code: Code, words: torch.Tensor) -> tuple[np.ndarray, torch.Tensor]:
    found = code.decode(words[:, : code.data_bytes], words[:, code.data_bytes :])
    return found.status.numpy(), found.data


def right(code: Code, word: torch.Tensor, data: torch.Tensor) -> np.ndarray:
    return (data == word[:, : code.data_bytes]).all(1).numpy()


def all_flips(n: int, k: int) -> np.ndarray:
    return np.array(list(combinations(range(n), k)))


@pytest.mark.parametrize("name", CODES)
def test_words_without_a_flip_are_clean(name):
    code = code_named(name)
    data = torch.randint(0, 256, (50, code.data_bytes), dtype=torch.uint8)
    found = code.decode(data, code.encode(data))
    assert bool((found.status == CLEAN).all())
    assert torch.equal(found.data, data)


@pytest.mark.parametrize("name", [name for name in CODES if name != "parity"])
def test_every_single_flip_is_corrected(name):
    code = code_named(name)
    word = word_of(code)
    status, data = decoded(code, flipped(code, word, all_flips(places(code), 1)))
    assert (status == CORRECTED).all()
    assert right(code, word, data).all()


@pytest.mark.parametrize("name", SECDED)
def test_every_double_flip_is_detected(name):
    code = code_named(name)
    word = word_of(code)
    words = flipped(code, word, all_flips(places(code), 2))
    status, data = decoded(code, words)
    assert (status == DETECTED).all()
    assert torch.equal(data, words[:, : code.data_bytes])  # handed on as it was read


def syndrome_oracle(code: BinaryCode, flips: np.ndarray) -> list[tuple[int, frozenset[int]]]:
    """What becomes of each pattern, by a table of syndromes: the status, and what stays wrong."""
    columns = [*code.columns, *(1 << bit for bit in range(code.check_bits))]
    table = {column: bit for bit, column in enumerate(columns)}
    found = []
    for pattern in flips.tolist():
        syndrome = 0
        for bit in pattern:
            syndrome ^= columns[bit]
        wrong = frozenset(pattern)
        if syndrome == 0:
            found.append((CLEAN, wrong))
        elif syndrome in table:
            found.append((CORRECTED, wrong ^ {table[syndrome]}))
        else:
            found.append((DETECTED, wrong))
    return found


def check_against_oracle(code: BinaryCode, flips: np.ndarray) -> np.ndarray:
    word = word_of(code)
    status, data = decoded(code, flipped(code, word, flips))
    oracle = syndrome_oracle(code, flips)
    assert status.tolist() == [told for told, _ in oracle]
    wrong = np.unpackbits((data ^ word[:, : code.data_bytes]).numpy(), axis=1, bitorder="little")
    limit = 8 * code.data_bytes
    expected = np.zeros_like(wrong)
    for row, (_, bits) in enumerate(oracle):
        expected[row, [bit for bit in bits if bit < limit]] = 1
    assert (wrong == expected).all()
    return status


@pytest.mark.parametrize(("name", "share"), [("secded", 0.5628), ("secded-39", 0.5966)])
def test_triple_flips_are_miscorrected_as_the_syndrome_table_says(name, share):
    code = code_named(name)
    status = check_against_oracle(code, all_flips(places(code), 3))
    assert set(status.tolist()) == {CORRECTED, DETECTED}  # never taken for clean: distance 4
    assert (status == CORRECTED).mean() == pytest.approx(share, abs=5e-5)


def test_double_flips_of_a_die_are_miscorrected_as_the_syndrome_table_says():
    code = code_named("on-die")
    status = check_against_oracle(code, all_flips(places(code), 2))
    assert set(status.tolist()) == {CORRECTED, DETECTED}
    assert not code.reports
    sampled = np.random.default_rng(0).choice(all_flips(places(code), 3), 5000)
    check_against_oracle(code, sampled)


def test_parity_detects_odd_numbers_of_flips():
    code = code_named("parity")
    word = word_of(code)
    for k, told in ((1, DETECTED), (2, CLEAN), (3, DETECTED)):
        words = flipped(code, word, all_flips(places(code), k))
        status, data = decoded(code, words)
        assert (status == told).all()
        assert torch.equal(data, words[:, :4])


@pytest.mark.parametrize("name", SECDED)
def test_hsiao_matrices_have_odd_columns_and_balanced_rows(name):
    code = code_named(name)
    columns = list(code.columns)
    assert len(set(columns)) == 8 * code.data_bytes
    assert all(column.bit_count() % 2 and column.bit_count() >= 3 for column in columns)
    rows = [sum(column >> row & 1 for column in columns) for row in range(code.check_bits)]
    assert max(rows) - min(rows) <= 1
    # the least possible number of ones: no column could be lighter
    assert sum(rows) == {"secded": 56 * 3 + 8 * 5, "secded-39": 32 * 3}[name]


@pytest.mark.parametrize(("name", "distance"), [("secded", 4), ("secded-39", 4), ("on-die", 3)])
def test_minimum_distance(name, distance):
    code = code_named(name)
    columns = [*code.columns, *(1 << bit for bit in range(code.check_bits))]
    for k in range(1, distance):
        sums = np.bitwise_xor.reduce(np.array(columns)[all_flips(len(columns), k)], axis=1)
        assert sums.all()


# Symbols


def symbol_errors(code: Code, k: int, n: int, seed: int) -> np.ndarray:
    """(n, bytes) uint8 with k bytes that are not zero."""
    rng = np.random.default_rng(seed)
    length = code.data_bytes + code.check_bytes
    errors = np.zeros((n, length), np.uint8)
    for row in errors:
        row[rng.choice(length, k, replace=False)] = rng.integers(1, 256, k)
    return errors


@pytest.mark.parametrize("name", SYMBOLS)
def test_every_error_in_one_byte_is_corrected(name):
    code = code_named(name)
    word = word_of(code)
    length = code.data_bytes + code.check_bytes
    errors = np.zeros((length, 255, length), np.uint8)
    errors[np.arange(length), :, np.arange(length)] = np.arange(1, 256)
    words = word ^ torch.from_numpy(errors.reshape(-1, length))
    status, data = decoded(code, words)
    assert (status == CORRECTED).all()
    assert right(code, word, data).all()


def test_errors_in_two_bytes_are_corrected_by_the_code_for_two():
    code = code_named("chipkill-2")
    word = word_of(code)
    pairs = np.array(list(combinations(range(36), 2)))
    rng = np.random.default_rng(0)
    errors = np.zeros((len(pairs) * 20, 36), np.uint8)
    for at, (a, b) in enumerate(np.repeat(pairs, 20, axis=0)):
        errors[at, [a, b]] = rng.integers(1, 256, 2)
    status, data = decoded(code, word ^ torch.from_numpy(errors))
    assert (status == CORRECTED).all()
    assert right(code, word, data).all()


@pytest.mark.parametrize("name", SYMBOLS)
@pytest.mark.parametrize("k", [2, 3])
def test_flips_of_two_and_three_bits(name, k):
    """All pairs of bits, sampled triples: what a symbol code can correct, it does."""
    code = code_named(name)
    word = word_of(code)
    if k == 2:
        flips = all_flips(places(code), 2)
    else:
        draws = np.random.default_rng(k).integers(0, places(code), (20_000, 3))
        flips = draws[(np.diff(np.sort(draws)) > 0).all(1)]
    status, data = decoded(code, flipped(code, word, flips))
    struck = np.array([len(set(row)) for row in (flips // 8).tolist()])
    can = struck <= code.check_bytes // 2
    assert (status[can] == CORRECTED).all()
    assert right(code, word, data)[can].all()
    assert (status[~can] != CLEAN).all()
    assert not right(code, word, data)[~can & (status == CORRECTED)].any()


def value_at(word: list[int], root: int) -> int:
    """A word's polynomial at a power of x, by Horner's rule with products of plain numbers."""
    power = 1
    for _ in range(root):
        power = product(power, 2)
    total = 0
    for coefficient in reversed(word):
        total = product(total, power) ^ coefficient
    return total


@pytest.mark.parametrize("name", SYMBOLS)
def test_words_are_multiples_of_the_generator(name):
    code = code_named(name)
    for seed in range(5):
        word = word_of(code, seed)[0]
        polynomial = [*word[code.data_bytes :].tolist(), *word[: code.data_bytes].tolist()]
        assert [value_at(polynomial, root) for root in range(code.check_bytes)] == [
            0
        ] * code.check_bytes


def test_too_many_bytes_are_corrected_only_into_the_word_that_is_next():
    """Two bytes under the code for one: an oracle that tries every word one byte away."""
    code = code_named("chipkill")
    word = word_of(code)
    errors = symbol_errors(code, 2, 200, seed=3)
    words = word ^ torch.from_numpy(errors)
    status, data = decoded(code, words)
    length = code.data_bytes + code.check_bytes
    tries = np.zeros((length, 255, length), np.uint8)
    tries[np.arange(length), :, np.arange(length)] = np.arange(1, 256)
    tries = torch.from_numpy(tries.reshape(-1, length))
    for row in range(len(words)):
        near = words[row] ^ tries
        valid = (code.encode(near[:, :16]) == near[:, 16:]).all(1)
        assert int(valid.sum()) == (status[row] == CORRECTED)
        if valid.any():
            assert torch.equal(near[valid][0, :16], data[row])
        else:
            assert torch.equal(data[row], words[row, :16])
    assert 0 < (status == CORRECTED).mean() < 0.2


def test_three_bytes_under_the_code_for_two_end_in_a_word_or_are_detected():
    code = code_named("chipkill-2")
    word = word_of(code)
    errors = symbol_errors(code, 3, 4000, seed=4)
    words = word ^ torch.from_numpy(errors)
    found = code.decode(words[:, :32], words[:, 32:])
    assert not bool((found.status == CLEAN).any())
    fixed = found.status == CORRECTED
    # into a word: its check bytes are those read, but for the two bytes that were changed
    check = code.encode(found.data[fixed])
    changed = (found.data[fixed] != words[fixed, :32]).sum(1) + (check != words[fixed, 32:]).sum(1)
    assert 0 < int(fixed.sum()) < len(errors) // 20
    assert bool((changed <= 2).all())


def test_a_code_that_is_not_there():
    with pytest.raises(ConfigError, match="'seced' is no code: did you mean 'secded'"):
        code_named("seced")
