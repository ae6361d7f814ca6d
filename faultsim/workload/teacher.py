"""A pass that records a gradient, for a model whose own way to write records none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from faultsim.workload.readout import named
from faultsim.workload.workload import Forward

FORCED = "forced"
"""What the logits of the pass are called, beside the ``sequences`` that they are of."""


def teacher_forced(generate: Forward) -> Forward:
    """A forward that generates, and where a gradient is wanted runs the model over all it wrote.

    So a :class:`~faultsim.tasks.Generation` has a loss by which a worst-case search can rank: that
    of the model's own continuation, each token given those before it (Williams and Zipser, 1989,
    "A learning algorithm for continually running fully recurrent neural networks"). Trials, which
    need no gradient, run as without.

    Args:
        generate: ``(model, batch)`` to tokens, (n, t), or what has them as ``sequences``, the
            prompt included (of an encoder with a decoder, the decoder's first token). The batch is
            a mapping with ``input_ids``, as transformers has it, or the tokens alone.
    """

    def forward(model: nn.Module, batch: Any) -> Any:
        if not torch.is_grad_enabled():
            return generate(model, batch)
        with torch.no_grad():
            tokens = named(generate(model, batch), "sequences")
        return {"sequences": tokens, FORCED: named(_run_over(model, batch, tokens), "logits")}

    return forward


def _run_over(model: nn.Module, batch: Any, tokens: torch.Tensor) -> Any:
    """The model's output where all of some tokens are given."""
    if not isinstance(batch, Mapping):
        return model(tokens)
    if getattr(getattr(model, "config", None), "is_encoder_decoder", False):
        given = {name: value for name, value in batch.items() if name != "labels"}
        return model(**{**given, "decoder_input_ids": tokens})
    mask = batch.get("attention_mask")
    if mask is None:
        return model(input_ids=tokens)
    written = tokens.shape[1] - mask.shape[1]
    return model(input_ids=tokens, attention_mask=functional.pad(mask, (0, written), value=1))
