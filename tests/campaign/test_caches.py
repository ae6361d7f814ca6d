"""Faults in what a language model keeps from step to step, against a loop of passes by hand."""

from __future__ import annotations

import copy
import json
import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from faultsim import CampaignConfig, FaultSimError, Workload, run_campaign, tasks
from faultsim.cli import main

TEXT = "the cat sat on the mat. a dog ran to the cat. the mat is flat. a rat ate the fat. "
ALPHABET = sorted(set(TEXT))
STEPS, PROMPT, WIDTH, TRIALS = 6, 6, 32, 8


def windows(length: int, stride: int) -> torch.Tensor:
    ids = torch.tensor([ALPHABET.index(letter) for letter in TEXT])
    return ids.unfold(0, length, stride)


class Kept(list):
    """What a writer keeps: keys and values, (n, tokens, width)."""


class Writer(nn.Module):
    """A causal transformer of one layer, over characters, that goes on from what it has kept."""

    def __init__(self, width: int = WIDTH, longest: int = 32) -> None:
        super().__init__()
        self.token, self.place = nn.Embedding(len(ALPHABET), width), nn.Embedding(longest, width)
        self.query, self.mix = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.head = nn.Linear(width, len(ALPHABET))

    def forward(self, ids: torch.Tensor, cache: Kept | None = None) -> torch.Tensor:
        before = cache[0].shape[1] if cache else 0
        x = self.token(ids) + self.place(torch.arange(before, before + ids.shape[1]))
        q, k, v = self.query(x).chunk(3, dim=-1)
        if cache:
            k, v = torch.cat([cache[0], k], 1), torch.cat([cache[1], v], 1)
        if cache is not None:
            cache[:] = k, v
        seen = torch.ones(ids.shape[1], k.shape[1], dtype=torch.bool).tril(before)
        x = x + self.mix(functional.scaled_dot_product_attention(q, k, v, attn_mask=seen))
        logits: torch.Tensor = self.head(x + self.down(functional.gelu(self.up(x))))
        return logits


@pytest.fixture(scope="module")
def writer() -> nn.Module:
    torch.manual_seed(0)
    model, ids = Writer(), windows(17, 1)
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
    def go(work: Workload, name: str = "run", **settings) -> list[dict]:
        usual = {"mode": "random", "trials": TRIALS, "flips": (1,), "target": "kv-cache"}
        run_campaign(CampaignConfig(**usual | {"out": str(tmp_path / name)} | settings), work)
        text = (tmp_path / name / "trials-0.jsonl").read_text()
        return [json.loads(line) for line in text.splitlines()]

    return go


def read(model: nn.Module, ids: torch.Tensor, struck: dict | None = None) -> torch.Tensor:
    """(n, t, characters) logits, token by token."""
    cache, found = Kept(), []
    for step, token in enumerate(ids.split(1, dim=1)):
        strike(cache, step, struck)
        found.append(model(token, cache))
    return torch.cat(found, 1)


def write(model: nn.Module, prompt: torch.Tensor, struck: dict | None = None) -> torch.Tensor:
    """The prompt and the next characters."""
    cache, ids = Kept(), prompt
    for step in range(STEPS):
        strike(cache, step, struck)
        new = ids if step == 0 else ids[:, -1:]
        ids = torch.cat([ids, model(new, cache)[:, -1:].argmax(2)], dim=1)
    return ids


def strike(cache: Kept, step: int, fault: dict | None) -> None:
    """Flips the bit in every sample, by hand."""
    if fault is None or step != fault["step"]:
        return
    part = int(fault["tensor"][-1])
    cache[part] = words = cache[part].clone()
    row, column = divmod(fault["index"], WIDTH)
    words.view(torch.int32)[:, row, column] ^= fault["mask"]


def test_a_text_read_under_faults_is_the_loop_under_them(run, writer):
    batches = list(windows(12, 5).split(5))
    lines = run(Workload(writer, batches, tasks.LanguageModel(), read), bits="28-30", seed=3)
    for line in lines:
        (fault,), losses, due, sdc = line["faults"], [], 0, 0
        with torch.no_grad():
            pairs = [(read(writer, ids), read(writer, ids, fault)) for ids in batches]
        for ids, golden, faulty in zip(batches, *zip(*pairs, strict=True), strict=True):
            for row, was, now in zip(ids, golden, faulty, strict=True):
                finite = bool(now.isfinite().all())
                due += not finite
                sdc += finite and bool((was[:-1].argmax(1) != now[:-1].argmax(1)).any())
                scores = now[:-1].double().log_softmax(1)
                losses += scores[torch.arange(len(row) - 1), row[1:]].neg().tolist()
        assert (line["due"], line["sdc"]) == (due, sdc)
        loss = sum(losses) / len(losses)
        if not due and loss < 700:
            assert line["metrics"]["loss"] == pytest.approx(loss)
            assert line["metrics"]["perplexity"] == pytest.approx(math.exp(loss))
    assert {line["faults"][0]["step"] for line in lines} <= set(range(1, 12))
    assert any(line["sdc"] for line in lines)


@pytest.mark.parametrize("lengths", [(PROMPT,), (PROMPT, PROMPT - 2)], ids=["alike", "ragged"])
def test_what_is_written_under_faults_is_the_loop_under_them(run, writer, lengths):
    prompts = [windows(length, 7)[:4] for length in lengths]
    work, settings = Workload(writer, prompts, tasks.Generation(), write), {"bits": "28-30"}
    lines = run(work, trials=24, **settings)
    assert lines == run(work, "whole", trials=24, replay=False, **settings)
    changed = compared = 0
    for line in lines:
        (fault,) = line["faults"]
        row = fault["index"] // WIDTH
        if row >= min(lengths) + fault["step"] - 1:
            continue  # of the shorter prompts, another word stands for it
        with torch.no_grad():
            pairs = [(write(writer, ids), write(writer, ids, fault)) for ids in prompts]
        changed += (found := sum(int((a != b).any(1).sum()) for a, b in pairs))
        assert line["sdc"] == found
        compared += 1
    assert compared > 10
    assert changed


def test_a_search_ranks_what_is_kept_from_step_to_step(run, writer):
    ids = windows(7, 5)[:3]
    work = Workload(writer, [ids], tasks.LanguageModel(), read, search=[ids])
    lines = run(work, mode="worst-case", trials=4, bits="20-28")
    losses = {"worst-case": [], "random": []}
    for line in lines:
        if line["cell"].get("split") != "val":
            losses[line["cell"]["curve"]].append(line["metrics"]["loss"])
    assert min(losses["worst-case"]) > max(losses["random"])


def test_a_search_that_cannot_rank_says_so(run, writer):
    prompts = windows(PROMPT, 7)[:4]
    forward = tasks.teacher_forced(write)
    work = Workload(writer, [prompts], tasks.Generation(), forward, search=[prompts])
    with pytest.raises(FaultSimError, match="cannot rank a kv-cache") as error:
        run(work, mode="worst-case")
    assert "\n" not in str(error.value)


def test_what_the_caller_keeps_is_as_before(run, writer):
    ids, cache = windows(PROMPT, 7)[:4], Kept()
    with torch.no_grad():
        writer(ids, cache)
    held, words = list(cache), copy.deepcopy(list(cache))
    batch = {"ids": ids[:, -1:], "cache": cache}
    work = Workload(writer, [batch], lambda g, f, b: (g != f).flatten(1).any(1), on_keywords)
    lines = run(work, bits="30")
    assert any(line["sdc"] for line in lines)
    assert {fault["step"] for line in lines for fault in line["faults"]} == {0}
    assert all(one is other for one, other in zip(cache, held, strict=True))
    assert all(map(torch.equal, cache, words))


def on_keywords(model: nn.Module, batch: dict) -> torch.Tensor:
    found: torch.Tensor = model(**batch)
    return found


CODE = """
import torch
from torch import nn
import faultsim


class Counts(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.step = nn.Linear(3, 3)

    def forward(self, x, state=None):
        return torch.tanh(self.step(x) + (0 if state is None else state))


def unrolled(model, x):
    state = None
    for part in x.unbind(1):
        state = model(part, state)
    return state


def work():
    x = torch.rand(6, 4, 3)
    moved = lambda golden, faulty, batch: ((golden - faulty).abs() > 0.01).any(1)
    return faultsim.Workload(Counts(), [x], moved, unrolled, name="counts")
"""


def test_it_is_a_target_of_every_command(tmp_path, monkeypatch, capsys):
    (tmp_path / "own_caches.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    where = ["--workload", "own_caches:work", "--target", "kv-cache"]

    def shown(*argv: str) -> str:
        assert main(list(argv)) == 0
        return capsys.readouterr().out

    inspected = shown("inspect", *where, "--replay")
    assert "(cache)" in inspected
    assert "4 steps" in inspected
    assert "in a run from the start" in " ".join(inspected.split())
    shown("campaign", *where, "--mode", "random", "--flips", "1", "--trials", "3", "--out", "a")
    assert "The outcome is the same" in shown("reproduce", "a", "--trial", "1", "--trust-code")
    estimate = [*where, "--mode", "estimate", "--margin", "0.3"]
    assert "What it takes" in shown("plan", *estimate)
    assert "(cache)" in shown("campaign", *estimate, "--out", "b")
