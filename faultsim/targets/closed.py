"""Models into whose modules no hook can see."""

from __future__ import annotations

import torch
from torch import fx, nn
from torch.nn.parameter import is_lazy

from faultsim.errors import FaultError


def check_open(model: nn.Module) -> None:
    """Raises FaultError, with the way round, unless the calls of a model's modules can be seen."""
    check_seen(model)
    if _is_exported(model):
        raise FaultError(
            "the calls of an exported program are not seen: its graph has no modules; pass the "
            "module before torch.export, or torch.export.unflatten(program)"
        )


def check_seen(model: nn.Module) -> None:
    """Raises FaultError, with the way round, unless Python runs the model, and runs it itself."""
    kind = type(model).__name__
    if isinstance(model, torch.jit.ScriptModule):
        raise FaultError(
            f"the calls of a scripted model ({kind}) are not seen: pass the module before "
            "torch.jit.script or trace"
        )
    for name, module in model.named_modules():
        check_not_compiled(name or kind, module)
        if isinstance(module, nn.DataParallel) and len(module.device_ids) > 1:
            raise FaultError(
                f"the calls of {name or kind} are not seen in its replicas: pass its .module"
            )
        if any(map(is_lazy, (*module.parameters(recurse=False), *module.buffers(recurse=False)))):
            raise FaultError(
                f"{name or kind} is lazy and not initialised: run a batch through the model first"
            )


def check_not_compiled(name: str, module: nn.Module) -> None:
    """Raises FaultError, with the way round, if a module is compiled."""
    compiled = getattr(module, "_compiled_call_impl", None) is not None
    if compiled or isinstance(getattr(module, "_orig_mod", None), nn.Module):
        raise FaultError(
            f"the calls of a compiled model are not seen ({name} is compiled): pass the module "
            "before torch.compile or .compile(), or a copy of it"
        )


def _is_exported(model: nn.Module) -> bool:
    """Whether a graph has taken the place of the modules, which only hold its weights."""
    if not isinstance(model, fx.GraphModule) or not any(model.children()):
        return False
    called = [node for node in model.graph.nodes if node.op == "call_module"]
    return not any(
        type(module) is not nn.Module and type(module).__module__ != "torch.export._unlift"
        for module in (model.get_submodule(str(node.target)) for node in called)
    )
