"""Words inside the opaque parts of torch.ao's quantised modules: opened to be read, made anew to be
struck.

A packed weight is an object of torch's without a pointer to its words. It is opened into copies of
what it holds; a struck one is packed from the copies and takes its place; and the original is put
back afterwards, which is exact whatever packing does. Packing is that of the current
``torch.backends.quantized.engine``.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import nn

from faultsim.targets.words import words_of

Parts = dict[str, torch.Tensor | str]
"""Copies of the words of an object by name, or why they cannot be struck."""

_SCRIPTED = ("_packed_params", "_packed_weight", "param", "scale", "zero_point")
"""Attributes of modules compiled by torch.jit, which do not list them."""


class Packed:
    """An attribute of a module whose words are reached by opening it.

    Attributes:
        parts: Copies of its words, by their names in the module that owns it: ``weight``,
            ``weight:scale``, ``weight:zero_point``, ``bias``.
    """

    def __init__(self, holder: nn.Module, attribute: str, kind: _Kind) -> None:
        self._holder, self._attribute, self._kind = holder, attribute, kind
        self._original = self._new = getattr(holder, attribute)
        try:
            self.parts = kind.open(attribute, self._original)
        except RuntimeError as error:  # an engine that packs for good
            self.parts = {attribute: f"torch cannot open it: {error}".split("\n")[0]}

    def commit(self) -> None:
        """Gives the module an object with the words that ``parts`` has now; once is enough."""
        if self._new is not self._original:
            return
        with warnings.catch_warnings():  # torch has deprecated what it still uses itself
            warnings.simplefilter("ignore")
            self._new = self._kind.pack(self._original, list(self.parts.values()))
        setattr(self._holder, self._attribute, self._new)

    @property
    def object(self) -> Any:
        """What the module was found with."""
        return self._original

    def weights(self) -> dict[str, torch.Tensor]:
        """The quantised tensors inside, by the names that their words have in ``parts``."""
        return self._kind.weights(self._attribute, self._original)

    def release(self) -> None:
        """Puts the original back, unless somebody replaced it meanwhile."""
        if not self.replaced():
            setattr(self._holder, self._attribute, self._original)
            self._new = self._original

    def replaced(self) -> bool:
        """Whether the module holds another object than it was given here.

        Not known of torch.jit's modules, which wrap an object anew each time it is asked for.
        """
        if isinstance(self._holder, torch.jit.ScriptModule):
            return False
        now = getattr(self._holder, self._attribute, None)
        one_of = self._original, self._new
        return not any(now is each or _equal(now, each) for each in one_of)


def packed_in(module: nn.Module) -> Iterator[Packed]:
    """What a module keeps packed, its output's scale and zero point included.

    The objects of its child ``_packed_params`` are its own.
    """
    inner = [
        child
        for name, child in module._modules.items()
        if child is not None and name == "_packed_params"
    ]
    for holder in (module, *inner):
        for name, value in _attributes(holder).items():
            if name not in _NUMBERS and not isinstance(value, torch.ScriptObject):
                continue  # nearly all, and every trial looks
            kind = _kind_of(holder, name, value)
            if kind is not None:
                yield Packed(holder, name, kind)


def opaque_in(module: nn.Module) -> Iterator[tuple[str, str]]:
    """Names and classes of a module's objects of torch that cannot be opened."""
    for name, value in _attributes(module).items():
        if isinstance(value, torch.ScriptObject) and _kind_of(module, name, value) is None:
            yield name, _class_of(value)


def is_quantised(module: nn.Module) -> bool:
    """Whether a module computes with quantised words, and keeps its tensors where it likes."""
    return any(_kind_of(module, *item) is not None for item in _attributes(module).items())


def quantised_state(module: nn.Module) -> Iterator[tuple[str, Any]]:
    """What a module itself keeps beside parameters and buffers: objects of torch, and what a
    quantised module has of tensors, scales and zero points."""
    quantised = is_quantised(module)
    for name, value in _attributes(module).items():
        own = isinstance(value, torch.Tensor) or _kind_of(module, name, value) is not None
        if isinstance(value, torch.ScriptObject) or (quantised and own):
            yield name, value


def _attributes(module: nn.Module) -> dict[str, Any]:
    if isinstance(module, torch.jit.ScriptModule):
        return {name: getattr(module, name) for name in _SCRIPTED if module._c.hasattr(name)}
    return dict(vars(module))  # at once: another thread may be arming faults on the module


class _Kind(NamedTuple):
    """How one class of objects is opened, made from its parts in their order, and what it wraps."""

    open: Callable[[str, Any], Parts]
    pack: Callable[[Any, list[Any]], Any]
    weights: Callable[[str, Any], dict[str, torch.Tensor]] = lambda _, value: {}


def _kind_of(module: nn.Module, name: str, value: Any) -> _Kind | None:
    if isinstance(value, torch.ScriptObject):
        return _KINDS.get(_class_of(value))
    if name not in _NUMBERS or not _has_own_scale(module):
        return None
    return _NUMBERS[name]


def _class_of(value: Any) -> str:
    return str(value._type().qualified_name()).removeprefix("__torch__.torch.classes.")


def _has_own_scale(module: nn.Module) -> bool:
    """Whether its output has a fixed scale; those of dynamic modules do not use what they hold."""
    found = _attributes(module)
    fixed = isinstance(found.get("scale"), float) and isinstance(found.get("zero_point"), int)
    return fixed and "quantized.dynamic" not in _origin(module)


def _origin(module: nn.Module) -> str:
    if isinstance(module, torch.jit.ScriptModule):
        return _class_of(module._c)
    return type(module).__module__


def _equal(one: Any, other: Any) -> bool:
    return type(one) in (float, int) and type(one) is type(other) and one == other


def _open_number(dtype: torch.dtype) -> Callable[[str, Any], Parts]:
    return lambda name, value: {name: torch.tensor(value, dtype=dtype)}


_NUMBERS = {  # as the state_dict of a quantised module holds them
    "scale": _Kind(_open_number(torch.float32), lambda _, parts: float(parts[0])),
    "zero_point": _Kind(_open_number(torch.int64), lambda _, parts: int(parts[0])),
}


def _open_weight(name: str, weight: torch.Tensor) -> Parts:
    if not weight.is_quantized:
        return {name: "torch packs float16 words with saturation: no infinity, no NaN"}
    scale, zero_point = _scale(weight), _zero_point(weight)
    words = words_of(weight)
    if isinstance(words, str):
        return {name: words}
    return {
        name: words.clone(),
        f"{name}:scale": scale.to(torch.float32, copy=True),
        f"{name}:zero_point": _open_zero_point(zero_point, words.dtype),
    }


def _of_channels(weight: torch.Tensor) -> bool:
    return weight.qscheme() not in (torch.per_tensor_affine, torch.per_tensor_symmetric)


def _scale(weight: torch.Tensor) -> torch.Tensor:
    if _of_channels(weight):
        return weight.q_per_channel_scales()
    return torch.tensor(weight.q_scale())


def _zero_point(weight: torch.Tensor) -> torch.Tensor:
    if _of_channels(weight):
        return weight.q_per_channel_zero_points()
    return torch.tensor(weight.q_zero_point())


def _open_zero_point(zero_point: torch.Tensor, dtype: torch.dtype) -> torch.Tensor | str:
    """As words of the weight's dtype, whose range torch and others hold it to."""
    if zero_point.is_floating_point():  # of embeddings
        return zero_point.clone()
    if torch.backends.quantized.engine == "onednn":
        return "onednn packs no weights whose zero point is not 0"
    words = zero_point.to(dtype)
    return words if torch.equal(words.long(), zero_point.long()) else f"it is no {dtype}"


def _make_weight(old: torch.Tensor, parts: list[Any]) -> torch.Tensor:
    """A quantised tensor like ``old`` of other words, scales and zero points."""
    words, scale, zero_point = parts
    if isinstance(zero_point, str):
        zero_point = _zero_point(old)
    if scale.ndim == 0:
        new = torch._empty_affine_quantized(
            old.shape, scale=float(scale), zero_point=int(zero_point), dtype=old.dtype
        )
    else:
        if not zero_point.is_floating_point():
            scale, zero_point = scale.double(), zero_point.long()
        new = torch._empty_per_channel_affine_quantized(
            old.shape,
            scales=scale,
            zero_points=zero_point,
            axis=old.q_per_channel_axis(),
            dtype=old.dtype,
        )
    place = words_of(new)
    assert isinstance(place, torch.Tensor)
    place.copy_(words)
    return new


def _weight_name(attribute: str) -> str:
    return "weight" + attribute.removeprefix("_packed_params").removeprefix("_packed_weight")


def _open_pair(name: str, packed: Any) -> Parts:
    """Of a linear or convolutional weight and its bias."""
    weight, bias = packed.unpack()
    name = _weight_name(name)
    found = _open_weight(name, weight)
    if bias is not None:
        found[name.replace("weight", "bias")] = bias.detach().clone()
    return found


def _weight_of_pair(name: str, packed: Any) -> dict[str, torch.Tensor]:
    return {_weight_name(name): packed.unpack()[0]}


def _bias(parts: list[Any]) -> torch.Tensor | None:
    return parts[3] if len(parts) > 3 else None


def _pack_linear(old: Any, parts: list[Any]) -> Any:
    weight = _make_weight(old.unpack()[0], parts[:3])
    return torch.ops.quantized.linear_prepack(weight, _bias(parts))


def _pack_convolution(old: Any, parts: list[Any]) -> Any:
    weight = _make_weight(old.unpack()[0], parts[:3])
    turned = "_transpose" if old.transpose() else ""
    pack = getattr(torch.ops.quantized, f"conv{turned}{weight.ndim - 2}d_prepack")
    inner = [old.output_padding()] if turned else []
    rest = old.stride(), old.padding(), *inner, old.dilation(), old.groups()
    return pack(weight, _bias(parts), *rest)


def _pack_embedding(old: Any, parts: list[Any]) -> Any:
    return torch.ops.quantized.embedding_bag_prepack(_make_weight(old.unpack(), parts))


def _state(cell: Any) -> Any:
    return cell._get_method("__getstate__")()


def _open_cell(name: str, cell: Any) -> Parts:
    """Of the two weights of a recurrent layer, whose biases are apart from them."""
    _, biases, _, _, packed = _state(cell)
    found: Parts = {}
    for part, weight, bias in zip(("_ih", "_hh"), packed, biases or (None, None), strict=True):
        found |= _open_pair(part, weight)
        found.pop(f"bias{part}", None)
        if bias is not None:
            found[f"bias{part}"] = bias.detach().clone()
    return found


def _weights_of_cell(_: str, cell: Any) -> dict[str, torch.Tensor]:
    names = ("weight_ih", "weight_hh")
    return {name: pair.unpack()[0] for name, pair in zip(names, _state(cell)[4], strict=True)}


def _pack_cell(old: Any, parts: list[Any]) -> Any:
    _, _, _, numbers, packed = _state(old)
    pairs = zip(packed, (parts[:4], parts[4:]), strict=True)
    weights = [_pack_linear(weight, part) for weight, part in pairs]
    make = torch.ops.quantized.make_quantized_cell_params_dynamic
    return make(*weights, parts[3], parts[7], bool(numbers[0]))


_KINDS = {
    "quantized.LinearPackedParamsBase": _Kind(_open_pair, _pack_linear, _weight_of_pair),
    "quantized.Conv2dPackedParamsBase": _Kind(_open_pair, _pack_convolution, _weight_of_pair),
    "quantized.Conv3dPackedParamsBase": _Kind(_open_pair, _pack_convolution, _weight_of_pair),
    "quantized.EmbeddingPackedParamsBase": _Kind(
        lambda name, packed: _open_weight("weight", packed.unpack()),
        _pack_embedding,
        lambda name, packed: {"weight": packed.unpack()},
    ),
    "rnn.CellParamsBase": _Kind(_open_cell, _pack_cell, _weights_of_cell),
}
