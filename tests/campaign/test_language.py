"""Campaigns of language models give what a loop of forward passes by hand gives."""

from __future__ import annotations

import json
import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from faultsim import (
    CampaignConfig,
    FaultSimError,
    FaultSpace,
    Workload,
    inject,
    run_campaign,
    tasks,
)

TEXT = "the cat sat on the mat. a dog ran to the cat. the mat is flat. a rat ate the fat. "
ALPHABET = sorted(set(TEXT))
STOP, STEPS, TRIALS = ALPHABET.index("."), 10, 6


def windows(length: int, stride: int) -> torch.Tensor:
    ids = torch.tensor([ALPHABET.index(letter) for letter in TEXT])
    return ids.unfold(0, length, stride)


class Reader(nn.Module):
    """A causal transformer of one layer, over characters."""

    def __init__(self, width: int = 32, longest: int = 32) -> None:
        super().__init__()
        self.token, self.place = nn.Embedding(len(ALPHABET), width), nn.Embedding(longest, width)
        self.query, self.mix = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.head = nn.Linear(width, len(ALPHABET))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.token(ids) + self.place(torch.arange(ids.shape[1]))
        q, k, v = self.query(x).chunk(3, dim=-1)
        x = x + self.mix(functional.scaled_dot_product_attention(q, k, v, is_causal=True))
        return self.head(x + self.down(functional.gelu(self.up(x))))


@pytest.fixture(scope="module")
def reader() -> nn.Module:
    torch.manual_seed(0)
    model, ids = Reader(), windows(17, 1)
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(80):
        loss = functional.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss < 0.8  # of log(17) = 2.8 for one that knows nothing
    return model.eval()


@pytest.fixture
def run(tmp_path):
    def go(work: Workload, **settings) -> list[dict]:
        usual = {"mode": "random", "trials": TRIALS, "flips": (1,), "out": str(tmp_path / "run")}
        run_campaign(CampaignConfig(**usual | settings), work)
        text = (tmp_path / "run" / "trials-0.jsonl").read_text()
        return [json.loads(line) for line in text.splitlines()]

    return go


@pytest.mark.parametrize("target", ["weights", "activations"])
def test_perplexity_is_that_of_a_walk_over_the_text(run, reader, target):
    batches = list(windows(16, 5).split(5))
    lines = run(
        Workload(reader, batches, tasks.LanguageModel()), target=target, bits="28-30", seed=3
    )
    space = FaultSpace(reader, target, bits="28-30", inputs=batches[0])
    for trial, line in enumerate(lines):
        losses, right, due, sdc = [], 0, 0, 0
        with torch.no_grad():
            golden = [reader(ids) for ids in batches]
            with inject(reader, space.sample(1, seed=3, trial=trial)):
                faulty = [reader(ids) for ids in batches]
        for ids, was, now in zip(batches, golden, faulty, strict=True):
            for row, one, other in zip(ids, was, now, strict=True):
                due += not other.isfinite().all()
                moved = (one[:-1].argmax(1) != other[:-1].argmax(1)).any()
                sdc += bool(other.isfinite().all() and moved)
                for at, token in enumerate(row[1:].tolist()):
                    losses.append(-other[at].double().log_softmax(0)[token].item())
                    right += int(other[at].argmax()) == token and bool(other[at].isfinite().all())
        assert (line["due"], line["sdc"]) == (due, sdc)
        loss = sum(losses) / len(losses)
        found = line["metrics"]
        assert found["token_accuracy"] == pytest.approx(right / len(losses))
        if math.isfinite(loss) and loss < 700:
            assert found["loss"] == pytest.approx(loss)
            assert found["perplexity"] == pytest.approx(math.exp(loss))
        else:
            assert found["perplexity"] in (None, "inf")
    assert any(line["sdc"] for line in lines)


def write(model: nn.Module, prompt: torch.Tensor) -> torch.Tensor:
    ids = prompt
    for _ in range(STEPS):
        ids = torch.cat([ids, model(ids)[:, -1:].argmax(2)], dim=1)
    return ids


def first_difference(was: list[int], now: list[int], stop: int) -> int | None:
    """Where a continuation differs first, up to and with its end."""
    was, now = (row[: row.index(stop) + 1] if stop in row else row for row in (was, now))
    return next((k for k, (a, b) in enumerate(zip(was, now, strict=False)) if a != b), None)


def test_what_is_written_is_compared_character_by_character(run, reader):
    prompts = list(windows(6, 7).split(4))
    work = Workload(reader, prompts, tasks.Generation(eos=STOP), write)
    lines = run(work, bits="28-30", flips=(2,))
    space = FaultSpace(reader, bits="28-30")
    for trial, line in enumerate(lines):
        with torch.no_grad():
            golden = [row[6:].tolist() for ids in prompts for row in write(reader, ids)]
            with inject(reader, space.sample(2, seed=0, trial=trial)):
                faulty = [row[6:].tolist() for ids in prompts for row in write(reader, ids)]
        places = [first_difference(*pair, STOP) for pair in zip(golden, faulty, strict=True)]
        found = [place for place in places if place is not None]
        assert line["sdc"] == len(found)
        assert line["events"]["first-token"] == found.count(0)
        wanted = pytest.approx(sum(found) / len(found)) if found else None
        assert line["metrics"]["first_difference"] == wanted
    assert {line["sdc"] > 0 for line in lines} == {True, False}


SEARCHES = [
    {"target": "weights", "include": ("head", "mix")},
    {"target": "activations", "include": ("head", "mix", "down")},
]


@pytest.mark.parametrize("settings", SEARCHES, ids=str)
def test_worst_case_on_tokens_does_more_harm_than_chance(run, reader, settings):
    ids = windows(16, 5)
    work = Workload(reader, ids, tasks.LanguageModel(), search=windows(16, 3)[:4])
    lines = run(work, mode="worst-case", trials=4, **settings)
    curves = {}
    for line in lines:
        if "search" not in line["cell"]:
            name = line["cell"]["curve"]
            curves.setdefault(name, []).append(line["metrics"]["token_accuracy"])
    assert max(curves["worst-case"]) < min(curves["random"])


def test_worst_case_of_what_is_written_needs_a_teacher(run, reader):
    prompts, task = windows(6, 7)[:4], tasks.Generation(eos=STOP)
    settings = {"mode": "worst-case", "trials": 3, "include": ("head",)}
    taught = Workload(reader, prompts, task, tasks.teacher_forced(write), prompts)
    lines = run(taught, **settings)
    found = [line for line in lines if line["cell"] == {"curve": "worst-case", "flips": 1}]
    assert found[0]["sdc"] == found[0]["n"] == 4
    alone = Workload(reader, prompts, task, write, prompts)
    with pytest.raises(FaultSimError, match="teacher_forced"):
        run(alone, **settings, out=None)


def configured(name: str) -> nn.Module:
    """A model of transformers, with random weights."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(1)
    small = {"vocab_size": 40, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    if name == "gpt2":
        config = transformers.GPT2Config(n_embd=16, n_layer=2, n_head=2, n_positions=32, **small)
        return transformers.GPT2LMHeadModel(config).eval()
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1}
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(**sizes, **heads, **small)).eval()


def padded(seed: int, n: int = 3, t: int = 6) -> dict[str, torch.Tensor]:
    """Prompts filled up on the left."""
    ids = torch.randint(3, 40, (n, t), generator=torch.Generator().manual_seed(seed))
    mask = torch.ones_like(ids)
    mask[0, :2], ids[0, :2] = 0, 0
    return {"input_ids": ids, "attention_mask": mask}


def generate(model: nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    return model.generate(**batch, max_new_tokens=STEPS, do_sample=False)


def by_hand(model: nn.Module, batch: dict[str, torch.Tensor]) -> list[list[int]]:
    """The continuations, each token from a pass over all before it: no cache."""
    ids, mask = batch["input_ids"], batch["attention_mask"]
    for _ in range(STEPS):
        places = (mask.cumsum(1) - 1).clamp_min(0)
        logits = model(ids, attention_mask=mask, position_ids=places, use_cache=False).logits
        ids = torch.cat([ids, logits[:, -1:].argmax(2)], dim=1)
        mask = functional.pad(mask, (0, 1), value=1)
    return ids[:, batch["input_ids"].shape[1] :].tolist()


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_generate_with_its_cache_is_a_loop_of_whole_passes(run, name):
    model, batches = configured(name), [padded(0), padded(1)]
    lines = run(Workload(model, batches, tasks.Generation(eos=2), generate), bits="29-30", seed=1)
    space = FaultSpace(model, bits="29-30")
    for trial, line in enumerate(lines):
        with torch.no_grad():
            golden = [row for batch in batches for row in by_hand(model, batch)]
            with inject(model, space.sample(1, seed=1, trial=trial)):
                faulty = [row for batch in batches for row in by_hand(model, batch)]
        places = [first_difference(*pair, 2) for pair in zip(golden, faulty, strict=True)]
        assert line["due"] == 0
        assert line["sdc"] == sum(place is not None for place in places)
    assert {line["sdc"] > 0 for line in lines} == {True, False}


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_the_loss_is_the_one_that_transformers_computes(name):
    model, batch = configured(name), padded(2)
    ids = batch["input_ids"].flip(1)  # filled up on the right
    batch = {"input_ids": ids, "attention_mask": batch["attention_mask"].flip(1)}
    labels = ids.masked_fill(batch["attention_mask"] == 0, -100)
    with torch.no_grad():
        output = model(**batch, labels=labels)
    found = {}
    for name, work in {
        "with": Workload(model, [{**batch, "labels": labels}], tasks.LanguageModel()),
        "without": Workload(model, [batch], tasks.LanguageModel()),
    }.items():
        read = work.read("test")
        found[name] = work.task.scores([output], read)["loss"]
        assert work.task.loss(output, read[0]).item() == pytest.approx(output.loss.item())
    assert found["with"] == found["without"] == pytest.approx(output.loss.item())


@pytest.mark.parametrize(
    ("task", "target"),
    [
        ("LanguageModel", "weights"),
        ("LanguageModel", "activations"),
        ("Generation", "weights"),  # the outputs of a decode step have no place in the taught pass
    ],
)
def test_worst_case_of_a_model_of_transformers(run, target, task):
    model, batches = configured("gpt2"), [padded(0)]
    judged = tasks.LanguageModel() if task == "LanguageModel" else tasks.Generation(eos=2)
    forward = None if task == "LanguageModel" else tasks.teacher_forced(generate)
    work = Workload(model, batches, judged, forward, batches)
    settings = {"mode": "worst-case", "trials": 2, "target": target, "bits": "exponent"}
    lines = run(work, **settings, include=("*ln_f*", "*mlp*"))
    found = [line for line in lines if line["cell"] == {"curve": "worst-case", "flips": 1}]
    assert found[0]["sdc"] > 0
