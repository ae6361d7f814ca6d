"""Tokens scored at every position: causal, masked and sequence-to-sequence language models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from torch.nn import functional

from faultsim.errors import ConfigError
from faultsim.workload.batch import Batch
from faultsim.workload.readout import mean, named, number
from faultsim.workload.task import Events, Task
from faultsim.workload.tokens import ids

ANY_TOKEN, NEXT_TOKEN = "any-token", "next-token"


class LanguageModel(Task):
    """A sample is corrupted when the likeliest token at any counted position is another.

    The logits are (n, t, vocabulary): the output, or what it calls ``logits``. Targets are labels
    as transformers has them, (n, t) with the tokens themselves, -100 where nothing is asked; or
    without labels the input ids. A causal model's are shifted here, as transformers does: position
    i is asked for token i + 1. What the batch calls ``attention_mask`` says what is padding; it
    does not count, as target or as what a target is told from. Without the shift labels alone say
    what counts, for the mask may be an encoder's.

    Events are ``any-token``, and ``next-token``: the token after the sample's last position.

    Figures of a run: ``loss``, the mean cross entropy of all counted tokens, in nats;
    ``perplexity``, its exponential (Jelinek et al., 1977, "Perplexity: a measure of the difficulty
    of speech recognition tasks"); ``token_accuracy``, the share of tokens that are the likeliest.
    """

    objective = "token_accuracy"
    ranges: ClassVar = {"token_accuracy": (0.0, 1.0)}

    def __init__(self, *, shift: bool = True, last: bool = False, ignore: int = -100) -> None:
        """Says which tokens count.

        Args:
            shift: Whether targets are the tokens themselves, of which each position is asked for
                the next (causal models). False for masked and sequence-to-sequence models, and
                for targets that are shifted already.
            last: Whether only the token after a sample's last position makes it corrupted.
            ignore: The label of what does not count.
        """
        self.shift, self.last, self.ignore = shift, last, ignore

    def check(self, output: Any, batch: Batch) -> None:
        logits = _logits(output)
        if not isinstance(logits, torch.Tensor) or logits.ndim != 3 or len(logits) != batch.size:
            raise ConfigError(
                f"a language model gives logits (n, t, vocabulary), not {_shape(logits)}; "
                "one row a sample is a Classification"
            )
        if not logits.is_floating_point():
            raise ConfigError(f"logits are real numbers, not {logits.dtype}")
        targets = ids(batch) if batch.targets is None else batch.targets
        if not isinstance(targets, torch.Tensor) or targets.is_floating_point():
            raise ConfigError("a language model needs labels or input_ids: (n, t) whole numbers")
        if targets.shape != logits.shape[:2]:
            raise ConfigError(
                f"the logits are {tuple(logits.shape)}, but the targets {tuple(targets.shape)}: "
                "give labels (n, t), -100 where nothing is asked"
            )
        wrong = targets[(targets != self.ignore) & ((targets < 0) | (targets >= logits.shape[2]))]
        if len(wrong):
            raise ConfigError(f"label {int(wrong[0])} is none of {logits.shape[2]} tokens")

    def samples(self, output: Any, size: int) -> Sequence[Any]:
        rows: Any = _logits(output)  # a tensor of rows is a sequence of samples
        return rows  # type: ignore[no-any-return]

    def changed(self, golden: Any, output: Any, batch: Batch) -> Events:
        was, now = _logits(golden), _logits(output)
        if was.shape != now.shape:
            other = torch.ones(batch.size, dtype=torch.bool)
            return {ANY_TOKEN: other, NEXT_TOKEN: other}
        differs = was.argmax(2) != now.argmax(2)
        counts = self._asked(was, batch).counts
        some = (differs[:, : counts.shape[1]] & counts).any(1)
        final = differs.gather(1, _last(self._real(batch))[:, None])[:, 0]
        if self.last:
            return {NEXT_TOKEN: final, ANY_TOKEN: some}
        return {ANY_TOKEN: some, NEXT_TOKEN: final}

    def loss(self, output: Any, batch: Batch) -> torch.Tensor:
        asked = self._asked(_logits(output), batch)
        if not asked.counts.any():
            raise ConfigError("no token of the batch counts, so the loss has no gradient")
        logits = asked.logits[asked.counts]
        wide = torch.promote_types(logits.dtype, torch.float32)
        return functional.cross_entropy(logits.to(wide), asked.targets[asked.counts])

    def scores(
        self, outputs: Sequence[Any], batches: Sequence[Batch]
    ) -> Mapping[str, float | int | None]:
        pairs = [(_logits(output), batch) for output, batch in zip(outputs, batches, strict=True)]
        if any(logits.shape[:2] != _targets(batch).shape for logits, batch in pairs):
            return {"loss": None, "perplexity": None, "token_accuracy": None}
        told = [_told(self._asked(logits, batch)) for logits, batch in pairs]
        losses, right = (torch.cat(parts) for parts in zip(*told, strict=True))
        loss = mean(losses)
        return {
            "loss": loss,
            "perplexity": None
            if loss is None
            else number(torch.tensor(loss, dtype=torch.float64).exp()),
            "token_accuracy": mean(right),
        }

    def _asked(self, logits: torch.Tensor, batch: Batch) -> _Asked:
        targets, real = (each.to(logits.device) for each in (_targets(batch), self._real(batch)))
        if not self.shift:
            return _Asked(logits, targets, real)
        told = _mask(batch, targets, shift=True)[:, :-1]
        return _Asked(logits[:, :-1], targets[:, 1:], real[:, 1:] & told)

    def _real(self, batch: Batch) -> torch.Tensor:
        """(n, t) which targets are no padding."""
        targets = _targets(batch)
        return (targets != self.ignore) & _mask(batch, targets, self.shift)


class _Asked(NamedTuple):
    """What each position is asked for: logits (n, s, v), targets (n, s), and whether it counts."""

    logits: torch.Tensor
    targets: torch.Tensor
    counts: torch.Tensor


def _told(asked: _Asked) -> tuple[torch.Tensor, torch.Tensor]:
    """Of every counted token its cross entropy, and whether it is the likeliest; none of NaN."""
    logits, targets = asked.logits[asked.counts].double(), asked.targets[asked.counts]
    right = (logits.argmax(1) == targets) & logits.isfinite().all(1)
    return functional.cross_entropy(logits, targets, reduction="none"), right


def _last(real: torch.Tensor) -> torch.Tensor:
    """(n,) the last position of each sample that is no padding."""
    places = torch.arange(real.shape[1], device=real.device).expand_as(real)
    return places.masked_fill(~real, 0).amax(1)


def _mask(batch: Batch, targets: torch.Tensor, shift: bool) -> torch.Tensor:
    """Which targets are no padding, as far as the batch tells."""
    every = torch.ones_like(targets, dtype=torch.bool)
    names = ["decoder_attention_mask"]
    if shift or batch.targets is None:
        names.append("attention_mask")
    inputs = batch.inputs if isinstance(batch.inputs, Mapping) else {}
    found = next((inputs[name] for name in names if inputs.get(name) is not None), every)
    return found.to(targets.device).bool() if found.shape == targets.shape else every


def _targets(batch: Batch) -> torch.Tensor:
    targets: Any = ids(batch) if batch.targets is None else batch.targets
    return targets.long()  # type: ignore[no-any-return]


def _logits(output: Any) -> Any:
    return named(output, "logits")


def _shape(found: Any) -> str:
    return str(tuple(found.shape)) if isinstance(found, torch.Tensor) else "none"
