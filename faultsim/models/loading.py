"""Models by name or import path, with a checkpoint that fits."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from faultsim.config.importing import call_factory
from faultsim.devices import seeded
from faultsim.errors import ConfigError, did_you_mean
from faultsim.models.checkpoint import load_checkpoint
from faultsim.models.medmamba import VARIANTS, medmamba
from faultsim.models.onnx import SUFFIX, load_onnx

SHIPPED = Path(__file__).parent / "checkpoints"

SYNONYMS = {"in_channels": "in_chans", "image_size": "img_size"}
"""What timm calls them."""


def load_model(
    spec: str,
    *,
    num_classes: int,
    in_channels: int,
    checkpoint: str | Path | None = None,
    data: str | None = None,
    image_size: int | None = None,
) -> nn.Module:
    """A model in eval mode, with trained weights.

    Args:
        spec: ``medmamba-n``, ``-t``, ``-s``, ``-b``; the path of an ``.onnx`` file; or
            ``package.module:factory``. A factory gets those of ``num_classes``, ``in_channels``
            and ``image_size`` that it takes (also as ``in_chans`` and ``img_size``), and returns
            an ``nn.Module`` that maps images in [0, 1] to logits.
        num_classes: Number of logits.
        in_channels: Channels of the images.
        checkpoint: A ``.safetensors`` file, a ``torch.save`` file of tensors only, or a folder of
            transformers; loaded strictly. None: the weights of the ONNX file, those a factory
            made, or the checkpoint shipped for ``data``.
        data: Name of the data, by which shipped checkpoints are found.
        image_size: Side of the images, where they are square.

    Raises:
        ConfigError: An unknown name, no checkpoint, or one that does not fit the model.
    """
    with seeded():
        model = build(spec, num_classes, in_channels, image_size)
    if checkpoint is None and ":" not in spec and not spec.endswith(SUFFIX):
        checkpoint = _shipped(spec, data)
    if checkpoint is not None:
        load_checkpoint(model, Path(checkpoint))
    return evaluating(model)


def evaluating(model: nn.Module) -> nn.Module:
    """The model in eval mode; as it is where it has no modes, as torch.export's programs."""
    try:
        return model.eval()
    except NotImplementedError:
        return model


def build(
    spec: str, num_classes: int, in_channels: int, image_size: int | None = None
) -> nn.Module:
    """A built-in model with fresh weights, what a factory made, or what is in an ONNX file.

    Raises:
        ConfigError: An unknown name, a factory that fails or makes something else, or a file that
            cannot be used.
    """
    if spec.endswith(SUFFIX):
        return load_onnx(Path(spec))
    if ":" in spec:
        options = {"num_classes": num_classes, "in_channels": in_channels}
        if image_size is not None:
            options["image_size"] = image_size
        made = call_factory(spec, options, SYNONYMS)
        if not isinstance(made, nn.Module):
            raise ConfigError(f"{spec} returned {type(made).__name__}, not an nn.Module")
        return made
    names = [f"medmamba-{variant}" for variant in VARIANTS]
    if spec not in names:
        raise ConfigError(
            f"unknown model {spec!r}{did_you_mean(spec, names)}; use {', '.join(names)}, "
            "package.module:factory or a file.onnx"
        )
    return medmamba(spec[-1], num_classes=num_classes, in_channels=in_channels)


def _shipped(spec: str, data: str | None) -> Path:
    path = SHIPPED / f"{spec}-{data}.safetensors"
    if not path.exists():
        raise ConfigError(
            f"no checkpoint of {spec} for {data} is shipped: give --checkpoint, "
            "or train one with faultsim train"
        )
    return path
