"""Which scan runs: our kernel, mamba-ssm's, or plain torch."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest
import torch

from faultsim.ops import scan, scan_grid
from faultsim.ops._native import native
from faultsim.ops.scan_autograd import native_scan
from faultsim.ops.scan_reference import selective_scan_reference


class WithCuda(ModuleType):
    """The native module as a build with CUDA has it."""

    with_cuda = True
    ScanGrid = native().ScanGrid


@pytest.fixture
def mamba_ssm(monkeypatch):
    """What the scan of mamba-ssm was given, by name; it returns u."""
    taken = {}

    def selective_scan_fn(u, delta, A, B, C, D=None, z=None, delta_bias=None, delta_softplus=False):
        taken.update(u=u, z=z, D=D, bias=delta_bias, softplus=delta_softplus)
        return u

    fake = ModuleType("mamba_ssm.ops.selective_scan_interface")
    fake.selective_scan_fn = selective_scan_fn
    for name in ("mamba_ssm", "mamba_ssm.ops"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, fake.__name__, fake)
    scan._mamba_ssm.cache_clear()
    yield taken
    scan._mamba_ssm.cache_clear()


def test_mamba_ssm_is_used_where_it_is_installed_and_no_kernel_was_built(mamba_ssm, monkeypatch):
    monkeypatch.setattr(scan_grid, "runs_on_device", lambda states: False)
    assert scan._scan_for("cuda", torch.float32, 16, struck=True) is selective_scan_reference
    assert scan._scan_for("cuda", torch.float64, 16, struck=False) is selective_scan_reference
    assert scan._scan_for("meta", torch.float32, 16, struck=False) is selective_scan_reference
    found = scan._scan_for("cuda", torch.float32, 16, struck=False)
    tensors = [torch.ones(1) for _ in range(7)]
    assert found(*tensors, True, None) is tensors[0]
    expected = {"u": tensors[0], "z": None, "D": tensors[5], "bias": tensors[6], "softplus": True}
    assert mamba_ssm == expected


def test_the_own_kernel_comes_first(mamba_ssm, monkeypatch):
    """Struck or not, so that a struck scan and a golden one round alike."""
    monkeypatch.setattr(scan_grid, "native", lambda: WithCuda)
    for struck in (False, True):
        for kind in (torch.float32, torch.float64):
            assert scan._scan_for("cuda", kind, 64, struck=struck) is native_scan
        assert scan._scan_for("cuda", torch.float64, 65, struck=struck) is selective_scan_reference
    assert scan._scan_for("cuda", torch.float32, 65, struck=False) is scan._mamba_ssm()


def test_the_choice_can_be_traced():
    """On CUDA torch.compile goes through it, and cannot follow the import of the native module."""

    def chosen(u: torch.Tensor) -> torch.Tensor:
        return u + 1 if scan_grid.runs_on_device(16) else u - 1

    compiled = torch.compile(chosen, fullgraph=True, backend="eager")
    assert torch.equal(compiled(torch.zeros(2)), chosen(torch.zeros(2)))
