"""Philox against its published vectors; samples against their distributions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, chisquare

from faultsim import ops
from faultsim.errors import FaultError, InjectionError
from faultsim.ops._native import native

# Random123's kat_vectors, philox4x32 10 rounds.
VECTORS = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    (
        (0xFFFFFFFF,) * 4,
        (0xFFFFFFFF,) * 2,
        (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
    ),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "expected"), VECTORS)
def test_philox_known_answers(counter, key, expected):
    assert native().philox(counter, key) == expected


@given(
    population=st.integers(1, 10**12),
    n=st.integers(0, 200),
    seed=st.integers(0, 2**64 - 1),
    trial=st.integers(0, 2**32 - 1),
)
def test_draws_are_distinct_in_range_and_nested(population, n, seed, trial):
    n = min(n, population)
    drawn = ops.sample_uniform(population, n, seed=seed, trial=trial)
    assert len(set(drawn.tolist())) == n
    assert all(0 <= position < population for position in drawn.tolist())
    half = ops.sample_uniform(population, n // 2, seed=seed, trial=trial)
    assert half.tolist() == drawn[: n // 2].tolist()


def test_streams_differ_by_every_part_of_their_key():
    keys = [(0, 0, 0), (1, 0, 0), (1 << 40, 0, 0), (0, 1, 0), (0, 0, 1)]
    draws = {
        tuple(ops.sample_uniform(1 << 40, 4, seed=s, trial=t, stream=k).tolist())
        for s, t, k in keys
    }
    assert len(draws) == len(keys)


def test_a_recorded_sample_never_changes():
    """Journals of every release must replay; this pins the stream itself."""
    assert ops.sample_uniform(10**9, 3, seed=42, trial=7).tolist() == [
        895813989,
        333795119,
        375234698,
    ]


def test_a_recorded_draw_of_errors_never_changes(device):
    errors = ops.sample_bit_errors(10**9, 3e-9, seed=42, trial=7, device=device)
    assert errors.tolist() == [368711517]


@given(
    population=st.integers(0, 3 << 20),
    rate=st.floats(0, 1e-3) | st.just(0.3),
    seed=st.integers(0, 2**64 - 1),
    trial=st.integers(0, 2**32 - 1),
    stream=st.integers(0, 2**31 - 1),
)
def test_every_device_draws_the_same_errors(device, population, rate, seed, trial, stream):
    key = {"seed": seed, "trial": trial, "stream": stream}
    errors = ops.sample_bit_errors(population, rate, **key, device=device)
    expected = native().sample_bit_errors(population, rate, seed, trial, stream)
    assert errors.device == device
    np.testing.assert_array_equal(errors.cpu().numpy(), expected)


def test_draws_are_philox_words_scaled_by_their_high_half():
    words = native().philox((0, 0, 7, 0), (42, 0))
    draw = words[0] | words[1] << 32
    assert ops.sample_uniform(10**9, 1, seed=42, trial=7).tolist() == [draw * 10**9 >> 64]


def test_uniform_draws_pass_chi_square():
    counts = np.zeros(97)
    for trial in range(400):
        counts[ops.sample_uniform(97, 20, seed=5, trial=trial).numpy()] += 1
    # Drawing without replacement makes counts less scattered, never more.
    assert chisquare(counts).pvalue > 0.01


def test_the_first_draw_is_uniform():
    firsts = [int(ops.sample_uniform(10, 1, seed=s)[0]) for s in range(5000)]
    assert chisquare(np.bincount(firsts, minlength=10)).pvalue > 0.001


@pytest.mark.parametrize(("population", "rate"), [(5000, 0.01), (5000, 0.7), (3 << 20, 2e-6)])
def test_bit_errors_are_binomial(population, rate):
    counts = [len(ops.sample_bit_errors(population, rate, seed=s)) for s in range(600)]
    low, high = binom.interval(0.9999, 600 * population, rate)
    assert low <= sum(counts) <= high
    variance = population * rate * (1 - rate)
    assert 0.8 * variance < np.var(counts) < 1.25 * variance


def test_bit_errors_strike_every_position_alike():
    counts = np.zeros(50)
    for seed in range(3000):
        counts[ops.sample_bit_errors(50, 0.1, seed=seed).numpy()] += 1
    assert chisquare(counts).pvalue > 0.001


@given(
    population=st.integers(0, 3 << 20),
    rate=st.floats(0, 1e-4),
    seed=st.integers(0, 2**64 - 1),
)
def test_bit_errors_ascend_within_the_population(population, rate, seed):
    errors = ops.sample_bit_errors(population, rate, seed=seed).numpy()
    assert (np.diff(errors) > 0).all()
    assert not errors.size or (errors[0] >= 0 and errors[-1] < population)


def test_a_larger_population_keeps_the_errors_of_its_first_blocks():
    small = ops.sample_bit_errors(1 << 20, 1e-5, seed=3).tolist()
    large = ops.sample_bit_errors(5 << 20, 1e-5, seed=3).tolist()
    assert large[: len(small)] == small


def test_rates_zero_and_one(device):
    assert len(ops.sample_bit_errors(10**6, 0.0, seed=0, device=device)) == 0
    errors = ops.sample_bit_errors(1000, 1.0, seed=0, device=device)
    assert errors.tolist() == list(range(1000))


@pytest.mark.parametrize(
    "call",
    [
        lambda: ops.sample_uniform(3, 4, seed=0),
        lambda: ops.sample_uniform(3, 1, seed=-1),
        lambda: ops.sample_uniform(3, 1, seed=0, trial=1 << 32),
        lambda: ops.sample_bit_errors(3, 1.5, seed=0),
        lambda: ops.sample_bit_errors(3, float("nan"), seed=0),
        lambda: ops.sample_bit_errors(3, 0.5, seed=0, device="meta"),
    ],
)
def test_impossible_samples_are_refused(call):
    with pytest.raises((FaultError, InjectionError)):
        call()
