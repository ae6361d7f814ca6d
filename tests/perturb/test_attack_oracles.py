"""FGSM and PGD without a random start against three other libraries, to the last bit.

``make test`` installs them; without them this file fails rather than skips. torchattacks asks for
torchvision, which would replace torch, but never imports it, and so is installed alone.

foolbox sums the loss where the others average it. In batches of a power of two images that changes
no rounding, so all of them agree there.
"""

from __future__ import annotations

import pytest
import torch
from torch import nn

from faultsim.perturb import fgsm, pgd

STEPS = [(8 / 255, 2 / 255, 5), (1 / 255, 0.3 / 255, 4)]


def attacked_by_torchattacks(model, x, y, *, eps, step, steps):
    import torchattacks

    if steps == 1:
        return torchattacks.FGSM(model, eps=eps)(x, y)
    return torchattacks.PGD(model, eps=eps, alpha=step, steps=steps, random_start=False)(x, y)


def attacked_by_foolbox(model, x, y, *, eps, step, steps):
    from foolbox import PyTorchModel
    from foolbox.attacks import LinfPGD

    attack = LinfPGD(abs_stepsize=step, steps=steps, random_start=False)
    return attack.run(PyTorchModel(model, bounds=(0, 1), device="cpu"), x, y, epsilon=eps)


def attacked_by_art(model, x, y, *, eps, step, steps):
    from art.attacks.evasion import FastGradientMethod, ProjectedGradientDescentPyTorch
    from art.estimators.classification import PyTorchClassifier

    classifier = PyTorchClassifier(
        model,
        loss=nn.CrossEntropyLoss(),
        input_shape=tuple(x.shape[1:]),
        nb_classes=model(x[:1]).shape[1],
        clip_values=(0.0, 1.0),
        device_type="cpu",
    )
    if steps == 1:
        attack = FastGradientMethod(classifier, eps=eps)
    else:
        attack = ProjectedGradientDescentPyTorch(
            classifier, eps=eps, eps_step=step, max_iter=steps, verbose=False
        )
    return torch.from_numpy(attack.generate(x.numpy(), y.numpy()))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    "attacked", [attacked_by_torchattacks, attacked_by_foolbox, attacked_by_art]
)
def test_attacks_are_those_of_other_libraries(attacked, digits, convnet, images, labels):
    for model, x, y in (digits, (convnet, images[:4], labels[:4])):
        for eps, step, steps in STEPS:
            theirs = attacked(model, x, y, eps=eps, step=eps, steps=1)
            assert torch.equal(fgsm(model, x, y, eps=eps), theirs)
            theirs = attacked(model, x, y, eps=eps, step=step, steps=steps)
            assert torch.equal(pgd(model, x, y, eps=eps, step=step, steps=steps), theirs)
