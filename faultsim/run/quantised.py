"""What torch.ao's quantised functions do, done with real numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch.nn import functional

Tensor = torch.Tensor
Real = Callable[..., Any]


class Opened(NamedTuple):
    """A packed object of torch, opened.

    Attributes:
        object: As it was, for its strides and paddings.
        weights: Real ones; two of a recurrent layer, of the input and of the hidden state.
        biases: As many; None for none.
    """

    object: Any
    weights: list[Tensor]
    biases: list[Tensor | None]

    @property
    def pair(self) -> tuple[Tensor, Tensor | None]:
        """The one weight and its bias."""
        return self.weights[0], self.biases[0]


def _linear(x: Tensor, packed: Opened, *_: Any, **__: Any) -> Tensor:
    return functional.linear(x, *packed.pair)


def _convolution(dimensions: int) -> Real:
    def done(x: Tensor, packed: Opened, *_: Any, **__: Any) -> Tensor:
        own = packed.object
        turned = "_transpose" if own.transpose() else ""
        function = getattr(functional, f"conv{turned}{dimensions}d")
        sizes = [own.stride(), own.padding(), own.dilation()]
        stride, padding, dilation = (list(each)[-dimensions:] for each in sizes)
        weight, bias = packed.pair
        if dimensions == 1 and weight.ndim == 4:  # torch packs it as one of two dimensions
            weight = weight.squeeze(2)
        rest = {"stride": stride, "padding": padding, "dilation": dilation, "groups": own.groups()}
        if turned:
            rest["output_padding"] = list(own.output_padding())[-dimensions:]
        found: Tensor = function(x, weight, bias, **rest)
        return found

    return done


def _embedding(packed: Opened, indices: Tensor, *_: Any, **__: Any) -> Tensor:
    return functional.embedding(indices, packed.weights[0])


def _recurrent(function: Real) -> Real:
    """Of all layers; the arguments that torch's own has not are left out."""

    def done(x: Tensor, *args: Any, **_: Any) -> Any:
        cells = next(
            i for i, arg in enumerate(args) if isinstance(arg, (tuple, list)) and _are(arg)
        )
        flat = [t for cell in args[cells] for t in (*cell.weights, *cell.biases) if t is not None]
        return function(x, *args[:cells], flat, *args[cells + 1 :])

    return done


def _are(values: Any) -> bool:
    return any(isinstance(value, Opened) for value in values)


def _cell(function: Real) -> Real:
    def done(x: Tensor, state: Any, own: Opened, other: Opened, *biases: Tensor) -> Any:
        return function(x, state, own.weights[0], other.weights[0], *biases)

    return done


def _norm(function: Real) -> Real:
    """Without the scale and the zero point of the output, which come last."""

    def done(
        *args: Any, output_scale: Any = None, output_zero_point: Any = None, **rest: Any
    ) -> Any:
        return function(*(args if output_scale is not None else args[:-2]), **rest)

    return done


def _batch_norm(x: Tensor, weight: Any, bias: Any, mean: Tensor, var: Tensor, eps: float) -> Tensor:
    return functional.batch_norm(x, mean, var, weight, bias, eps=eps)


def _then(first: Real, second: Real) -> Real:
    return lambda *args, **rest: second(first(*args, **rest))


_PLAIN: dict[str, Real] = {
    "linear": _linear,
    "linear_dynamic": _linear,
    "linear_tanh": _then(_linear, torch.tanh),
    **{f"conv{n}d": _convolution(n) for n in (1, 2, 3)},
    **{f"conv_transpose{n}d": _convolution(n) for n in (1, 2, 3)},
    **{f"conv{n}d_dynamic": _convolution(n) for n in (1, 2, 3)},
    **{f"conv_transpose{n}d_dynamic": _convolution(n) for n in (1, 2, 3)},
    "embedding_byte": _embedding,
    "add": lambda a, b, *_, **__: a + b,
    "mul": lambda a, b, *_, **__: a * b,
    "matmul": lambda a, b, *_, **__: a @ b,
    "cat": lambda parts, dim=0, *_, **__: torch.cat(parts, dim),
    "sigmoid": lambda x, *_, **__: torch.sigmoid(x),
    "hardswish": lambda x, *_, **__: functional.hardswish(x),
    "relu6": lambda x, *_, **__: functional.relu6(x),
    "leaky_relu": lambda x, slope, *_, **__: functional.leaky_relu(x, slope),
    "prelu": lambda x, weight, *_, **__: functional.prelu(x, weight),
    "softmax": lambda x, dim, *_, **__: torch.softmax(x, dim),
    "elu": lambda x, *_, **__: functional.elu(x),
    "layer_norm": _norm(functional.layer_norm),
    "group_norm": _norm(functional.group_norm),
    "batch_norm2d": _norm(_batch_norm),
    "batch_norm3d": _norm(_batch_norm),
    "quantized_lstm_cell_dynamic": _cell(torch.lstm_cell),
    "quantized_gru_cell_dynamic": _cell(torch.gru_cell),
    "quantized_rnn_tanh_cell_dynamic": _cell(torch.rnn_tanh_cell),
    "quantized_rnn_relu_cell_dynamic": _cell(torch.rnn_relu_cell),
}

_RELU = (
    "linear",
    *(f"conv{n}d" for n in (1, 2, 3)),
    "add",
    "mul",
    "cat",
    "batch_norm2d",
    "batch_norm3d",
)

DONE: dict[str, Real] = {
    **{f"quantized::{name}": real for name, real in _PLAIN.items()},
    **{f"quantized::{name}_relu": _then(_PLAIN[name], torch.relu) for name in _RELU},
    "quantized::linear_relu_dynamic": _then(_linear, torch.relu),
    "aten::quantized_lstm": _recurrent(torch.lstm),
    "aten::quantized_gru": _recurrent(torch.gru),
}
"""By qualified name."""


def name_of(function: Any) -> str:
    """The qualified name of an operator of torch; empty for other functions."""
    packet = getattr(function, "overloadpacket", function)
    return str(getattr(packet, "_qualified_op_name", ""))
