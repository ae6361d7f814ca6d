"""Faults are carried where that was measured to be faster, which decides about time alone."""

from __future__ import annotations

import pytest

from faultsim.faults import Site
from faultsim.run.carried.gains import FEW, Gains

SLOW, FAST = (Site(name, "weights", "float32", (4,)) for name in ("recurrent", "head"))


@pytest.fixture
def gains():
    """Of a model whose passes take 10 from the start and 4 from cut 7 on; a flip as long."""
    found = Gains({0: 1.0, 7: 0.4}.__getitem__)
    for _ in range(FEW):
        found.flipped(0, 10.0)
        own = {0: 30.0, 1: 1.0, 2: 1.0}
        found.carried(0, 12.0 + 32.0, own, {0: (SLOW,), 1: (FAST,), 2: (SLOW, FAST)})
    return found


def test_each_weight_goes_the_way_that_was_faster(gains):
    assert not gains.pays(0, (SLOW,))
    assert gains.pays(0, (FAST,))
    assert not gains.pays(0, (SLOW, FAST))


def test_a_pass_must_beat_the_flips_of_all_its_faults(gains):
    assert not gains.pass_pays(0, [(0, (FAST,))])
    assert gains.pass_pays(0, [(0, (FAST,))] * 2)
    assert not gains.pass_pays(0, [(7, (FAST,))] * 2)  # whose own passes would be short


def test_of_a_cut_not_seen_its_share_of_a_pass_tells(gains):
    assert gains.pass_pays(7, [(7, (FAST,))] * 3)
    for _ in range(FEW):
        gains.flipped(7, 0.1)
    assert not gains.pays(7, (FAST,))


def test_nothing_is_decided_before_it_was_seen_a_few_times():
    gains = Gains(lambda _: 1.0)
    assert gains.lacking == FEW
    gains.flipped(0, 1.0)
    gains.carried(0, 99.0, {0: 90.0}, {0: (SLOW,)})
    assert gains.lacking == FEW - 1
    assert gains.pays(0, (SLOW,))
    assert gains.pass_pays(0, [(0, (SLOW,))])


def test_trials_are_sorted_where_that_was_faster():
    gains, tried = Gains(lambda _: 1.0), []
    for _ in range(2 * FEW):
        tried.append(gains.sorts)
        gains.ordered(tried[-1], 2.0 if tried[-1] else 1.0)
    assert tried.count(True) == FEW
    assert not gains.sorts


def test_one_slow_time_does_not_decide(gains):
    gains.carried(0, 100.0, {1: 90.0}, {1: (FAST,)})
    assert gains.pays(0, (FAST,))


def test_a_weight_is_tried_at_once_where_that_is_no_slower_than_a_flip(gains):
    assert gains.tries(0)  # of none is it known
    for _ in range(FEW):
        gains.tried(5.0)
    assert gains.tries(0)
    assert not gains.tries(7)  # whose flips are short
