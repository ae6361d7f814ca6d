"""The compiled module: found, and plain about it when it is not."""

from __future__ import annotations

import os
import subprocess
import sys
import types

import pytest
import torch

from faultsim import ops
from faultsim.errors import NativeError
from faultsim.ops._native import ABI, native


@pytest.fixture
def forget():
    native.cache_clear()
    yield
    native.cache_clear()


def test_the_module_says_what_it_is():
    assert native().abi == ABI
    assert native().isa in ("baseline", "avx2", "avx512")
    assert isinstance(native().with_cuda, bool)


def test_a_missing_module_is_one_sentence_at_first_use(forget, monkeypatch):
    monkeypatch.setitem(sys.modules, "faultsim._C", None)
    with pytest.raises(NativeError, match=r"cannot be loaded.*reinstall") as caught:
        ops.flip_(torch.zeros(1), 0, 1)
    assert "\n" not in str(caught.value)


def test_a_stale_module_is_refused(forget, monkeypatch):
    monkeypatch.setitem(sys.modules, "faultsim._C", types.SimpleNamespace(abi=ABI - 1))
    with pytest.raises(NativeError, match="compiled for another faultsim"):
        ops.flip_(torch.zeros(1), 0, 1)


def test_import_survives_a_missing_module():
    code = "import sys; sys.modules['faultsim._C'] = None; import faultsim; faultsim.FaultSpace"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_an_unknown_instruction_set_is_named():
    code = "from faultsim.ops._native import native; native()"
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "FAULTSIM_ISA": "mmx"},
        capture_output=True,
        text=True,
    )
    assert "NativeError" in result.stderr
    assert "FAULTSIM_ISA=mmx is not available here" in result.stderr
