"""The native scan as a torch operator with a gradient.

Plain custom operators inside ``autograd.Function``: that combination works under autograd,
torch.func and torch.compile alike.
"""

from __future__ import annotations

from typing import Any, NoReturn

import torch

from faultsim.errors import FaultError
from faultsim.ops import scan_grid
from faultsim.ops._native import native
from faultsim.ops.grid import on_grid

Tensor = torch.Tensor
_INPUTS = (
    "Tensor u, Tensor delta, Tensor A, Tensor B, Tensor C, Tensor? D, Tensor? delta_bias, "
    "bool delta_softplus, Tensor? state_faults"
)


@torch.library.custom_op(
    "faultsim::selective_scan",
    mutates_args=(),
    schema=f"({_INPUTS}) -> Tensor",
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
    """(batch, dim, length) contiguous, on the CPU or a CUDA device.

    All of one dtype, float32 or float64; on CUDA u, delta, B and C may be bfloat16, the rest
    float32.
    """
    inputs = [_contiguous(t) for t in (u, delta, A, B, C, D, delta_bias)]
    if on_grid(u):
        return scan_grid.forward(inputs, delta_softplus, state_faults)
    y = torch.empty(u.shape, dtype=u.dtype)
    scan = _scan(inputs, delta_softplus, state_faults)
    scan.forward(y.data_ptr(), torch.get_num_threads())
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
    state_faults: Tensor | None,
) -> list[Tensor]:
    """The gradients of the seven inputs; empty for those that are None."""
    inputs = [_contiguous(t) for t in (u, delta, A, B, C, D, delta_bias)]
    grads = _empty_grads(u, inputs)
    dy = dy.contiguous()
    if on_grid(u):
        scan_grid.backward(dy, inputs, delta_softplus, state_faults, grads)
        return grads
    pointers = (dy.data_ptr(), *(g.data_ptr() if g.numel() else 0 for g in grads))
    scan = _scan(inputs, delta_softplus, state_faults)
    scan.backward(pointers, torch.get_num_threads())
    return grads


@scan_backward.register_fake
def _(dy: Tensor, *rest: Any) -> list[Tensor]:
    return _empty_grads(rest[0], list(rest[:7]))


def _contiguous(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.contiguous()


def _empty_grads(like: Tensor, inputs: list[Tensor | None]) -> list[Tensor]:
    return [like.new_empty(0) if t is None else t.new_empty(t.shape) for t in inputs]


def _scan(inputs: list[Tensor | None], softplus: bool, state_faults: Tensor | None) -> Any:
    u, b = inputs[0], inputs[3]
    assert u is not None
    assert b is not None
    shape = (*u.shape[:2], b.shape[1], u.shape[2], b.shape[2])  # batch, dim, groups, length, state
    pointers = tuple(0 if tensor is None else tensor.data_ptr() for tensor in inputs)
    faults = [] if state_faults is None else state_faults.tolist()
    return native().Scan(u.dtype == torch.float64, shape, pointers, softplus, faults)


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


def native_scan(*inputs: Any) -> Tensor:
    """:func:`scan_forward` with its gradient."""
    function: Any = _EagerScanFunction
    if torch.compiler.is_compiling():
        function = _ScanFunction
        if not _recorded(inputs):  # torch 2.4 traces a Function only where it is
            found: Tensor = scan_forward(*inputs)
            return found
    y: Tensor = function.apply(*inputs)
    return y


def _recorded(inputs: Any) -> bool:
    tensors = [value for value in inputs if isinstance(value, Tensor)]
    return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)


class _ScanFunction(torch.autograd.Function):
    """Inputs as :func:`scan_forward`; named one by one, or torch.compile cannot count them."""

    @staticmethod
    def forward(
        u: Tensor,
        delta: Tensor,
        A: Any,
        B: Any,
        C: Any,
        D: Any,
        bias: Any,
        softplus: Any,
        faults: Any,
    ) -> Any:
        return scan_forward(u, delta, A, B, C, D, bias, softplus, faults)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        *tensors, ctx.delta_softplus, faults = inputs
        ctx.save_for_backward(*tensors, faults)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Any:
        *tensors, faults = ctx.saved_tensors
        # torch.compile traces no function in another's backward pass, and differentiates once only.
        gradient: Any = scan_backward if torch.compiler.is_compiling() else _GradientFunction.apply
        grads = gradient(dy, *tensors, ctx.delta_softplus, faults)
        given = zip(grads, tensors, strict=True)
        return *(grad if tensor is not None else None for grad, tensor in given), None, None

    @staticmethod
    def vmap(info: Any, in_dims: Any, *arguments: Any) -> tuple[Tensor, int]:
        return torch.stack(_one_by_one(_ScanFunction, info, in_dims, arguments)), 0


class _EagerScanFunction(_ScanFunction):
    """Refuses forward mode in its own words; torch.compile cannot trace a class with a jvp."""

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> NoReturn:
        raise FaultError("selective_scan has no forward-mode derivative; use the backward pass")


class _GradientFunction(torch.autograd.Function):
    """Inputs as :func:`scan_backward`."""

    @staticmethod
    def forward(*inputs: Any) -> Any:
        return tuple(scan_backward(*inputs))

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> NoReturn:
        raise FaultError("selective_scan has no second derivative")

    @staticmethod
    def vmap(info: Any, in_dims: Any, *arguments: Any) -> tuple[tuple[Tensor, ...], Any]:
        columns = zip(*_one_by_one(_GradientFunction, info, in_dims, arguments), strict=True)
        stacked = tuple(torch.stack(column) for column in columns)
        return stacked, (0,) * len(stacked)
