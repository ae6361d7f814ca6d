"""What a campaign says of itself while it runs: to people, to programs, to nobody."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from faultsim.campaign import Progress
from faultsim.cli import main
from faultsim.faults import FaultSet
from faultsim.pace import Pace
from faultsim.run.outcome import Outcome
from faultsim.run.trial import Trial

MASKED = Outcome(10, 0, 0, 0, 10, 0.0)
SDC = Outcome(10, 0, 1, 0, 9, 0.0)
START = Progress(Path("a"), MASKED, None, True, {}, 0, 100, trial=Trial(FaultSet.of([]), {}))


def paced(*trials: tuple[float, int], mode: str = "random", resumed: int = 0) -> Pace:
    """Told of trials at seconds."""
    seconds = iter([when for when, _ in trials])
    pace = Pace(mode, lambda: next(seconds))
    for _, done in trials:
        pace.saw(
            replace(START, done=done, outcome=SDC if done % 4 == 0 else MASKED, resumed=resumed)
        )
    return pace


def test_the_rate_is_that_of_late_and_gives_the_time_left():
    pace = paced((0, 1), (1, 11), (2, 21))
    assert pace.rate == 10
    assert pace.left(replace(START, done=21)) == 7.9
    assert paced((0, 1), (10, 61), (40, 71), (50, 76)).rate == 0.5


def test_what_was_recorded_before_is_no_trial_run():
    pace = Pace("random", iter([5.0, 6.0]).__next__)
    shown = [pace.saw(replace(START, done=n, outcome=MASKED, resumed=50)) for n in (1, 49, 50, 52)]
    assert shown == [False, False, True, True]
    assert pace.rate == 2


def test_the_share_of_harmful_trials_has_an_interval_where_trials_are_a_sample():
    trials = [(float(n), n) for n in range(1, 41)]
    known = paced(*trials).estimate(START)
    assert (known.value, known.n) == (0.25, 40)
    assert known.low < 0.25 < known.high
    assert paced(*trials[:8]).estimate(START).high > known.high
    assert paced(*trials, mode="worst-case").estimate(START) is None


FLAGS = "campaign --mode random --flips 1 --trials 3 --threads 1 --limit 8 --include head.bias"


def test_events_for_programs(tmp_path, capsys):
    argv = [*FLAGS.split(), "--out", str(tmp_path / "a"), "--json"]
    assert main(argv) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["event"] for line in lines] == ["begin", "trials", "trials", "end"]
    assert lines[0]["golden"]["n"] == 8
    assert (lines[-2]["done"], lines[-2]["total"], lines[-2]["estimate"]["n"]) == (3, 3, 3)
    summary = json.loads((tmp_path / "a" / "summary.json").read_text())
    assert lines[-1]["cells"] == summary["cells"]
    assert main([*argv, "--resume"]) == 0
    again = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert again[0]["resumed"] == 3
    assert again[-1] == lines[-1]


def test_of_an_estimate_nobody_knows_what_is_left(tmp_path, capsys):
    settings = "--mode estimate --margin 0.0001 --max-trials 40 --threads 1 --limit 8 --json"
    argv = ["campaign", *settings.split(), "--include", "head.bias", "--out", str(tmp_path / "a")]
    assert main(argv) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {line["left"] for line in lines if line["event"] == "trials"} == {None}
    assert lines[-1]["reached"] is False
    assert lines[-1]["estimate"]["n"] == 40


def test_without_a_terminal_there_is_no_bar(tmp_path, capsys):
    assert main([*FLAGS.split(), "--out", str(tmp_path / "a")]) == 0
    text = capsys.readouterr().out
    assert text.startswith("Golden accuracy")
    assert "injecting" not in text
    assert "golden run" not in text
