"""Perturbations as people type them."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from faultsim.data import Split
from faultsim.errors import ConfigError
from faultsim.perturb import Perturbation, defocus_blur, expand, gaussian_noise, perturb_split, pgd
from faultsim.perturb.perturbation import SETTINGS


def settings(text: str, side: int = 28) -> dict:
    return dict(Perturbation.parse(text, side).settings)


def test_defaults_are_those_of_the_study():
    assert settings("fgsm") == {"eps": 1 / 255}
    assert settings("pgd") == {
        "eps": 1 / 255,
        "step": 1 / 1020,
        "steps": 20,
        "random_start": False,
    }
    assert settings("pgd:eps=8/255")["step"] == 2 / 255


def test_a_severity_is_resolved_with_the_profile_of_the_size():
    assert settings("gaussian-noise:severity=3") == {
        "sigma": 0.08,
        "severity": 3,
        "profile": "cifar-10-c",
    }
    assert settings("defocus-blur:severity=1", 224)["radius"] == 3
    named = settings("gaussian-noise:severity=3,profile=medmnist-c/pneumoniamnist")
    assert named["sigma"] == 0.06


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pdg", "unknown perturbation 'pdg'"),
        ("pgd:epsilon=1", "no setting 'epsilon'"),
        ("pgd:eps=one", "'one' cannot be read"),
        ("pgd:eps=1/0", "'1/0' cannot be read"),
        ("pgd:eps", "'' cannot be read"),
        ("pgd:eps=1e400", "'1e400' cannot be read"),
        ("pgd:random_start=maybe", "use true or false"),
        ("pgd:eps=1/255,eps=2/255", "eps is given twice"),
        ("pgd:eps=-1", "eps must be"),
        ("pgd:steps=0", "steps must be"),
        ("patch-drop:fraction=2", "fraction"),
        ("patch-drop:fraction=0.5,grid=99", "grid"),
        ("gaussian-noise:sigma=-1", "sigma must be"),
        ("defocus-blur:radius=200000,alias_sigma=1", "radius must be at most"),
        ("patch-drop", "needs fraction"),
        ("gaussian-noise", "needs sigma or severity"),
        ("defocus-blur:radius=2", "needs alias_sigma or severity"),
        ("gaussian-noise:severity=9", "from 1 to 5"),
        ("gaussian-noise:severity=3,sigma=0.5", "not both"),
        ("gaussian-noise:sigma=0.5,profile=imagenet-c", "profile goes with a severity"),
        ("defocus-blur:severity=3,profile=medmnist-c/breastmnist", "has no blur"),
        ("defocus-blur:severity=3,profile=imagenet", "unknown profile"),
    ],
)
def test_what_cannot_be_meant_is_refused(text, message):
    with pytest.raises(ConfigError, match=message):
        Perturbation.parse(text, 28)


@pytest.mark.parametrize("text", [one for kind in SETTINGS for one in expand(kind)])
def test_every_sweep_can_be_parsed_and_reads_its_own_text_back(text):
    made = Perturbation.parse(text, 28)
    assert Perturbation.parse(str(made), 224) == made


@given(st.floats(1e-6, 1), st.integers(1, 99), st.booleans())
def test_text_is_exact(eps, steps, start):
    made = Perturbation.parse(f"pgd:eps={eps!r},steps={steps},random-start={start}", 28)
    assert made.settings["eps"] == eps
    assert Perturbation.parse(str(made), 28) == made


def test_bare_names_stand_for_several_settings():
    assert len(expand("gaussian-noise")) == len(expand("patch-drop")) == 5
    assert expand("gaussian-noise:severity=2") == ("gaussian-noise:severity=2",)
    assert expand("unheard-of") == ("unheard-of",)


def test_a_perturbation_is_its_function(model, images):
    labels, generator = torch.arange(6) % 3, torch.Generator()

    def apply(text: str) -> torch.Tensor:
        return Perturbation.parse(text, 8)(model, images, labels, generator.manual_seed(5))

    moved = pgd(model, images, labels, eps=0.1, step=0.025, steps=3)
    assert torch.equal(apply("pgd:eps=0.1,steps=3"), moved)
    noisy = gaussian_noise(
        images, severity=2, profile="cifar-10-c", generator=generator.manual_seed(5)
    )
    assert torch.equal(apply("gaussian-noise:severity=2"), noisy)
    blurred = defocus_blur(images, severity=5, profile="tiny-imagenet-c")
    assert torch.equal(apply("defocus-blur:severity=5,profile=tiny-imagenet-c"), blurred)
    assert torch.equal(apply("fgsm:eps=0.1"), apply("pgd:eps=0.1,step=0.1,steps=1"))


KINDS = ["pgd:eps=0.1,steps=2,random_start=true", "patch-drop:fraction=0.5", "fgsm"]
KINDS += ["gaussian-noise:sigma=0.2", "defocus-blur:severity=5"]


@pytest.mark.parametrize("text", KINDS)
def test_a_split_is_perturbed_alike_in_any_batches(text, model, images):
    split, perturbation = Split(images, torch.arange(6) % 3), Perturbation.parse(text, 8)
    sizes = (6, 6, 4)
    whole, again, parts = (
        perturb_split(perturbation, model, split, seed=3, batch_size=n) for n in sizes
    )
    assert torch.equal(whole.images, again.images)
    assert not torch.equal(whole.images, images)
    assert torch.allclose(whole.images, parts.images, atol=1e-6)
    assert torch.equal(whole.labels, split.labels)


def test_the_seed_draws_what_is_random(model, images):
    split = Split(images, torch.arange(6) % 3)
    noise = Perturbation.parse("gaussian-noise:sigma=0.2", 8)
    one, other = (perturb_split(noise, model, split, seed=seed).images for seed in (1, 2))
    assert not torch.equal(one, other)
