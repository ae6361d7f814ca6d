"""What bit flips do to a language model: its perplexity, and what it writes.

    pip install faultsim
    python examples/language_model.py

A small recurrent network learns, in seconds, to write sentences of a toy language character by
character. Two tasks look at it: LanguageModel at how well it foretells a text, Generation at how it
goes on from the beginning of a sentence.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

import faultsim
from faultsim.report import write_report

ALPHABET = "\n abcdefghijklmnopqrstuvwxyz."
END = ALPHABET.index("\n")
WORDS = (
    "a the one",
    "small old red",
    "fox owl hare",
    "sees hears follows",
    "a the one",
    "tree stone",
)
LENGTH, PROMPT = 36, 8


class Writer(nn.Module):
    """Characters in, (n, t); logits of the next at each position out, (n, t, characters)."""

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        self.embed = nn.Embedding(len(ALPHABET), width)
        self.rnn = nn.GRU(width, width, batch_first=True)
        self.head = nn.Linear(width, len(ALPHABET))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.rnn(self.embed(ids))[0])
        return logits


def sentences(count: int, seed: int) -> torch.Tensor:
    """(count, LENGTH) characters, filled up with line breaks."""
    random = torch.Generator().manual_seed(seed)
    rows = torch.full((count, LENGTH), END)
    for row in rows:
        words = [choice.split() for choice in WORDS]
        drawn = [w[int(torch.randint(len(w), (), generator=random))] for w in words]
        text = torch.tensor([ALPHABET.index(letter) for letter in " ".join(drawn) + "."])
        row[: len(text)] = text
    return rows


def trained(steps: int = 150) -> Writer:
    """The same writer each time."""
    torch.manual_seed(0)
    model, texts = Writer(), sentences(512, seed=0).split(32)
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    for step in range(steps):
        ids = texts[step % len(texts)]
        loss = functional.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model.eval()


def write(model: nn.Module, prompt: torch.Tensor) -> torch.Tensor:
    """The prompt and what the model takes to come next, up to LENGTH characters."""
    ids = prompt
    while ids.shape[1] < LENGTH:
        ids = torch.cat([ids, model(ids)[:, -1:].argmax(2)], dim=1)
    return ids


def main(
    out: str | Path = "runs/language",
    trials: int = 100,
    samples: int = 32,
    steps: int = 150,
    flips: tuple[int, ...] = (1, 2),
) -> Path:
    """Campaigns of both tasks, a worst-case search, and a report of all.

    Args:
        out: A folder.
        trials: Of each campaign.
        samples: How many sentences.
        steps: Of training.
        flips: How many at once.
    """
    model, text, seen = trained(steps), sentences(samples, seed=1), sentences(samples, seed=2)
    tasks = faultsim.tasks
    told = faultsim.Workload(model, text, tasks.LanguageModel(), search=seen, name="foretelling")
    written = faultsim.Workload(
        model, text[:, :PROMPT], tasks.Generation(eos=END), write, name="writing"
    )
    for work, mode in ((told, "random"), (told, "worst-case"), (written, "random")):
        config = faultsim.CampaignConfig(
            mode=mode, flips=flips, trials=trials, out=f"{out}/{work.name}-{mode}"
        )
        faultsim.run_campaign(config, work)
    return write_report([out]).page


if __name__ == "__main__":
    print(main())
