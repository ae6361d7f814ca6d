"""How bit flips move the pitch that CREPE hears: a regression in cents.

    pip install faultsim torchcrepe
    python examples/pitch.py

The model is the tiny CREPE of Kim et al. (2018), "CREPE: A Convolutional Representation for Pitch
Estimation", as torchcrepe ships it; the sounds are tones with overtones, in noise.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torchcrepe
from torch import nn

import faultsim
from faultsim.report import write_report

BINS, LOWEST, NEAR = 360, 1997.3794084376191, 4  # CREPE's bins of 20 cents above 10 Hz
CENTS = LOWEST + torchcrepe.CENTS_PER_BIN * torch.arange(BINS)


def tones(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Frames of 1024 samples at 16 kHz, (count, 1024), and their pitch in cents, (count,)."""
    random = torch.Generator().manual_seed(seed)
    cents = 1200 * torch.log2(80 / torch.tensor(10.0)) + 3600 * torch.rand(count, generator=random)
    time = torch.arange(torchcrepe.WINDOW_SIZE) / torchcrepe.SAMPLE_RATE
    phase = 2 * torch.pi * (10 * 2 ** (cents / 1200))[:, None] * time
    sound = sum(torch.sin(k * phase) / k for k in range(1, 5))
    sound = sound + 0.05 * torch.randn(phase.shape, generator=random)
    return (sound - sound.mean(1, keepdim=True)) / sound.std(1, keepdim=True), cents


def pitch(activations: torch.Tensor) -> torch.Tensor:
    """Cents: the mean of the bins around the highest, weighted as CREPE does; (n, 360) to (n,)."""
    distance = torch.arange(BINS, device=activations.device) - activations.argmax(1, keepdim=True)
    weights = activations * (distance.abs() <= NEAR)
    return (weights * CENTS.to(activations.device)).sum(1) / weights.sum(1).clamp_min(1e-9)


def tracker() -> nn.Module:
    """The trained model, whose weights lie in the package."""
    torchcrepe.load.model("cpu", "tiny")
    return torchcrepe.infer.model


def workload(frames: int = 64) -> faultsim.Workload:
    """The tracker, so many tones, and what counts as hearing another pitch."""
    half_a_semitone = faultsim.tasks.Regression(absolute=50, unit="cents", read=pitch)
    batches, search = tones(frames, seed=0), tones(frames, seed=1)
    return faultsim.Workload(tracker(), batches, half_a_semitone, search=search, name="crepe")


def main(
    out: str | Path = "runs/pitch",
    trials: int = 200,
    frames: int = 64,
    flips: tuple[int, ...] = (1, 4),
) -> Path:
    """A campaign, a worst-case search, and a report of both.

    Args:
        out: A folder.
        trials: Of the campaign.
        frames: How many tones.
        flips: How many at once.
    """
    work = workload(frames)
    for mode in ("random", "worst-case"):
        config = faultsim.CampaignConfig(
            mode=mode, flips=flips, trials=trials, out=f"{out}/{mode}", batch_size=frames
        )
        faultsim.run_campaign(config, work)
    return write_report([out]).page


if __name__ == "__main__":
    print(main())
