"""The recipe for a task works as it is printed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import torch
from torch import nn

import faultsim

ROOT = Path(__file__).parents[2]


def blocks(path: str) -> list[str]:
    """The Python code of a document."""
    text = (ROOT / path).read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


class Counter(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(1, 4, 3), nn.Linear(4, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return 9 * self.head(self.conv(images).relu().mean((2, 3)))[:, 0]


def test_the_recipe_adds_a_task(tmp_path):
    names = {"faultsim": faultsim, "torch": torch}
    for code in blocks("CONTRIBUTING.md"):
        exec(code, names)
    torch.manual_seed(0)
    model = Counter().eval()
    pairs = [(torch.rand(n, 1, 6, 6), torch.full((n,), 2.0)) for n in (6, 6, 3)]
    work = faultsim.Workload(model, pairs, names["Counting"](), search=pairs[:1])
    lines = {}
    for mode in ("random", "worst-case"):
        for replay in (True, False):
            out = tmp_path / f"{mode}-{replay}"
            config = faultsim.CampaignConfig(
                mode=mode, trials=5, flips=(1, 2), bits="exponent", replay=replay, out=str(out)
            )
            result = faultsim.run_campaign(config, work)
            lines[mode, replay] = (out / "trials-0.jsonl").read_text()
            assert result.cells[0].objective == "exact"
        assert lines[mode, True] == lines[mode, False]
    first = json.loads(lines["random", True].splitlines()[0])
    assert first["n"] == 15
    assert first["events"].keys() == {"half"}
    assert first["metrics"].keys() == {"exact"}


def test_every_block_compiles():
    assert blocks("CONTRIBUTING.md")
    for code in blocks("CONTRIBUTING.md"):
        compile(code, "CONTRIBUTING.md", "exec")
