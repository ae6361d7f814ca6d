"""What holds for every perturbation of a batch of images."""

from __future__ import annotations

import pytest
import torch

from faultsim import perturb
from faultsim.errors import ConfigError

RANDOM = {
    "patch_drop": lambda x, g: perturb.patch_drop(x, grid=4, fraction=0.5, generator=g),
    "gaussian_noise": lambda x, g: perturb.gaussian_noise(x, sigma=0.2, generator=g),
}
PERTURBATIONS = {
    **RANDOM,
    "defocus_blur": lambda x, g: perturb.defocus_blur(x, radius=3, alias_sigma=0.1),
    "fgsm": lambda x, g: perturb.fgsm(Brightness(), x, torch.zeros(len(x)), eps=0.1),
}
every = pytest.mark.parametrize("perturbed", PERTURBATIONS.values(), ids=PERTURBATIONS)
every_random = pytest.mark.parametrize("perturbed", RANDOM.values(), ids=RANDOM)


class Brightness(torch.nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        score = images.mean(dim=(1, 2, 3))
        return torch.stack([score, -score], dim=1)


@every
def test_images_stay_images_and_the_given_ones_as_they_were(perturbed, images, seeded):
    before, state = images.clone(), torch.get_rng_state()
    changed = perturbed(images, seeded())
    assert changed.shape == images.shape
    assert 0 <= changed.min() <= changed.max() <= 1
    assert not torch.equal(changed, images)
    assert torch.equal(images, before)
    assert torch.equal(torch.get_rng_state(), state)


@every
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_dtypes_return_as_they_came_and_are_rounded_once(perturbed, dtype, images, seeded):
    coarse = images.to(dtype)
    changed = perturbed(coarse, seeded())
    assert changed.dtype == dtype
    precise = perturbed(coarse.float(), seeded())
    assert torch.allclose(changed.float(), precise.to(dtype).float(), rtol=0, atol=1e-6)


@every
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_without_gradients_too(perturbed, mode, images, seeded):
    expected = perturbed(images, seeded())
    with mode():
        assert torch.equal(perturbed(images.clone(), seeded()), expected)


@every
def test_no_images_are_a_batch(perturbed, images, seeded):
    assert perturbed(images[:0], seeded()).shape == (0, 1, 8, 8)


@every
@pytest.mark.parametrize("value", [-0.01, 1.01, torch.nan, torch.inf])
def test_a_value_out_of_range_is_refused(perturbed, value, images, seeded):
    images[2, 0, 3, 4] = value
    with pytest.raises(ConfigError, match="normalise in the model"):
        perturbed(images, seeded())


@every
def test_what_is_no_batch_of_images_is_refused(perturbed, images, seeded):
    for wrong in (images[0], (images * 255).to(torch.uint8), images > 0.5):
        with pytest.raises(ConfigError, match="channels, height, width"):
            perturbed(wrong, seeded())


@every_random
def test_the_generator_decides_everything(perturbed, images, seeded):
    changed = perturbed(images, seeded(1))
    assert torch.equal(changed, perturbed(images, seeded(1)))
    assert not torch.equal(changed, perturbed(images, seeded(2)))


@every_random
def test_draws_do_not_depend_on_batches(perturbed, images, seeded):
    odd = images[..., :5, :5]  # torch draws normal numbers in groups of 16
    one_after_another = seeded()
    parts = [perturbed(part, one_after_another) for part in odd.split(4)]
    assert torch.equal(torch.cat(parts), perturbed(odd, seeded()))


@every_random
def test_images_differ_in_what_is_drawn(perturbed, images, seeded):
    alike = images[:1].expand(6, -1, -1, -1)
    changed = perturbed(alike, seeded())
    assert len({image.numpy().tobytes() for image in changed}) == 6


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@every
def test_images_on_cuda_with_a_generator_on_the_cpu(perturbed, images, seeded):
    changed = perturbed(images.cuda(), seeded())
    assert changed.is_cuda
    assert torch.allclose(changed.cpu(), perturbed(images, seeded()), atol=1e-6)
