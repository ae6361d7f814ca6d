"""What a forward of the user's keeps for itself is no input of the model."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from faultsim import CampaignConfig, FaultSpace, Workload, run_campaign, tasks

X = torch.rand(4, 6, generator=torch.Generator().manual_seed(0))
MASK, LABELS = torch.ones(4, 6, dtype=torch.int64), torch.arange(4) % 3


class Masked(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(6, 3)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return self.head(x * mask)

    def scored(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(x)


def by_name(model, batch):
    return model(batch["x"] * 2, batch["mask"])


def by_position(model, batch):
    return model(batch[0][0].double().float(), batch[0][1].clone())


def by_another_method(model, batch):
    return model.scored(batch["x"])


def by_a_part_of_it(model, batch):
    return model.head(batch["x"])


def with_the_labels(model, batch):
    return model(batch["x"] + batch["labels"][:, None], batch["mask"])


NAMED = {"x": X, "mask": MASK, "labels": LABELS}


@pytest.mark.parametrize(
    ("forward", "batch", "fed", "kept"),
    [
        (by_name, NAMED, {"x", "mask"}, {"labels"}),
        (by_position, ((X, MASK), LABELS), {"0.0", "0.1"}, {"1"}),
        (by_another_method, NAMED, {"x"}, {"mask", "labels"}),
        (by_a_part_of_it, NAMED, {"x"}, {"mask", "labels"}),
        (with_the_labels, NAMED, {"x", "mask", "labels"}, set()),
    ],
)
def test_only_what_the_model_is_given_is_an_input(forward, batch, fed, kept):
    model = Masked()
    space = FaultSpace(model, "inputs", inputs=batch, run=lambda b: forward(model, b))
    assert {site.name for site in space.sites} == {f"(input):{name}" for name in fed}
    unfed = {name for name, why in space.skipped.items() if "does not give it" in why}
    assert unfed == {f"(input):{name}" for name in kept}


def test_a_campaign_strikes_no_labels(tmp_path):
    work = Workload(Masked(), [NAMED], tasks.Classification(3), by_name)
    config = CampaignConfig(
        mode="random", trials=20, flips=(1,), target="inputs", out=str(tmp_path / "x")
    )
    run_campaign(config, work)
    assert "labels" not in (tmp_path / "x" / "trials-0.jsonl").read_text()


def test_a_value_on_which_the_forward_fails_is_used():
    def picky(model, batch):
        assert bool((batch["mask"] == 1).all())
        return model.head(batch["x"])

    model = Masked()
    space = FaultSpace(model, "inputs", inputs=NAMED, run=lambda b: picky(model, b))
    assert {site.name for site in space.sites} == {"(input):x", "(input):mask"}
