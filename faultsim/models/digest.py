"""A digest of everything that a model stores."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import chain
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from faultsim.errors import ConfigError
from faultsim.targets.packed import quantised_state
from faultsim.targets.words import inner_tensors, words_of

_SPARSE = {
    torch.sparse_coo: ("_indices", "_values"),
    torch.sparse_csr: ("crow_indices", "col_indices", "values"),
    torch.sparse_bsr: ("crow_indices", "col_indices", "values"),
    torch.sparse_csc: ("ccol_indices", "row_indices", "values"),
    torch.sparse_bsc: ("ccol_indices", "row_indices", "values"),
}


def model_digest(model: nn.Module) -> str:
    """SHA-256 over names, dtypes, shapes and words of all that a model stores.

    Parameters and buffers, then what quantised modules keep beside them: packed weights, scales
    and zero points. Of subclasses and sparse tensors, the inner tensors.

    Raises:
        ConfigError: A parameter that has no words yet, or a tensor whose words cannot be read.
    """
    digest = hashlib.sha256()
    parameters = model.named_parameters(remove_duplicate=False)
    for name, tensor in chain(parameters, model.named_buffers(remove_duplicate=False)):
        for part in _parts(name, tensor):
            _add(digest, *part)
    for path, module in model.named_modules(remove_duplicate=False):
        for name, value in quantised_state(module):
            for part in _opened(f"{path}.{name}", value):
                _add(digest, *part)
    return digest.hexdigest()


def _add(digest: Any, name: str, value: Any) -> None:
    if not isinstance(value, torch.Tensor):
        digest.update(f"{name} {value!r}\n".encode())
        return
    digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
    words = value.resolve_conj().resolve_neg().detach().cpu().contiguous()
    digest.update(words.reshape(-1).view(torch.uint8).numpy().data)


def _opened(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The tensors and numbers that make up an object of torch, by its pickled state."""
    if isinstance(value, torch.Tensor):
        yield from _parts(name, value)
    elif isinstance(value, torch.ScriptObject):
        yield from _opened(name, _state(value))
    elif isinstance(value, (tuple, list)):
        for number, item in enumerate(value):
            yield from _opened(f"{name}.{number}", item)
    else:
        yield name, value


def _state(packed: torch.ScriptObject) -> Any:
    try:
        return packed._get_method("__getstate__")()
    except RuntimeError:  # of an engine that packs for good: no fault can strike it either
        return str(packed._type().qualified_name())


def _parts(name: str, tensor: torch.Tensor) -> Iterator[tuple[str, Any]]:
    """The tensors that hold the words of one: itself, nearly always."""
    if is_lazy(tensor):
        raise ConfigError(f"{name} is not initialised: run a batch through the model first")
    if tensor.is_meta:
        raise ConfigError(f"{name} is on the meta device, without values: load the model first")
    inner = inner_tensors(tensor)
    if inner is not None:
        for attribute, part in inner.items():
            yield from _parts(f"{name}:{attribute}", part)
    elif tensor.layout in _SPARSE:
        for method in _SPARSE[tensor.layout]:
            yield f"{name}:{method}", getattr(tensor.detach(), method)()
    elif tensor.is_quantized:
        yield name, words_of(tensor.contiguous())
        yield from _quantisation(name, tensor)
    else:
        yield name, tensor.to_dense() if tensor.layout != torch.strided else tensor


def _quantisation(name: str, tensor: torch.Tensor) -> Iterator[tuple[str, Any]]:
    if tensor.qscheme() in (torch.per_tensor_affine, torch.per_tensor_symmetric):
        yield name, (tensor.q_scale(), tensor.q_zero_point())
    else:
        yield f"{name}:scale", tensor.q_per_channel_scales()
        yield f"{name}:zero_point", tensor.q_per_channel_zero_points()
