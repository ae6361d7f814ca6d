"""The weights of a model: every distinct word it stores, by qualified name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, cast

import torch
from torch import nn

from faultsim.errors import FaultError
from faultsim.targets.memory import tied
from faultsim.targets.packed import Packed, is_quantised, opaque_in, packed_in
from faultsim.targets.words import stored_words

WRAPPERS = ("module", "_orig_mod")
"""What DataParallel and torch.compile call the model inside them."""


class Weights(NamedTuple):
    """What a model stores.

    Attributes:
        words: By name, in the order of the module tree: parameters, buffers, packed weights. Views
            of the model's own memory, but for what is packed, of which they are copies.
        skipped: By name, why it cannot be struck.
    """

    words: dict[str, torch.Tensor]
    skipped: dict[str, str]


def weights_of(model: nn.Module, *, integers: bool = False) -> Weights:
    """The words that faults can strike in a model at rest, each once, and what they cannot.

    Tied tensors count under the first name. Inner tensors of subclasses and what a packed weight
    holds are called ``weight:part``.

    Args:
        model: Any module.
        integers: Whether integer buffers are wanted as well; others (BatchNorm statistics) and the
            zero points of quantised modules always are.
    """
    words: dict[str, torch.Tensor] = {}
    skipped: dict[str, str] = {}
    for name, found in _stored(model):
        reason = found if isinstance(found, str) else _unwanted(model, name, found, integers)
        if isinstance(found, str) or reason is not None:
            skipped[name] = str(reason)
        else:
            words[name] = found
    for name, keeper in tied(words).items():
        del words[name]
        if keeper is not None:
            skipped[name] = f"it shares a part of its memory with {keeper}"
    for name, copy in _packed(model):
        if isinstance(copy, str):
            skipped[name] = copy
        else:
            words[name] = copy
    return Weights(words, skipped)


def _stored(model: nn.Module) -> Iterator[tuple[str, torch.Tensor | str]]:
    """Parameters, buffers, and what modules keep beside them."""
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        yield from stored_words(name, tensor)
    for path, module in model.named_modules():
        for leaf, value in list(vars(module).items()):
            if isinstance(value, torch.Tensor) and is_quantised(module):
                yield from stored_words(_join(path, leaf), value)
            elif isinstance(value, torch.Tensor):
                yield _join(path, leaf), "it is a plain attribute, neither parameter nor buffer"
        if isinstance(module, torch.jit.ScriptModule) and _is_frozen(module):
            yield (
                path or "(root)",
                "it is frozen, its weights are constants: strike the model before",
            )


def _is_frozen(module: torch.jit.ScriptModule) -> bool:
    if next(module.parameters(), None) is not None or not hasattr(module, "graph"):
        return False
    constants = cast(Any, module.graph).findAllNodes("prim::Constant")
    return any(node.output().type().kind() == "TensorType" for node in constants)


def _unwanted(model: nn.Module, name: str, words: torch.Tensor, integers: bool) -> str | None:
    """Why a tensor that could be struck is not to be."""
    owner, leaf = owner_of(model, name)
    own = _got(owner._buffers, leaf)
    plain = own is not None and words.dtype == own.dtype and ":" not in name
    if integers or not plain or words.is_floating_point() or "zero_point" in leaf:
        return None
    if leaf in getattr(owner, "struck_integers", ()):  # it says that they are memory like any other
        return None
    kind = str(words.dtype).removeprefix("torch.")
    return f"it is an integer buffer ({kind}): integers=True or --integers strikes it"


def _packed(model: nn.Module) -> Iterator[tuple[str, torch.Tensor | str]]:
    for path, module in model.named_modules():
        for name, kind in opaque_in(module):
            yield _join(path, name), f"{kind} of torch cannot be opened"
    for path, packed in packed_weights(model):
        for part, copy in packed.parts.items():
            yield _join(path, part), copy


def packed_weights(model: nn.Module) -> Iterator[tuple[str, Packed]]:
    """What modules keep packed, with the name of the module."""
    for path, module in model.named_modules():
        if path.rpartition(".")[2] != "_packed_params":  # it is its parent's
            for packed in packed_in(module):
                yield path, packed


def _join(path: str, leaf: str) -> str:
    return f"{path}.{leaf}" if path else leaf


def owner_of(model: nn.Module, name: str) -> tuple[nn.Module, str]:
    """The module that holds the weight called ``name``, and the last part of the name.

    A name of the bare model serves where it is wrapped (:data:`WRAPPERS`), and the other way round.

    Raises:
        FaultError: There is no such weight.
    """
    for root, path in _spellings(model, name.partition(":")[0].split(".")):
        owner = _walk(root, path[:-1])
        if owner is not None and _holds(owner, path[-1]):
            return owner, path[-1]
    raise FaultError(f"the model has no parameter or buffer {name!r}")


def _spellings(model: nn.Module, path: list[str]) -> Iterator[tuple[nn.Module, list[str]]]:
    yield model, path
    yield from ((inside, path) for inside in _unwrapped(model))
    while path[0] in WRAPPERS and len(path) > 1:
        path = path[1:]
        yield model, path


def _unwrapped(model: nn.Module) -> Iterator[nn.Module]:
    for name in WRAPPERS:
        inside = _child(model, name)
        if inside is not None:
            yield inside
            yield from _unwrapped(inside)


def _walk(module: nn.Module, path: list[str]) -> nn.Module | None:
    found: nn.Module | None = module
    for part in path:
        found = None if found is None else _child(found, part)
    return found


def _child(module: nn.Module, name: str) -> nn.Module | None:
    return cast("nn.Module | None", _got(module._modules, name))


def _got(held: Any, name: str) -> Any:
    return held[name] if name in held else None  # noqa: SIM401  # those of torch.jit have no get


def _holds(owner: nn.Module, leaf: str) -> bool:
    if tensor_of(owner, leaf) is not None:
        return True
    return any(part.partition(":")[0] == leaf for each in packed_in(owner) for part in each.parts)


def tensor_of(owner: nn.Module, leaf: str) -> torch.Tensor | None:
    """The parameter, buffer or plain attribute of that name, if the module itself has one."""
    for held in (owner._parameters, owner._buffers, vars(owner)):
        if leaf in held and isinstance(held[leaf], torch.Tensor):
            return cast(torch.Tensor, held[leaf])
    return None
