"""Campaigns on perturbed images: two causes of error, kept apart."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from faultsim import FaultSet, FaultSpace, inject
from faultsim.data.workload import ImageWorkload
from faultsim.ops.operators import OPS
from faultsim.perturb import Perturbation, pgd
from faultsim.run.attack import Attack
from faultsim.run.experiment import Experiment
from faultsim.run.trial import Trial
from faultsim.workload import metrics


class Brightness(nn.Module):
    """Tells the stripes of the data set apart by their mean, until they are attacked."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(8)
        self.gain = nn.Parameter(torch.ones(1))
        self.head = nn.Linear(1, 3)
        means = torch.tensor([0.15, 0.45, 0.75])
        with torch.no_grad():
            self.head.weight[:, 0] = 40 * means
            self.head.bias[:] = -20 * means**2

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.pool(images).flatten(1) * self.gain)
        return logits


@pytest.fixture
def model() -> nn.Module:
    return Brightness().eval()


ATTACK = Perturbation.parse("pgd:eps=0.2,step=0.1,steps=3", 8)


def test_under_attack_the_golden_run_sees_perturbed_images(model, dataset):
    experiment = Experiment(ImageWorkload(model, dataset), batch_size=7, attack=Attack(ATTACK))
    moved = pgd(model, dataset.test.images, dataset.test.labels, eps=0.2, step=0.1, steps=3)
    assert torch.allclose(experiment.golden("test").batches[0].inputs, moved[:7], atol=1e-6)
    assert torch.equal(experiment.clean("test").batches[0].inputs, dataset.test.images[:7])
    assert experiment.baseline().acc < experiment.clean_baseline().acc
    assert experiment.clean_baseline() == Experiment(ImageWorkload(model, dataset)).baseline()


@pytest.mark.parametrize("adapts", [False, True])
def test_a_trial_under_attack_is_measured_on_clean_images_too(model, dataset, adapts):
    experiment = Experiment(ImageWorkload(model, dataset), attack=Attack(ATTACK, adapts=adapts))
    faults = FaultSpace(model, bits="exponent", include="head").sample(2, seed=3)
    both = experiment.run(Trial(faults, {}))
    alone = Experiment(ImageWorkload(model, dataset)).run(Trial(faults, {}))
    assert both.clean_acc == alone.acc
    assert experiment.run(Trial(faults, {}, "val", 4)).clean_acc is None
    with inject(model, faults):
        struck = Experiment(ImageWorkload(model, dataset), attack=Attack(ATTACK))
        (images, _, _), *_ = (struck if adapts else experiment).golden("test").batches
        with torch.no_grad():
            logits = model(images)
    assert both.acc == metrics.accuracy(logits, dataset.test.labels)


@pytest.mark.parametrize("adapts", [False, True])
def test_corruptions_under_attack_are_the_faults_alone(model, dataset, adapts):
    """A fault that changes no bit: masked, however wrong the attack makes the predictions."""
    experiment = Experiment(ImageWorkload(model, dataset), attack=Attack(ATTACK, adapts=adapts))
    site = FaultSpace(model, include="gain").sites[0]
    same = FaultSet([site], [0], [0], [1], [OPS.index("stuck-at-0")])  # 1.0 has no such bit
    outcome = experiment.run(Trial(same, {}))
    assert outcome.masked == outcome.n
    assert outcome.acc == experiment.baseline().acc < outcome.clean_acc


def test_an_attack_on_a_faulty_model_leaves_no_trace(model, dataset, bits_of_model):
    before = bits_of_model(model)
    experiment = Experiment(ImageWorkload(model, dataset), attack=Attack(ATTACK, adapts=True))
    for target in ("weights", "activations"):
        inputs = experiment.first_inputs() if target == "activations" else None
        faults = FaultSpace(model, target, inputs=inputs).sample(3, seed=1)
        assert experiment.run(Trial(faults, {})) == experiment.run(Trial(faults, {}))
    assert bits_of_model(model) == before
    assert all(p.grad is None and p.requires_grad for p in model.parameters())


def test_a_model_that_raises_under_a_fault_is_a_detected_error_under_attack_too(dataset):
    class Strict(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(64, 3)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            if float(self.head.bias.detach().abs().max()) > 1e6:
                raise ValueError("out of range")
            return self.head(images.flatten(1))

    torch.manual_seed(0)
    strict = Strict()
    faults = FaultSpace(strict, include="head.bias").locate([30])
    experiment = Experiment(ImageWorkload(strict, dataset), attack=Attack(ATTACK, adapts=True))
    outcome = experiment.run(Trial(faults, {}))
    assert outcome.due == outcome.n
