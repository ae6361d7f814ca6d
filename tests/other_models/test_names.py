"""Names that wrappers, factories and objects bring along.

What is tested elsewhere: every known prefix and wrapper of a checkpoint, and what is said of it, in
tests/models/test_checkpoint.py; what factories are asked for in tests/models/test_factories.py.
"""

from __future__ import annotations

import pytest
import torch
from torch import nn

from faultsim import CampaignConfig, FaultSpace, Workload, run_campaign, tasks


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 3)).eval()


@pytest.mark.parametrize("target", ["weights", "activations"])
@pytest.mark.parametrize("wrapped", ["when struck", "when written"])
def test_a_fault_file_of_the_bare_model_and_its_data_parallel(
    campaign, rows, target, wrapped, tmp_path
):
    bare, outer = net(), nn.DataParallel(net())
    written, struck = (outer, bare) if wrapped == "when written" else (bare, outer)
    faults = FaultSpace(written, target, inputs=rows[0], bits="30").sample(8, seed=0)
    file = tmp_path / "faults.json"
    file.write_text(faults.to_json())
    settings = {"mode": "from-file", "faults": str(file)}
    own = campaign(Workload(written, [rows], tasks.Classification(3)), **settings)
    other = campaign(Workload(struck, [rows], tasks.Classification(3)), **settings)
    assert own.cells[0].rates == other.cells[0].rates
    assert own.cells[0].rates["masked"].value < 1


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small"])
def test_a_factory_that_takes_anything_is_asked_by_its_signature(campaign, name):
    pytest.importorskip("torchvision", exc_type=ImportError)
    data = torch.rand(2, 3, 32, 32), torch.tensor([0, 1])
    assert campaign(model=f"torchvision.models:{name}", data=data).golden.n == 2


def test_a_live_model_and_live_data_name_their_directory(tmp_path, monkeypatch, rows):
    monkeypatch.chdir(tmp_path)

    class Detector(nn.Sequential):
        pass

    model = Detector(nn.Linear(8, 3))
    config = CampaignConfig(mode="random", trials=1, flips=(1,))
    named = run_campaign(config, model=model, data=rows).directory
    assert str(named) == "runs/random-Detector-data-1"
    work = Workload(model, [rows], tasks.Classification(3), name="boxes")
    assert str(run_campaign(config, work).directory) == "runs/random-boxes-1"
