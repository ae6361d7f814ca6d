"""FGSM and PGD: in the ball, up the loss, and nothing left behind."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from faultsim.errors import ConfigError
from faultsim.perturb import fgsm, pgd
from faultsim.workload.metrics import accuracy, loss

ROUNDING = 6e-8
TWENTY_STEPS = {"eps": 1 / 255, "step": 0.25 / 255, "steps": 20}


class Linear(nn.Module):
    """Logits 0 and the weighted sum of the pixels, so every gradient is known."""

    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        score = (images * self.weight).sum(dim=(1, 2, 3))
        return torch.stack([score, torch.zeros_like(score)], dim=1)


@given(
    eps=st.floats(0, 1),
    step=st.floats(0, 1),
    steps=st.integers(1, 4),
    random_start=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_attacks_stay_in_the_ball_and_in_range(eps, step, steps, random_start, seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(3, 1, 4, 4, generator=generator)
    x[0] = x[0].round()
    model = Linear(torch.randn(1, 4, 4, generator=generator))
    moved = pgd(
        model,
        x,
        torch.tensor([0, 1, 0]),
        eps=eps,
        step=step,
        steps=steps,
        random_start=random_start,
        generator=generator,
    )
    assert (moved.double() - x.double()).abs().max() <= eps + ROUNDING
    assert 0 <= moved.min() <= moved.max() <= 1


def test_fgsm_steps_up_the_gradient_and_not_where_it_is_zero():
    weight = torch.tensor([[[1.0, -2.0], [0.0, 0.5]]])
    x = torch.full((2, 1, 2, 2), 0.5)
    moved = fgsm(Linear(weight), x, torch.tensor([1, 0]), eps=0.1)
    up = 0.1 * weight.sign()
    assert torch.allclose(moved, x + torch.stack([up, -up]))
    assert torch.equal(moved[:, :, 1, 0], x[:, :, 1, 0])


def test_a_pixel_with_a_nan_gradient_does_not_move():
    class Faulty(Linear):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            images.register_hook(lambda grad: grad.index_fill(3, torch.tensor([0]), torch.nan))
            return super().forward(images)

    x = torch.full((1, 1, 2, 2), 0.5)
    moved = fgsm(Faulty(torch.ones(1, 2, 2)), x, torch.tensor([1]), eps=0.1)
    assert torch.equal(moved[..., 0], x[..., 0])
    assert torch.allclose(moved[..., 1], x[..., 1] + 0.1)


def test_steps_back_into_the_ball_reach_its_corner():
    x = torch.full((1, 1, 2, 2), 0.5)
    model = Linear(torch.ones(1, 2, 2))
    moved = pgd(model, x, torch.tensor([1]), eps=0.1, step=0.03, steps=3)
    assert torch.allclose(moved, x + 0.09)
    moved = pgd(model, x, torch.tensor([1]), eps=0.1, step=0.03, steps=5)
    assert torch.allclose(moved, x + 0.1)


def test_a_shipped_model_loses_more_the_larger_the_ball(digits):
    model, images, labels = digits
    with torch.no_grad():
        clean = loss(model(images), labels)
        losses = [
            loss(model(fgsm(model, images, labels, eps=n / 255)), labels) for n in (0, 1, 2, 4)
        ]
    assert losses[0] == clean
    assert losses == sorted(losses)
    assert losses[-1] > 2 * clean


def test_pgd_is_the_stronger_attack_on_a_shipped_model(digits):
    model, images, labels = digits
    with torch.no_grad():
        one = model(fgsm(model, images, labels, eps=16 / 255))
        many = model(pgd(model, images, labels, eps=16 / 255, step=4 / 255, steps=8))
    assert loss(many, labels) > loss(one, labels)
    assert accuracy(many, labels) <= accuracy(one, labels)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_the_callers_gradient_mode_changes_nothing(mode, convnet, images, labels):
    expected = pgd(convnet, images, labels, **TWENTY_STEPS)
    with mode():
        moved = pgd(convnet, images.clone(), labels.clone(), **TWENTY_STEPS)
        assert torch.equal(moved, expected)
        several = nn.functional.one_hot(labels.clone(), 3)
        assert fgsm(convnet, images.clone(), several, eps=0.1).shape == images.shape
    assert not moved.requires_grad


def test_nothing_is_left_behind(convnet, images, labels, bits_of_model):
    convnet[0].weight.requires_grad_(False)
    convnet.train()
    convnet[1].eval()
    images.requires_grad_()
    wanted = [p.requires_grad for p in convnet.parameters()]
    modes = [module.training for module in convnet.modules()]
    before, pixels, state = bits_of_model(convnet), images.detach().clone(), torch.get_rng_state()
    fgsm(convnet, images, labels, eps=0.1)
    assert [p.requires_grad for p in convnet.parameters()] == wanted
    assert [module.training for module in convnet.modules()] == modes
    assert all(p.grad is None for p in [images, *convnet.parameters()])
    assert bits_of_model(convnet) == before
    assert torch.equal(images, pixels)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_model_runs_in_eval_mode(convnet, images, labels):
    expected = fgsm(convnet, images, labels, eps=0.1)
    assert torch.equal(fgsm(convnet.train(), images, labels, eps=0.1), expected)


def test_a_model_that_raises_gets_its_mode_back(convnet, labels):
    convnet.train()
    with pytest.raises(RuntimeError):
        fgsm(convnet, torch.rand(6, 1, 9, 9), labels, eps=0.1)
    assert all(module.training for module in convnet.modules())


def test_one_column_of_labels_is_classes(convnet, images, labels):
    expected = fgsm(convnet, images, labels, eps=0.1)
    column = labels[:, None].to(torch.uint8)
    assert torch.equal(fgsm(convnet, images, column, eps=0.1), expected)


def test_several_labels_go_through_binary_cross_entropy(convnet, images, seeded):
    rows = torch.randint(0, 2, (6, 3), generator=seeded())
    moved = fgsm(convnet, images, rows, eps=0.05)
    x = images.clone().requires_grad_()
    cost = nn.functional.binary_cross_entropy_with_logits(convnet(x), rows.float())
    (grad,) = torch.autograd.grad(cost, x)
    assert torch.allclose(moved, (images + 0.05 * grad.sign()).clamp(0, 1))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_images_and_model_of_another_dtype(dtype, convnet, images, labels):
    moved = fgsm(convnet.to(dtype), images.to(dtype), labels, eps=0.1)
    assert moved.dtype == dtype
    rounding = max(torch.finfo(dtype).eps, ROUNDING)
    assert 0.09 < (moved - images.to(dtype)).abs().max() <= 0.1 + rounding


def test_the_generator_decides_the_random_start(convnet, images, labels, seeded):
    how = {"eps": 0.1, "step": 0.01, "steps": 2}

    def attack(seed):
        return pgd(convnet, images, labels, **how, random_start=True, generator=seeded(seed))

    assert torch.equal(attack(1), attack(1))
    assert not torch.equal(attack(1), attack(2))
    assert not torch.equal(attack(1), pgd(convnet, images, labels, **how))


START = {"eps": 0.1, "step": 0, "steps": 1, "random_start": True}


def test_a_random_start_fills_the_ball(convnet, labels, seeded):
    x = torch.full((6, 1, 8, 8), 0.5)
    start = pgd(convnet, x, labels, **START, generator=seeded())
    assert 0.095 < (start - x).max() <= 0.1 + ROUNDING
    assert -0.1 - ROUNDING <= (start - x).min() < -0.095
    assert abs((start - x).mean()) < 0.02


def test_the_model_sees_images_in_range_only(convnet, images, labels, seeded):
    seen = []
    convnet.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    pgd(convnet, images, labels, **{**START, "eps": 1, "steps": 2}, generator=seeded())
    assert len(seen) == 2
    assert all(0 <= x.min() <= x.max() <= 1 for x in seen)


def test_random_starts_do_not_depend_on_batches(convnet, images, labels, seeded):
    whole = pgd(convnet, images, labels, **START, generator=seeded())
    one_after_another = seeded()
    parts = [
        pgd(convnet, *part, **START, generator=one_after_another)
        for part in zip(images.split(4), labels.split(4), strict=True)
    ]
    assert torch.equal(torch.cat(parts), whole)


def test_refusals_name_the_remedy(convnet, images, labels):
    def refused(match, model=convnet, x=images, y=labels, **changed):
        with pytest.raises(ConfigError, match=match):
            pgd(model, x, y, **{**TWENTY_STEPS, **changed})

    refused("generator", random_start=True)
    refused("normalise in the model", x=images * 2)
    refused("eps must be", eps=-0.1)
    refused("eps must be", eps=torch.nan)
    refused("step must be", step=torch.inf)
    refused("steps must be", steps=0)
    refused("6 images cannot have 5", y=labels[:5])

    class Detached(nn.Sequential):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return super().forward(images.detach())

    refused("detach", model=Detached(convnet))
    refused("detach", model=Detached(convnet).requires_grad_(False))


def test_what_may_be_mistaken_goes_by_name(convnet, images, labels):
    with pytest.raises(TypeError):
        fgsm(convnet, images, labels, 0.1)
    with pytest.raises(TypeError):
        pgd(convnet, images, labels, 0.1, 0.1, 1)
