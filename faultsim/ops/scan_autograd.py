"""The native scan as a torch operator with a gradient.

Plain custom operators inside ``autograd.Function``: that combination works under autograd,
torch.func and torch.compile alike.
"""

from __future__ import annotations

from typing import Any, NoReturn

import torch

from faultsim.errors import FaultError
from faultsim.ops._native import native

Tensor = torch.Tensor
_INPUTS = (
    "Tensor u, Tensor delta, Tensor A, Tensor B, Tensor C, Tensor? D, Tensor? delta_bias, "
    "bool delta_softplus"
)


@torch.library.custom_op(
    "faultsim::selective_scan",
    mutates_args=(),
    schema=f"({_INPUTS}, Tensor? state_faults) -> Tensor",
)
def scan_forward(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    delta_bias: Tensor | None,
    delta_softplus: bool,
    state_faults: Tensor | None,
) -> Tensor:
    """(batch, dim, length) contiguous; all of one dtype, float32 or float64, on the CPU."""
    inputs = [_contiguous(t) for t in (u, delta, A, B, C, D, delta_bias)]
    y = torch.empty(u.shape, dtype=u.dtype)
    faults = [] if state_faults is None else [tuple(row) for row in state_faults.tolist()]
    scan = _scan(inputs, B.shape, delta_softplus)
    native().scan_forward(scan, y.data_ptr(), faults, torch.get_num_threads())
    return y


@scan_forward.register_fake
def _(u: Tensor, *rest: Any) -> Tensor:
    return torch.empty(u.shape, dtype=u.dtype, device=u.device)


@torch.library.custom_op(
    "faultsim::selective_scan_backward",
    mutates_args=(),
    schema=f"(Tensor dy, {_INPUTS}) -> Tensor[]",
)
def scan_backward(
    dy: Tensor,
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    delta_bias: Tensor | None,
    delta_softplus: bool,
) -> list[Tensor]:
    """The gradients of the seven inputs; empty for those that are None."""
    inputs = [_contiguous(t) for t in (u, delta, A, B, C, D, delta_bias)]
    grads = _empty_grads(u, inputs)
    dy = dy.contiguous()
    pointers = (dy.data_ptr(), *(g.data_ptr() if g.numel() else 0 for g in grads))
    scan = _scan(inputs, B.shape, delta_softplus)
    native().scan_backward(scan, pointers, torch.get_num_threads())
    return grads


@scan_backward.register_fake
def _(dy: Tensor, *rest: Any) -> list[Tensor]:
    return _empty_grads(rest[0], list(rest[:7]))


def _contiguous(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.contiguous()


def _empty_grads(like: Tensor, inputs: list[Tensor | None]) -> list[Tensor]:
    return [like.new_empty(0 if tensor is None else tensor.shape) for tensor in inputs]


def _scan(inputs: list[Tensor | None], groups: torch.Size, softplus: bool) -> Any:
    u = inputs[0]
    assert u is not None
    shape = (*u.shape[:2], groups[1], u.shape[2], groups[2])  # batch, dim, groups, length, state
    pointers = tuple(0 if tensor is None else tensor.data_ptr() for tensor in inputs)
    return native().Scan(u.dtype == torch.float64, shape, pointers, softplus)


def _one_by_one(function: Any, info: Any, in_dims: Any, arguments: Any) -> list[Any]:
    """What ``function`` gives for each element of a batch that vmap adds."""
    return [
        function.apply(
            *(
                value if dim is None else value.select(dim, i)
                for value, dim in zip(arguments, in_dims, strict=True)
            )
        )
        for i in range(info.batch_size)
    ]


class ScanFunction(torch.autograd.Function):
    """Inputs as :func:`scan_forward`."""

    @staticmethod
    def forward(*inputs: Any) -> Tensor:
        return scan_forward(*inputs)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        *tensors, ctx.delta_softplus, faults = inputs
        ctx.struck = faults is not None
        ctx.save_for_backward(*tensors)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Any:
        if ctx.struck:
            raise FaultError("a scan with state faults has no gradient; run it under no_grad")
        grads = GradientFunction.apply(dy, *ctx.saved_tensors, ctx.delta_softplus)
        given = (tensor is not None for tensor in ctx.saved_tensors)
        return *(g if there else None for g, there in zip(grads, given, strict=True)), None, None

    @staticmethod
    def vmap(info: Any, in_dims: Any, *arguments: Any) -> tuple[Tensor, int]:
        return torch.stack(_one_by_one(ScanFunction, info, in_dims, arguments)), 0

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> NoReturn:
        raise FaultError("selective_scan has no forward-mode derivative; use the backward pass")


class GradientFunction(torch.autograd.Function):
    """Inputs as :func:`scan_backward`."""

    @staticmethod
    def forward(*inputs: Any) -> tuple[Tensor, ...]:
        return tuple(scan_backward(*inputs))

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> NoReturn:
        raise FaultError("selective_scan has no second derivative")

    @staticmethod
    def vmap(info: Any, in_dims: Any, *arguments: Any) -> tuple[tuple[Tensor, ...], Any]:
        columns = zip(*_one_by_one(GradientFunction, info, in_dims, arguments), strict=True)
        stacked = tuple(torch.stack(column) for column in columns)
        return stacked, (0,) * len(stacked)
