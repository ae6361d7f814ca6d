"""Sequences of tokens that a model writes by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch.nn import functional

from faultsim.errors import ConfigError
from faultsim.workload import tokens
from faultsim.workload.batch import Batch
from faultsim.workload.readout import mean, named
from faultsim.workload.task import Events, Task
from faultsim.workload.teacher import FORCED

Tokens = list[int]
IGNORED = -100


class Generation(Task):
    """A sample is corrupted when its greedy continuation is another.

    The output is whole numbers, (n, t): tokens, or what it calls ``sequences``; or a list of n
    tensors of any lengths. A prompt that it begins with, as ``generate`` gives it back, is no part
    of the continuation; what follows an ``eos`` in it is filling. Without ``eos``, where one run
    wrote more columns than the other, rows are compared as far as both go: a row that is alike so
    far would have gone on alike, and is being filled up while others go on.

    Raw ``logits`` or ``scores`` of the steps, where the output has them, are compared bit for bit
    and tell a detected error; tokens are always finite.

    Events are ``first-token``, where the first one written differs already, and ``length``, where
    the continuation ends elsewhere. Figures of a run: ``first_difference``, the mean position, from
    0, of the first token of a corrupted continuation that differs from the golden one; ``length``,
    the mean number of tokens written, the ``eos`` included; and with targets, (n, k) tokens with
    -100 where there is none, ``exact_match``, the share of continuations that are these.

    A worst-case search needs a loss, which :func:`~faultsim.tasks.teacher_forced` gives.
    """

    ranges: ClassVar = {"exact_match": (0.0, 1.0)}

    def __init__(
        self, *, eos: int | Sequence[int] | None = None, prompt: int | None = None
    ) -> None:
        """Says where a continuation begins and ends.

        Args:
            eos: The token, or tokens, that end one; None for none.
            prompt: How many tokens at the start of an output were given. None: as many as the
                input ids where the output begins with them, else none.
        """
        self.eos = frozenset([eos] if isinstance(eos, int) else eos or ())
        self.prompt = prompt

    def check(self, output: Any, batch: Batch) -> None:
        rows, steps = tokens.rows(output), tokens.steps(output)
        if rows is None or len(rows) != batch.size:
            raise ConfigError(
                "a generation gives tokens: (n, t) whole numbers, or a list of n tensors; let "
                "forward call generate"
            )
        if steps is not None and len(steps) != batch.size:
            raise ConfigError("scores of several beams a sample: only greedy search is compared")
        wanted = batch.targets
        if wanted is not None and (not isinstance(wanted, torch.Tensor) or wanted.ndim != 2):
            raise ConfigError("targets of a generation are tokens (n, k), -100 where there is none")

    def samples(self, output: Any, size: int) -> Sequence[Any]:
        rows, steps = _lists(output), tokens.steps(output)
        if steps is None:
            return [_whole(tokens.unfilled(row, self.eos)) for row in rows]
        found = []
        for row, scores in zip(rows, steps, strict=True):
            start = max(len(row) - len(scores), 0)
            new = tokens.written(row[start:], self.eos)
            found.append((_whole(row[:start] + new), scores[: len(new)]))
        return found

    def changed(self, golden: Any, output: Any, batch: Batch) -> Events:
        pairs = self._pairs(golden, output, batch)
        places = [self._difference(golden, *pair) for pair in pairs]
        ended = [
            place is not None and len(was) != len(now)
            for place, (was, now) in zip(places, pairs, strict=True)
        ]
        return {
            "sdc": torch.tensor([place is not None for place in places]),
            "first-token": torch.tensor([place == 0 for place in places]),
            "length": torch.tensor(ended),
        }

    def loss(self, output: Any, batch: Batch) -> torch.Tensor:
        """The mean cross entropy of the continuation's tokens, each given those before it."""
        logits = output.get(FORCED) if isinstance(output, Mapping) else None
        if logits is None:
            raise ConfigError(
                "generate records no gradient: wrap the forward in faultsim.tasks.teacher_forced, "
                "or search with a LanguageModel task and give what it finds as trials"
            )
        sequences, counts = output["sequences"], self._counts(output, batch)
        wide = torch.promote_types(logits.dtype, torch.float32)
        return functional.cross_entropy(logits[:, :-1][counts].to(wide), sequences[:, 1:][counts])

    def scores(
        self, outputs: Sequence[Any], batches: Sequence[Batch]
    ) -> Mapping[str, float | int | None]:
        told = [self._written(*pair) for pair in zip(outputs, batches, strict=True)]
        lengths = [len(row) for rows in told for row in rows]
        figures = {"mean_length": mean(torch.tensor(lengths))}
        if all(batch.targets is not None for batch in batches):
            wanted = [self._wanted(batch.targets) for batch in batches]
            right = [
                one == other
                for pair in zip(told, wanted, strict=True)
                for one, other in zip(*pair, strict=True)
            ]
            figures["exact_match"] = mean(torch.tensor(right))
        return figures

    def deviations(
        self, golden: Sequence[Any], outputs: Sequence[Any], batches: Sequence[Batch]
    ) -> Mapping[str, float | int | None]:
        places = [
            self._difference(was, *pair)
            for was, now, batch in zip(golden, outputs, batches, strict=True)
            for pair in self._pairs(was, now, batch)
        ]
        found = [place for place in places if place is not None]
        return {"first_difference": mean(torch.tensor(found))}

    def _pairs(self, golden: Any, output: Any, batch: Batch) -> list[tuple[Tokens, Tokens]]:
        """The continuations of each sample, without faults and with."""
        start = self._start(golden, batch)
        both = (self._written(each, batch, start) for each in (golden, output))
        return list(zip(*both, strict=True))

    def _difference(self, golden: Any, was: Tokens, now: Tokens) -> int | None:
        lengths = bool(self.eos) or isinstance(golden, list)
        return tokens.difference(was, now, lengths=lengths)

    def _written(self, output: Any, batch: Batch, start: int | None = None) -> list[Tokens]:
        start = self._start(output, batch) if start is None else start
        return [tokens.written(row[start:], self.eos) for row in _lists(output)]

    def _wanted(self, targets: torch.Tensor) -> list[Tokens]:
        rows = ([token for token in row if token != IGNORED] for row in targets.tolist())
        return [tokens.written(row, self.eos) for row in rows]

    def _counts(self, output: Any, batch: Batch) -> torch.Tensor:
        """(n, t - 1) bool, which tokens but the first were written."""
        counts = torch.zeros_like(output["sequences"], dtype=torch.bool)
        start = max(self._start(output, batch), 1)
        for flags, row in zip(counts, self._written(output, batch, start), strict=True):
            flags[start : start + len(row)] = True
        return counts[:, 1:]

    def _start(self, output: Any, batch: Batch) -> int:
        """How many tokens of each row were given."""
        if self.prompt is not None:
            return self.prompt
        told, steps, given = named(output, "sequences"), tokens.steps(output), tokens.ids(batch)
        if isinstance(output, list) or not isinstance(told, torch.Tensor):
            return 0
        if steps is not None:
            return max(told.shape[1] - steps.shape[1], 0)
        if given is None or given.ndim != 2 or told.shape[1] < given.shape[1]:
            return 0
        alike = told[:, : given.shape[1]].cpu() == given.cpu()
        # Most, not all: a fault in the inputs may have struck some of them.
        return given.shape[1] if alike.double().mean() > 0.5 else 0


def _lists(output: Any) -> list[Tokens]:
    return [row.tolist() for row in tokens.rows(output) or []]


def _whole(row: Tokens) -> torch.Tensor:
    return torch.tensor(row, dtype=torch.int64)
