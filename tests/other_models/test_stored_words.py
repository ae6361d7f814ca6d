"""Weights in any form: struck and restored, or left out with the true reason.

What is tested elsewhere: reasons word by word in tests/targets/test_words.py, a sharded model
(DTensor) and torchao's weights one by one in tests/targets/test_weights.py.
"""

from __future__ import annotations

import pytest
import torch
from torch import nn

from faultsim import FaultSimError, FaultSpace, Workload, inject, tasks


class Holds(nn.Module):
    """A linear layer, and beside it something that is used."""

    def __init__(self, kept: torch.Tensor, use, parameter: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.fc, self.use = nn.Linear(8, 3), use
        if parameter:
            self.kept = nn.Parameter(kept, requires_grad=False)
        else:
            self.register_buffer("kept", kept)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.use(self.fc(x), self.kept)


EXPANDED = torch.ones(1, 3).expand(6, 3), torch.add
SPARSE = torch.eye(3).to_sparse(), lambda y, kept: torch.sparse.mm(kept, y.T).T
COMPRESSED = torch.eye(3).to_sparse_csr(), lambda y, kept: (kept @ y.T).T
BOOLEAN = torch.tensor([True, False, True]), torch.mul
INTEGER = torch.arange(3), lambda y, kept: y.index_select(1, kept)
COMPLEX = torch.tensor([1 + 2j, 2 - 1j, 0.5j]), lambda y, kept: (y * kept).abs()


@pytest.mark.parametrize(
    ("kept", "reason"),
    [
        (EXPANDED, "share one word"),
        (SPARSE, "layout is sparse_coo"),
        (COMPRESSED, "layout is sparse_csr"),
        (BOOLEAN, "bool has one bit"),
        (INTEGER, "integer buffer .*--integers strikes it"),
    ],
)
def test_what_is_no_site_has_its_reason_and_does_not_stop_a_campaign(campaign, rows, kept, reason):
    model = Holds(*kept)
    space = FaultSpace(model)
    assert {site.name for site in space.sites} == {"fc.weight", "fc.bias"}
    for patterns in ({}, {"exclude": "kept"}):
        assert "kept" not in {site.name for site in FaultSpace(model, **patterns).sites}
    with pytest.raises(FaultSimError, match=f"only what cannot be struck: kept: .*{reason}"):
        FaultSpace(model, include="kept")
    work = Workload(model, [rows], tasks.Classification(3))
    for target in ("weights", "activations"):
        campaign(work, target=target)


def test_complex_words_are_struck_through_their_real_view(campaign, rows):
    model = Holds(*COMPLEX, parameter=True)
    work = Workload(model, [rows], tasks.Classification(3), search=[rows])
    (site,) = FaultSpace(model, include="kept").sites
    assert (site.shape, site.dtype) == ((3, 2), "float32")
    before = model.kept.clone()
    with inject(model, FaultSpace(model, include="kept", bits="30").sample(1, seed=0)):
        assert (torch.view_as_real(model.kept) != torch.view_as_real(before)).sum() == 1
    assert torch.equal(model.kept, before)
    campaign(work, include=("kept",))


def test_integer_buffers_are_struck_where_that_is_set_or_named(campaign, rows):
    model = Holds(*INTEGER)
    work = Workload(model, [rows], tasks.Classification(3))
    assert campaign(work, integers=True, include=("kept",), bits="0-1").cells[0].trials == 3
    faults = FaultSpace(model, integers=True, include="kept").sample(1, seed=0)
    assert campaign(work, [faults]).cells[0].trials == 1


@pytest.mark.parametrize("form", ["Int8WeightOnlyConfig", "Float8WeightOnlyConfig", "int4"])
@pytest.mark.parametrize("mode", ["random", "worst-case"])
def test_torchaos_quantised_weights_are_struck_inside(campaign, form, mode):
    quantization = pytest.importorskip("torchao.quantization")
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 8)).eval()
    config = getattr(quantization, form, None) or quantization.IntxWeightOnlyConfig
    quantization.quantize_(model, config(*([torch.int4] if form == "int4" else [])))
    names = {site.name for site in FaultSpace(model).sites}
    assert {"0.weight:qdata", "0.weight:scale", "2.weight:qdata"} <= names
    batch = torch.rand(6, 64), torch.arange(6)
    work = Workload(model, [batch], tasks.Classification(8), search=[batch])
    assert campaign(work, mode=mode).cells


def test_layers_of_a_deep_model_are_told_in_one_walk(monkeypatch):
    looked, plain = [], FaultSpace._part

    def counted(space, sites, bits):
        looked.append(len(sites))
        return plain(space, sites, bits)

    monkeypatch.setattr(FaultSpace, "_part", counted)
    model = nn.ModuleList(nn.Linear(1, 1) for _ in range(3000))
    space = FaultSpace(model)
    assert len(space.layers()) == 3000
    assert sum(looked) == len(space.sites)  # each once: not every site for every layer
