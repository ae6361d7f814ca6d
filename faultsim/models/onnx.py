"""Models from ONNX files, as modules of torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from faultsim.errors import ConfigError

SUFFIX = ".onnx"


def load_onnx(path: Path) -> nn.Module:
    """The graph of an ONNX file, a module for each of its nodes; no code in it runs.

    Args:
        path: The file; tensors that it keeps in others lie beside it.

    Raises:
        ConfigError: The packages are missing, or the file is, or it is no ONNX model, or has an
            operator that onnx2torch does not know.
    """
    try:
        from onnx2torch import convert
    except ImportError as error:
        raise ConfigError(
            f"{path} needs the packages onnx and onnx2torch: pip install 'faultsim[onnx]' ({error})"
        ) from None
    _check(path)
    try:
        made: nn.Module = convert(_without_aliases(path))
    except Exception as error:
        said = str(error).partition("\n")[0] or type(error).__name__
        raise ConfigError(f"{path} cannot be converted to torch: {said}") from None
    return made


def _check(path: Path) -> None:
    """Raises ConfigError for what the converter would take for an empty or an old model."""
    import onnx

    if not path.is_file():
        raise ConfigError(f"no ONNX model at {path}")
    try:
        nodes = len(onnx.load(path, format="protobuf", load_external_data=False).graph.node)
    except Exception:  # of protobuf, whose errors have changed their class
        nodes = 0
    if not nodes:
        raise ConfigError(f"{path} holds no ONNX model")


def _without_aliases(path: Path) -> Any:
    """The model with weights named where they are used.

    torch.onnx.export keeps one of equal weights and names it again by Identity nodes, under which
    onnx2torch does not find it.
    """
    import onnx

    model = onnx.load(path)
    names = {weight.name: weight.name for weight in model.graph.initializer}
    given = {output.name for output in model.graph.output}
    for node in list(model.graph.node):
        if node.op_type == "Identity" and node.input[0] in names and node.output[0] not in given:
            names[node.output[0]] = names[node.input[0]]
            model.graph.node.remove(node)
    for node in model.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
    return model
