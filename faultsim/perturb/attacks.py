"""White-box attacks in the ℓ∞ ball: the fast gradient sign method, projected gradient descent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from faultsim.data.dataset import labels_of
from faultsim.errors import ConfigError
from faultsim.perturb.images import check_amount, check_images, draw_like
from faultsim.workload.metrics import loss


def fgsm(model: nn.Module, x: torch.Tensor, y: torch.Tensor, *, eps: float) -> torch.Tensor:
    """The fast gradient sign method: one step of ``eps`` up the loss.

    Source: Goodfellow et al., "Explaining and harnessing adversarial examples", ICLR 2015.

    Arguments, result and errors are those of :func:`pgd`.
    """
    return pgd(model, x, y, eps=eps, step=eps, steps=1)


def pgd(
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    *,
    eps: float,
    step: float,
    steps: int,
    random_start: bool = False,
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    """Projected gradient descent: signed steps up the loss, back into the ball after each.

    A pixel whose gradient is zero, or NaN as faulty models have it, does not move. Nothing is left
    behind on the model: no gradients, and each module in the mode it was in. The loss is the mean
    over the batch, so a gradient that all but cancels may round to another sign in another batch.

    Source: Madry et al., "Towards deep learning models resistant to adversarial attacks", ICLR
    2018.

    Args:
        model: Maps images in [0, 1] to (n, classes) logits; runs in eval mode.
        x: (n, channels, height, width) in [0, 1].
        y: (n,) or (n, 1) classes, attacked through cross entropy; or (n, classes) of 0 and 1,
            through binary cross entropy.
        eps: Radius of the ball, in units of the images.
        step: Length of a step, in units of the images.
        steps: Number of steps, at least 1.
        random_start: Whether to start at a uniformly random point of the ball, rather than ``x``.
        generator: Draws that point.

    Returns:
        Images in [0, 1], ``eps`` from ``x`` at most, up to rounding (6e-8 in float32).

    Raises:
        ConfigError: Images out of range, labels that are not one row for each, a number out of
            range, a random start without generator, or a model without a gradient.
    """
    check_images(x)
    _check(eps, step, steps)
    # Tensors made in inference mode take part in no graph; their clones do.
    with _evaluating(model), torch.inference_mode(False), torch.enable_grad():
        images = x.clone().detach().to(torch.float32)
        labels = labels_of(y).to(x.device).clone()
        if len(labels) != len(images):
            raise ConfigError(f"{len(images)} images cannot have {len(labels)} rows of labels")
        point = _random_point(images, eps, generator) if random_start else images
        for _ in range(steps):
            moved = point + step * _ascent(model, point, labels, x.dtype)
            point = (images + (moved - images).clamp(-eps, eps)).clamp(0, 1)
        return point.to(x.dtype)


def _check(eps: float, step: float, steps: int) -> None:
    check_amount("eps", eps)
    check_amount("step", step)
    if steps < 1:
        raise ConfigError(f"steps must be at least 1, not {steps}")


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def _random_point(
    images: torch.Tensor, eps: float, generator: torch.Generator | None
) -> torch.Tensor:
    if generator is None:
        raise ConfigError("a random start needs a generator: give one, seeded")
    offset = draw_like(images, generator, lambda one: one.uniform_(-eps, eps, generator=generator))
    return (images + offset).clamp(0, 1)


def _ascent(
    model: nn.Module, point: torch.Tensor, labels: torch.Tensor, dtype: torch.dtype
) -> torch.Tensor:
    """The sign of the loss's gradient, 0 where that is zero or NaN."""
    point = point.detach().requires_grad_()
    logits = model(point.to(dtype))
    found = None
    if logits.requires_grad:
        (found,) = torch.autograd.grad(loss(logits, labels), point, allow_unused=True)
    if found is None:
        raise ConfigError("no gradient of the model reaches its images: does it detach them?")
    # torch documents no sign of NaN.
    return found.sign().nan_to_num(nan=0.0)
