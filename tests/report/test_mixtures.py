"""The kinds of events that a fault model brought, from a journal made by hand."""

from __future__ import annotations

import pytest

from faultsim.report.mixtures import mixture_sections
from faultsim.report.sources import read_sources
from faultsim.stats import clopper_pearson


@pytest.fixture
def campaigns(write_campaign, line, tmp_path):
    def read(events, **settings):
        lines = [
            line(number, 10 - sdc, ("stem.weight", 3), sdc=sdc, events=len(struck))
            | {"struck": list(struck)}
            for number, (struck, sdc) in enumerate(events)
        ]
        write_campaign(tmp_path / "run", lines, fault_model="mine", events=[1], **settings)
        return read_sources([tmp_path]).campaigns

    return read


def test_each_kind_has_its_share_and_its_own_rates(campaigns):
    row = "row of 2 × 8 words at stem.weight[0]: 2 bits of 2 words"
    found = campaigns([(("1 bit at stem.weight[1]",), 0)] * 3 + [((row,), 5)])
    ((label, sentence, table),) = mixture_sections(found)
    assert label == found[0].label
    assert "4 trials of a single event, of 2 kinds; 1 bit in 75.0% of them" in sentence
    assert table.values("event") == ["1 bit", "row of 2 × 8 words, one bit of each"]
    known = {(r["event"], r["outcome"]): (r["value"], r["low"], r["n"]) for r in table.rows}
    share = clopper_pearson(3, 4)
    assert known["1 bit", "struck"] == (0.75, share.low, 4)
    assert known["1 bit", "SDC"][0] == 0
    assert known["row of 2 × 8 words, one bit of each", "SDC"][0] == 0.5
    assert known["row of 2 × 8 words, one bit of each", "DUE"][0] == 0


def test_trials_of_several_events_and_models_of_one_kind_have_no_table(campaigns):
    bits = ("1 bit at stem.weight[1]", "1 byte at stem.weight[2]")
    assert mixture_sections(campaigns([(bits, 1), (bits[:1], 0)])) == []
