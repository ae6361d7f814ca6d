"""Every schedule, driven by hand: which trials it yields and how it answers outcomes."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, replace
from itertools import pairwise

import pytest
import torch

from faultsim import CampaignConfig, FaultSpace
from faultsim.data.workload import ImageWorkload
from faultsim.errors import ConfigError, FaultError
from faultsim.run.experiment import Experiment
from faultsim.run.trial import Trial
from faultsim.schedule import SCHEDULES, Context


@dataclass(frozen=True)
class Rig(Context):
    """What a schedule is told, and what answers its trials."""

    experiment: Experiment


@pytest.fixture
def context(model, dataset):
    def make(**settings) -> Rig:
        config = CampaignConfig(**settings)
        experiment = Experiment(ImageWorkload(model, dataset))
        target = config.target
        inputs = experiment.first_inputs() if target != "weights" else None
        space = FaultSpace(model, target, config.bits, config.include or None, inputs=inputs)
        samples = experiment.golden("test").size
        return Rig(config, space, model, experiment.search, samples, experiment)

    return make


def drive(context: Rig) -> list[Trial]:
    """All trials of a schedule, each answered by its real outcome."""
    plan = SCHEDULES[context.config.mode](context)
    trials, answer = [], None
    while True:
        try:
            trials.append(plan.trials.send(answer))
        except StopIteration:
            assert len(trials) <= plan.total
            return trials
        answer = context.experiment.run(trials[-1])


def cells(trials: list[Trial]) -> Counter[str]:
    return Counter(json.dumps(dict(trial.cell)) for trial in trials)


def test_random_has_a_cell_for_each_budget(context):
    trials = drive(context(mode="random", flips=(1, 3), trials=4))
    assert cells(trials) == {'{"flips": 1}': 4, '{"flips": 3}': 4}
    assert [trial.faults.flips for trial in trials] == [1] * 4 + [3] * 4
    assert len({trial.faults for trial in trials}) == 8


def test_random_at_a_bit_error_rate(context):
    trials = drive(context(mode="random", ber=0.01, trials=5))
    assert cells(trials) == {'{"ber": 0.01}': 5}
    assert len({len(trial.faults) for trial in trials}) > 1


@pytest.mark.parametrize("mode", ["layer-wise", "bit-wise"])
def test_every_part_has_the_same_budget(context, mode):
    trials = drive(context(mode=mode, flips=(2,), trials=3, include=("conv", "head")))
    label = "layer" if mode == "layer-wise" else "bit"
    parts = Counter(trial.cell[label] for trial in trials)
    assert set(parts) == ({"conv", "head"} if label == "layer" else set(range(32)))
    assert set(parts.values()) == {3}
    for trial in trials:
        where = {f.site.layer if label == "layer" else f.bits[0] for f in trial.faults}
        assert where == {trial.cell[label]}


@pytest.mark.parametrize("direction", ["0to1", "1to0"])
def test_direction_strikes_only_such_bits(context, model, direction):
    trials = drive(context(mode="random", flips=(5,), trials=10, direction=direction))
    for trial in trials:
        for fault in trial.faults:
            word = model.state_dict()[fault.tensor].view(torch.int32).flatten()[fault.index].item()
            assert bool(word & fault.mask) == (direction == "1to0")


def test_a_direction_with_too_few_bits_is_refused(context):
    """gain is four words of 1.0: 7 exponent bits set in each, 25 bits clear."""
    settings = {"mode": "random", "trials": 1, "include": ("gain",)}
    assert drive(context(**settings, flips=(28,), direction="1to0"))[0].faults.flips == 28
    with pytest.raises(FaultError, match="only 28 of the 128 bits are 1, fewer than the 29"):
        drive(context(**settings, flips=(29,), direction="1to0"))


def test_exhaustive_tries_every_bit_once(context):
    ctx = context(mode="exhaustive", include=("gain",), bits="23-30")
    trials = drive(ctx)
    assert len({trial.faults for trial in trials}) == len(trials) == len(ctx.space) == 32
    huge = replace(ctx, space=FaultSpace(torch.nn.Linear(400, 400)))
    with pytest.raises(ConfigError, match="would not end"):
        SCHEDULES["exhaustive"](huge)


def test_from_file_arms_all_faults_together(context, tmp_path):
    path = tmp_path / "faults.json"
    path.write_text(
        '[{"tensor": "gain", "index": 0, "bit": 31}, {"tensor": "gain", "index": 1, "bit": 3}]'
    )
    trials = drive(context(mode="from-file", faults=str(path)))
    assert [len(trial.faults) for trial in trials] == [2]
    with pytest.raises(ConfigError, match=r"cannot read .*none\.json"):
        drive(context(mode="from-file", faults=str(tmp_path / "none.json")))


@pytest.mark.parametrize("mode", ["random", "layer-wise", "bit-wise", "worst-case"])
def test_schedules_are_deterministic_under_their_seed(context, mode):
    few = {"mode": mode, "trials": 2, "flips": (1, 2)}
    first, again = drive(context(**few)), drive(context(**few))
    assert first == again
    other = drive(context(**few, seed=1))
    assert [t.faults for t in other] != [t.faults for t in first]


def test_schedules_touch_no_global_generator(context):
    state = torch.get_rng_state()
    drive(context(mode="random", trials=2))
    assert torch.equal(torch.get_rng_state(), state)


class TestWorstCase:
    def search(self, context, **settings) -> tuple[Rig, list[Trial]]:
        ctx = context(**{"mode": "worst-case", "flips": (1, 2), "trials": 3} | settings)
        return ctx, drive(ctx)

    def test_searches_on_validation_and_reports_on_test(self, context):
        _, trials = self.search(context)
        for trial in trials:
            assert trial.split == ("val" if "search" in trial.cell else "test")

    def test_finds_what_an_exhaustive_search_finds(self, context):
        """Over one small tensor, no single flip does more harm than the one committed."""
        ctx, trials = self.search(context, include=("gain",), flips=(1,), allow_nonfinite=False)
        found = next(t.faults for t in trials if t.cell == {"curve": "worst-case", "flips": 1})
        lowest = 1.0
        for position in range(len(ctx.space)):
            outcome = ctx.experiment.run(Trial(ctx.space.locate([position]), {}, "val"))
            lowest = min(lowest, 1.0 if outcome.due else outcome.acc)
        assert ctx.experiment.run(Trial(found, {}, "val")).acc == lowest

    def test_is_worse_than_random(self, context):
        ctx, trials = self.search(context)
        reported = {
            t.cell["curve"]: ctx.experiment.run(t).acc
            for t in trials
            if t.cell["flips"] == 2 and t.split == "test"
        }
        assert reported["worst-case"] <= reported["random"]

    def test_larger_budgets_extend_smaller_ones(self, context):
        _, trials = self.search(context, flips=(1, 2, 3))
        sets = [
            list(t.faults) for t in trials if t.cell["curve"] == "worst-case" and t.split == "test"
        ]
        for small, large in pairwise(sets):
            assert large[: len(small)] == small
        assert len({(f.tensor, f.index) for f in sets[-1]}) == len(sets[-1])

    def test_words_and_outputs_stay_finite_unless_asked(self, context, model):
        ctx, trials = self.search(context)
        for trial in trials:
            if trial.cell["curve"] == "random":
                continue
            assert all(abs(f.after) < float("inf") for f in trial.faults.describe(model))
            if trial.split == "test":
                assert ctx.experiment.run(trial).due == 0
        _, wild = self.search(context, allow_nonfinite=True, bits="30", include=("norm",))
        values = [f.after for t in wild for f in t.faults.describe(model)]
        assert not all(abs(value) < float("inf") for value in values)

    def test_the_second_curve_leaves_the_top_exponent_bit_alone(self, context):
        _, trials = self.search(context)
        second = [t for t in trials if "without" in str(t.cell["curve"])]
        assert second
        assert all(30 not in fault.bits for trial in second for fault in trial.faults)

    def test_bits_direction_and_op_are_kept(self, context, model):
        _, trials = self.search(context, bits="mantissa", direction="1to0")
        for trial in trials:
            for fault in trial.faults:
                word = model.state_dict()[fault.tensor].view(torch.int32).flatten()[fault.index]
                assert fault.bits[0] < 23
                assert int(word) & fault.mask
        _, stuck = self.search(context, op="stuck-at-1")
        assert {fault.op for trial in stuck for fault in trial.faults} == {"stuck-at-1"}

    def test_activations_are_searched_too(self, context):
        ctx, trials = self.search(context, target="activations", flips=(1,))
        found = [t for t in trials if t.cell["curve"] == "worst-case" and t.split == "test"]
        assert found[0].faults.sites[0].kind == "activations"
        assert ctx.experiment.run(found[0]).acc < ctx.experiment.baseline().acc + 1e-9

    def test_batchnorm_statistics_are_candidates(self, context):
        _, trials = self.search(context, include=("norm",))
        assert any("running" in f.tensor for t in trials if "search" in t.cell for f in t.faults)

    def test_needs_a_validation_split(self, context, dataset):
        ctx = context(mode="worst-case")
        empty = type(dataset)("x", 3, dataset.train, dataset.val.first(0), dataset.test)
        other = Experiment(ImageWorkload(ctx.model, empty))
        with pytest.raises(ConfigError, match="no val images"):
            SCHEDULES["worst-case"](replace(ctx, search=other.search))
