"""How bit flips change whom a speaker recogniser hears: embeddings and their nearest neighbours.

    pip install faultsim Resemblyzer
    python examples/speaker.py

The model is the LSTM of Wan et al. (2018), "Generalized End-to-End Loss for Speaker Verification",
as Resemblyzer ships it. The voices are synthetic: a buzz through three resonances, in noise.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import torch

import faultsim
from faultsim.report import write_report

# It cuts silences, which there are none of here, and cannot be imported beside setuptools 81.
sys.modules.setdefault("webrtcvad", ModuleType("webrtcvad"))

from resemblyzer import VoiceEncoder  # noqa: E402
from resemblyzer.audio import wav_to_mel_spectrogram  # noqa: E402

RATE, SECONDS = 16_000, 1.6


def voice(speaker: int, utterance: int) -> torch.Tensor:
    """A mel spectrogram, (frames, 40): the speaker sets pitch and resonances, the rest varies."""
    who, how = np.random.default_rng(speaker), np.random.default_rng((speaker, utterance, 1))
    time = np.arange(int(RATE * SECONDS)) / RATE
    pitch = who.uniform(80, 250) * (1 + 0.05 * np.sin(2 * np.pi * how.uniform(1, 4) * time))
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    resonances = who.uniform((300, 900, 2200), (800, 2000, 3200))
    sound = 0.01 * how.standard_normal(len(time))
    for k in range(1, 30):
        gains = 1 / (1 + ((k * pitch[:, None] - resonances) / 100) ** 2)
        sound += gains.sum(1) * np.sin(k * phase)
    return torch.from_numpy(wav_to_mel_spectrogram((0.1 * sound).astype(np.float32)))


def voices(speakers: int, utterances: range) -> tuple[torch.Tensor, torch.Tensor]:
    """Spectrograms (n, frames, 40), and who speaks, (n,)."""
    pairs = [(speaker, utterance) for speaker in range(speakers) for utterance in utterances]
    return torch.stack([voice(*pair) for pair in pairs]), torch.tensor([who for who, _ in pairs])


def workload(speakers: int = 8) -> faultsim.Workload:
    """The recogniser, so many voices, and what counts as hearing another."""
    encoder = VoiceEncoder("cpu", verbose=False).eval()
    with torch.no_grad():
        enrolled = encoder(voices(speakers, range(1))[0])
    task = faultsim.tasks.Embedding(distance=0.1, gallery=enrolled)
    batches, search = voices(speakers, range(1, 4)), voices(speakers, range(4, 6))
    return faultsim.Workload(encoder, batches, task, search=search, name="resemblyzer")


def main(
    out: str | Path = "runs/speaker",
    trials: int = 100,
    speakers: int = 8,
    flips: tuple[int, ...] = (1, 2),
) -> Path:
    """A campaign, a worst-case search, and a report of both.

    Args:
        out: A folder.
        trials: Of the campaign.
        speakers: How many.
        flips: How many at once.
    """
    work = workload(speakers)
    for mode in ("random", "worst-case"):
        config = faultsim.CampaignConfig(mode=mode, flips=flips, trials=trials, out=f"{out}/{mode}")
        faultsim.run_campaign(config, work)
    return write_report([out]).page


if __name__ == "__main__":
    print(main())
