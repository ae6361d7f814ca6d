"""One weight trial each: a random bit of a random convolution or linear layer, then a pass."""

from __future__ import annotations

import copy
import logging
import random
from collections.abc import Callable, Iterator

import torch
from torch import nn

from benchmarks.resnet20 import resnet20
from faultsim import FaultSet, FaultSpace, inject
from faultsim.run.replay import Prefix

Trial = Callable[[], torch.Tensor]
STRUCK = (nn.Conv2d, nn.Linear)
DRAWN = 1000


def bare(images: torch.Tensor) -> Trial:
    """The network, without a fault."""
    model = resnet20()
    return lambda: model(images)


def faultsim_whole(images: torch.Tensor) -> Trial:
    """Ours, the whole model run."""
    model = resnet20()
    drawn = drawn_from(space_of(model))

    def trial() -> torch.Tensor:
        with inject(model, next(drawn)):
            return model(images)

    return trial


def faultsim_replayed(images: torch.Tensor) -> Trial:
    """Ours, as campaigns run it: from the last cut before the fault on, to the same bits."""
    model = resnet20()
    drawn = drawn_from(space_of(model))
    prefix = Prefix(model, images, len(images), measured=True)
    prefix.record(images)

    def trial() -> torch.Tensor:
        faults = next(drawn)
        with inject(model, faults):
            return prefix.run(0, images, faults)

    return trial


def drawn_from(space: FaultSpace) -> Iterator[FaultSet]:
    """Single faults, drawn many at a time as campaigns draw them."""
    return space.samples(1, range(DRAWN), seed=0)


def space_of(model: nn.Module) -> FaultSpace:
    layers = [name for name, part in model.named_modules() if isinstance(part, STRUCK)]
    return FaultSpace(model, include=[f"{name}.weight" for name in layers])


def pytorchfi(images: torch.Tensor) -> Trial:
    """A copy of the model for each fault, declared by its place and a function of the value."""
    from pytorchfi.core import fault_injection

    logging.disable(logging.INFO)
    injector = fault_injection(
        resnet20(), len(images), input_shape=list(images.shape[1:]), layer_types=list(STRUCK)
    )
    sizes = [injector.get_weights_size(n) for n in range(injector.get_total_layers())]
    drawn = random.Random(0)

    def flip(weight: torch.Tensor, place: tuple[int, ...]) -> torch.Tensor:
        place = tuple(at for at in place if at is not None)
        word = weight[place].detach().reshape(1).view(torch.int32)
        return (word ^ _bit(drawn)).view(torch.float32)[0]

    def trial() -> torch.Tensor:
        layer = drawn.randrange(len(sizes) - 1)  # its last takes four coordinates of a matrix
        at = [[drawn.randrange(n)] for n in sizes[layer]]
        struck = injector.declare_weight_fi(
            function=flip, layer_num=[layer], k=at[0], dim1=at[1], dim2=at[2], dim3=at[3]
        )
        return struck(images)

    return trial


def _bit(drawn: random.Random) -> int:
    bit = drawn.randrange(32)
    return 1 << bit if bit < 31 else -(1 << 31)


def mrfi(images: torch.Tensor) -> Trial:
    """Hooks on every layer; one of them is enabled in each trial."""
    from mrfi import MRFI, EasyConfig

    fault = {
        "type": "weight",
        "name": ["weight"],
        "enabled": False,
        "selector": {"method": "RandomPositionByNumber", "n": 1},
        "error_mode": {"method": "FloatRandomBitFlip"},
        "module_type": ["Conv2d", "Linear"],
    }
    model = MRFI(resnet20(), EasyConfig({"faultinject": [copy.deepcopy(fault)]}))
    layers, drawn = model.get_weights_configs(module_type=["Conv2d", "Linear"]), random.Random(0)

    def trial() -> torch.Tensor:
        struck = drawn.choice(layers)
        struck.enabled = True
        try:
            return model(images)
        finally:
            struck.enabled = False

    return trial


PEERS = {"PyTorchFI 0.6.0": pytorchfi, "MRFI 2.1.0": mrfi}
OURS = {"faultsim": faultsim_replayed, "faultsim, whole model": faultsim_whole}
