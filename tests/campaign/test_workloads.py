"""Campaigns of any model, input and task: every mode, with replay and without."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
import torch
from torch import nn

from faultsim import (
    Batch,
    CampaignConfig,
    FaultSimError,
    FaultSpace,
    Task,
    Workload,
    inject,
    run_campaign,
    tasks,
)
from faultsim.campaign import reproduce
from faultsim.errors import ConfigError

G = torch.Generator().manual_seed(0)
TOKENS = [
    {"ids": torch.randint(0, 20, (n, t), generator=G), "labels": torch.arange(n) % 3}
    for n, t in ((4, 5), (4, 7), (2, 5))
]
UNLABELLED = [{"ids": TOKENS[0]["ids"]}]


class Reader(nn.Module):
    """Tokens in by keyword, a mapping of two tensors out."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.mix, self.head = nn.Embedding(20, 8), nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, *, ids: torch.Tensor) -> dict[str, torch.Tensor]:
        hidden = torch.tanh(self.mix(self.embed(ids)))
        return {"logits": self.head(hidden.mean(1)), "hidden": hidden}


class Finder(nn.Module):
    """Images of any size in a list, as many boxes an image as it likes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)

    def forward(self, images: list[torch.Tensor]) -> list[dict[str, torch.Tensor]]:
        found = [self.conv(image[None])[0].flatten(1).T for image in images]
        return [{"boxes": rows[rows[:, 0] > 0]} for rows in found]


def changed(golden, faulty, batch) -> Mapping[str, torch.Tensor]:
    was, now = golden["logits"], faulty["logits"]
    return {"top": was.argmax(1) != now.argmax(1), "moved": ((was - now).abs() > 0.1).any(1)}


class Distance(Task):
    """A regression: corrupted when it moves by more than a tenth."""

    objective = "closeness"

    def changed(self, golden, output, batch: Batch) -> torch.Tensor:
        return ((golden - output).abs() > 0.1).flatten(1).any(1)

    def loss(self, output, batch: Batch) -> torch.Tensor:
        return nn.functional.mse_loss(output, batch.targets)

    def scores(self, outputs, batches):
        errors = [float(self.loss(o, b)) for o, b in zip(outputs, batches, strict=True)]
        return {"closeness": -sum(errors), "loss": sum(errors)}


@pytest.fixture
def reader() -> Workload:
    torch.manual_seed(0)
    return Workload(Reader(), TOKENS, tasks.Classification(3), search=TOKENS[:2])


@pytest.fixture
def run(tmp_path):
    count = 0

    def go(work: Workload, sets=None, **settings) -> list[dict]:
        nonlocal count
        count += 1
        usual = {"mode": "random", "trials": 3, "flips": (1,), "out": str(tmp_path / str(count))}
        if sets is not None:
            usual["trials"] = None
        result = run_campaign(CampaignConfig(**usual | settings), work, trials=sets)
        text = (result.directory / "trials-0.jsonl").read_text()
        return [json.loads(line) for line in text.splitlines()]

    return go


MODES = [
    {}, {"target": "activations"}, {"mode": "layer-wise"}, {"mode": "bit-wise", "trials": 1},
    {"mode": "exhaustive", "include": ("head.bias",), "bits": "28-31"},
    {"mode": "worst-case", "include": ("head",)},
    {"mode": "worst-case", "target": "activations", "include": ("head", "mix")},
]  # fmt: skip


@pytest.mark.parametrize("settings", MODES, ids=str)
def test_every_mode_runs_with_replay_and_without_alike(run, reader, settings):
    lines = run(reader, **settings)
    assert lines == run(reader, **settings, replay=False)
    for line in lines:
        assert line["due"] + line["sdc"] + line["benign"] + line["masked"] == line["n"]
        assert "acc" in line
        assert "metrics" not in line


def test_a_function_is_a_task_and_its_events_are_counted(run):
    torch.manual_seed(0)
    model = Reader().eval()
    space = FaultSpace(model, bits="30")
    lines = run(Workload(model, TOKENS, changed), bits="30", trials=8)
    for trial, line in enumerate(lines):
        faults = space.sample(1, seed=0, trial=trial)
        top = moved = due = 0
        with torch.no_grad():
            for batch in TOKENS:
                golden = model(ids=batch["ids"])
                with inject(model, faults):
                    faulty = model(ids=batch["ids"])
                flat = torch.cat([t.flatten(1) for t in faulty.values()], 1)
                broken = ~flat.isfinite().all(1)
                events = changed(golden, faulty, None)
                due += int(broken.sum())
                top += int((events["top"] & ~broken).sum())
                moved += int((events["moved"] & ~broken).sum())
        assert (line["due"], line["sdc"]) == (due, top)
        assert line["events"] == {"top": top, "moved": moved}
        assert line["metrics"] == {}


def test_a_task_of_ones_own_is_searched_by_its_objective(run):
    torch.manual_seed(0)
    pairs = [(torch.rand(4, 6), torch.rand(4, 2)), (torch.rand(3, 6), torch.rand(3, 2))]
    work = Workload(nn.Linear(6, 2), pairs, Distance(), search=pairs)
    lines = run(work, mode="worst-case", allow_nonfinite=False, trials=5)
    found = [line for line in lines if line["cell"] == {"curve": "worst-case", "flips": 1}]
    others = [line for line in lines if line["cell"]["curve"] == "random"]
    worst = min(float(line["metrics"]["closeness"]) for line in others)
    assert float(found[0]["metrics"]["closeness"]) <= worst


def test_ragged_outputs_and_lists_of_images(run):
    torch.manual_seed(0)
    images = [[torch.rand(1, 4, 5), torch.rand(1, 6, 3)], [torch.rand(1, 3, 3)]]

    def appeared(golden, faulty, batch):
        pairs = zip(golden, faulty, strict=True)
        return torch.tensor([len(g["boxes"]) != len(f["boxes"]) for g, f in pairs])

    batches = [Batch(each, None, len(each)) for each in images]
    work = Workload(Finder(), batches, appeared)
    lines = run(work, bits="exponent", trials=20)
    assert {line["n"] for line in lines} == {3}
    assert sum(line["sdc"] for line in lines) > 0
    assert lines == run(work, bits="exponent", trials=20, replay=False)


def test_a_forward_of_ones_own_gets_batches_as_they_are(run, reader):
    def forward(model, batch):
        return model(ids=batch["ids"])["logits"]

    work = Workload(reader.model, TOKENS, tasks.Classification(3), forward, TOKENS[:1])
    for settings in ({}, {"target": "activations"}, {"mode": "worst-case", "include": ("head",)}):
        assert len(run(work, **settings)) >= 3


def test_fault_sets_of_ones_own_are_trials(run, reader, tmp_path):
    space = FaultSpace(reader.model)
    sets = [space.sample(1 + k % 2, seed=k) for k in range(4)]
    lines = run(reader, iter(sets))
    assert [line["cell"] for line in lines] == [{"flips": s.flips} for s in sets]
    named = run(reader, [({"name": "a"}, sets[0])])
    assert named[0]["cell"] == {"name": "a"}
    assert reproduce(tmp_path / "1", 2, work=reader).differences == []
    for wrong, message in (([], "no fault set"), ([7], "trial 0 is a int"), (7, "no iterable")):
        with pytest.raises(FaultSimError, match=message):
            run(reader, wrong)


def test_a_number_of_trials_that_cannot_be_had_is_refused(run, reader):
    sets = [FaultSpace(reader.model).sample(1, seed=0)]
    config = CampaignConfig(mode="random", trials=50)
    with pytest.raises(FaultSimError, match="--trials 50, but there is 1 fault set"):
        run_campaign(config, reader, trials=sets)


SEARCH = {"mode": "worst-case"}


@pytest.mark.parametrize(
    ("work", "settings", "message"),
    [
        (lambda m: Workload(m, TOKENS, changed, search=TOKENS), SEARCH, "has no loss"),
        (lambda m: Workload(m, TOKENS, tasks.Classification(3)), SEARCH, "no val samples, at"),
        (lambda m: Workload(m, UNLABELLED, tasks.Classification(3)), {}, "no labels: they"),
        (lambda m: Workload(type(m), TOKENS, changed), {}, "not the class Reader"),
        (lambda m: Workload(m, [], changed), {}, "no test samples"),
        (lambda m: Workload(m, TOKENS, lambda g, f, b: 3), {}, "true or false of each of 4"),
        (lambda m: Workload(m, TOKENS, lambda g, f, b: g["x"]), {}, "the task <lambda> fails"),
        (lambda m: Workload(m, TOKENS, 7), {}, "a task is"),
        (lambda m: Workload("m", TOKENS, changed), {}, "must be an nn.Module, not a str"),
        (lambda m: Workload(m, TOKENS, changed), {"perturb": "fgsm"}, "only images"),
        (lambda m: Workload(m, [torch.rand(2, 3)], changed), {}, "fails on samples of shape"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_one_line(run, reader, work, settings, message):
    with pytest.raises(FaultSimError, match=message) as error:
        run(work(reader.model), **settings)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("mode", ["random", "worst-case"])
@pytest.mark.parametrize("target", ["weights", "activations"])
def test_other_floating_point_numbers(run, dtype, mode, target):
    torch.manual_seed(0)
    pairs = [(torch.rand(4, 6).to(dtype), torch.arange(4) % 3)]
    model = nn.Sequential(nn.Linear(6, 3)).to(dtype)
    work = Workload(model, pairs, tasks.Classification(3), search=pairs)
    assert len(run(work, mode=mode, target=target)) >= 3


def test_a_pass_that_raises_is_a_detected_error_and_flagged(run):
    class Strict(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if self.scale < 0:
                raise ValueError("negative")
            return (x * self.scale).round().long()  # integers: no NaN could say it

    work = Workload(Strict(), [torch.rand(5, 3)], lambda g, f, b: (g != f).any(1))
    (line,) = run(work, mode="exhaustive", bits="31")
    assert (line["due"], line["raised"], line["masked"]) == (5, 5, 0)


def test_a_workload_names_its_directory(reader, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = CampaignConfig(mode="random", trials=1, flips=(1,))
    named = Workload(reader.model, TOKENS, changed, name="my/work")
    assert str(run_campaign(config, reader).directory) == "runs/random-Reader-1"
    assert str(run_campaign(config, named).directory) == "runs/random-my-work-1"


class Clashing(Distance):
    def changed(self, golden, output, batch: Batch):
        return {"sdc": super().changed(golden, output, batch), "loss": (golden != output).any(1)}


def test_an_event_and_a_figure_of_one_name_are_refused_before_the_first_trial(run, tmp_path):
    work = Workload(nn.Linear(6, 2), [(torch.rand(4, 6), torch.rand(4, 2))], Clashing())
    with pytest.raises(FaultSimError, match="Clashing calls both an event and a figure 'loss'"):
        run(work)
    assert not list(tmp_path.iterdir())


class Unseen(nn.Module):
    """What its second layer computes is no part of the loss."""

    def __init__(self) -> None:
        super().__init__()
        self.head, self.other = nn.Linear(6, 2), nn.Linear(6, 2)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.head(x), self.other(x.detach()).detach()


class First(Distance):
    def changed(self, golden, output, batch: Batch) -> torch.Tensor:
        return super().changed(golden[0], output[0], batch)

    def loss(self, output, batch: Batch) -> torch.Tensor:
        return super().loss(output[0], batch)


def test_a_search_that_can_rank_nothing_says_so(run):
    pairs = [(torch.rand(4, 6), torch.rand(4, 2))]
    work = Workload(Unseen(), pairs, First(), search=pairs)
    settings = {"mode": "worst-case", "target": "activations"}
    with pytest.raises(FaultSimError, match=r"finds no bit to rank in 1 sites.*such as other"):
        run(work, **settings, include=("other",))
    assert run(work, **settings)


class Fragile(nn.Module):
    """Raises where its scale is not what it should be by far."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.scale.abs() > 10:
            raise ValueError("too large")
        return x * self.scale


def test_the_summary_says_how_many_trials_a_mean_leaves_out(tmp_path):
    x = torch.rand(4, 2) + 1
    work = Workload(Fragile(), [(x, x)], Distance())
    config = CampaignConfig(mode="exhaustive", bits="21-30", out=str(tmp_path / "x"))
    (cell,) = run_campaign(config, work).cells
    raised = round(cell.rates["due"].value * cell.trials)
    assert raised > 0
    assert cell.left_out == {"closeness": raised, "loss": raised}
    assert cell.accuracy.n == cell.trials - raised
    summary = json.loads((tmp_path / "x" / "summary.json").read_text())
    assert summary["cells"][0]["left_out"] == cell.left_out


def test_a_task_that_tells_other_events_of_another_batch_is_refused(tmp_path):
    """Of which batches a rate would be is then told to nobody."""

    def changed(golden, faulty, batch):
        differs = (golden != faulty).any(1)
        return {"sdc": differs, **({"large": differs} if batch.size == 4 else {})}

    work = Workload(nn.Linear(3, 2).eval(), [torch.randn(4, 3), torch.randn(2, 3)], changed)
    config = CampaignConfig(mode="random", trials=2, out=str(tmp_path / "a"))
    with pytest.raises(ConfigError, match="the same events of each batch: sdc, large; sdc"):
        run_campaign(config, work)
