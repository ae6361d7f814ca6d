"""What the documents show works as it is printed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from torch import nn

import faultsim

ROOT = Path(__file__).parent.parent


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


def test_the_readme_runs_a_task_of_ones_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    pairs = [(torch.rand(n, 6), torch.rand(n, 2)) for n in (4, 3)]
    names = {"faultsim": faultsim, "torch": torch, "pairs": pairs, "regressor": nn.Linear(6, 2)}
    (code,) = [block for block in blocks("README.md") if "class Distance" in block]
    exec(code, names)
    assert names["result"].cells[0].objective == "within"


@pytest.mark.parametrize("path", ["CONTRIBUTING.md", "README.md"])
def test_every_block_compiles(path):
    assert blocks(path)
    for code in blocks(path):
        compile(code, path, "exec")
