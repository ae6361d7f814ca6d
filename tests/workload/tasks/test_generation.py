"""Continuations compared token by token, however they are filled up."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from faultsim import Batch, tasks
from faultsim.errors import ConfigError
from faultsim.workload.outputs import compare

EOS, PAD = 1, 0


@dataclass
class Written:
    sequences: torch.Tensor
    scores: tuple[torch.Tensor, ...] | None = None


def filled(rows: list[list[int]], pad: int = PAD) -> torch.Tensor:
    longest = max(map(len, rows))
    return torch.tensor([row + [pad] * (longest - len(row)) for row in rows])


continuations = st.lists(st.integers(2, 4), min_size=1, max_size=5).map(lambda row: [*row, EOS])


@given(
    st.lists(st.tuples(continuations, continuations), min_size=1, max_size=4),
    st.sampled_from([PAD, EOS]),
)
def test_rows_are_compared_up_to_their_end_and_positions_counted_from_the_prompt(pairs, pad):
    prompt = torch.tensor([[EOS, EOS, 5]]).expand(len(pairs), 3)  # filled up on the left
    golden, faulty = (
        torch.cat([prompt, filled([pair[k] for pair in pairs], pad)], dim=1) for k in (0, 1)
    )
    batch = Batch({"input_ids": prompt}, None, len(pairs))
    task = tasks.Generation(eos=EOS)
    events = task.changed(golden, Written(faulty), batch)
    places = [
        next(k for k, (a, b) in enumerate(zip(was, now, strict=False)) if a != b)
        for was, now in pairs
        if was != now
    ]
    assert events["sdc"].tolist() == [was != now for was, now in pairs]
    assert events["first-token"].tolist() == [was[0] != now[0] for was, now in pairs]
    assert events["length"].tolist() == [len(was) != len(now) for was, now in pairs]
    wanted = sum(places) / len(places) if places else None
    assert task.deviations([golden], [faulty], [batch]) == {"first_difference": wanted}
    lengths = [len(now) for _, now in pairs]
    assert task.scores([faulty], [batch]) == {"mean_length": sum(lengths) / len(lengths)}
    same = compare(*(task.samples(each, len(pairs)) for each in (golden, faulty))).same
    assert same.tolist() == [was == now for was, now in pairs]


def test_without_eos_rows_are_compared_as_far_as_both_go():
    golden, faulty = torch.tensor([[2, 3], [4, 4]]), torch.tensor([[2, 3, 0], [4, 5, 6]])
    batch = Batch(torch.zeros(2, 9, dtype=torch.int64), None, 2)
    assert tasks.Generation().changed(golden, faulty, batch)["sdc"].tolist() == [False, True]
    lists = [torch.tensor([2, 3]), torch.tensor([4])], [torch.tensor([2, 3]), torch.tensor([4, 4])]
    events = tasks.Generation().changed(*lists, batch)
    assert events["sdc"].tolist() == events["length"].tolist() == [False, True]


def test_scores_tell_detected_errors_and_end_with_their_row():
    prompt = torch.tensor([[7, 7], [7, 7]])
    tokens = torch.cat([prompt, filled([[2, EOS], [3, 4, EOS]])], dim=1)
    golden = Written(tokens, tuple(torch.rand(2, 9) for _ in range(3)))
    task, batch = tasks.Generation(eos=EOS), Batch({"input_ids": prompt}, None, 2)

    def broken(step: int, row: int, value: float) -> Written:
        scores = tuple(score.clone() for score in golden.scores)
        scores[step][row, 0] = value
        return Written(tokens, scores)

    def finite(output: Written) -> list[bool]:
        return compare(task.samples(golden, 2), task.samples(output, 2)).finite.tolist()

    assert finite(broken(1, 0, torch.nan)) == [False, True]
    assert finite(broken(2, 1, torch.inf)) == [True, False]
    assert finite(broken(2, 0, torch.nan)) == [True, True]  # after its end
    assert finite(broken(0, 0, -torch.inf)) == [True, True]  # ruled out
    beyond = compare(task.samples(golden, 2), task.samples(broken(2, 0, 0.5), 2))
    assert beyond.same.all()
    assert not task.changed(golden, broken(1, 0, torch.nan), batch)["sdc"].any()


def test_exact_match_with_targets():
    tokens = filled([[2, 3, EOS], [4, EOS]])
    wanted = torch.tensor([[2, 3, EOS, -100], [4, 5, EOS, -100]])
    found = tasks.Generation(eos=EOS, prompt=0).scores([tokens], [Batch(tokens, wanted, 2)])
    assert found == {"mean_length": 2.5, "exact_match": 0.5}


def test_a_struck_prompt_is_no_part_of_the_continuation():
    prompt = torch.tensor([[5, 6, 7, 8]])
    golden, faulty = torch.tensor([[5, 6, 7, 8, 2]]), torch.tensor([[5, 6, 3, 8, 2]])
    batch = Batch(prompt, None, 1)
    assert not tasks.Generation().changed(golden, faulty, batch)["sdc"].any()
    assert tasks.Generation().scores([faulty], [batch]) == {"mean_length": 1.0}


@pytest.mark.parametrize(
    ("output", "targets", "message"),
    [
        (torch.rand(2, 3), None, "let forward call generate"),
        (torch.zeros(4, 3).long(), None, "let forward call generate"),
        ([torch.zeros(3).long()], None, "let forward call generate"),
        (Written(torch.zeros(2, 3).long(), (torch.rand(6, 9),)), None, "several beams"),
        (torch.zeros(2, 3).long(), torch.zeros(2), "targets of a generation"),
    ],
)
def test_what_is_no_generation_is_told_in_one_line(output, targets, message):
    with pytest.raises(ConfigError, match=message):
        tasks.Generation().check(output, Batch(torch.zeros(2, 3), targets, 2))


def test_without_a_teacher_one_line_says_what_to_do():
    batch = Batch(torch.zeros(1, 1).long(), None, 1)
    with pytest.raises(ConfigError, match="teacher_forced"):
        tasks.Generation().loss(torch.zeros(1, 2).long(), batch)
