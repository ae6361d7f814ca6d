"""A campaign on a live model leaves its caller's world as it was, however it ends.

Also the first one of a process, in which other libraries are imported that add warning filters and
an environment variable of theirs (scipy, sympy, torch's compiler).
"""

from __future__ import annotations

import logging
import os
import random
import signal
import subprocess
import sys
import warnings
from contextlib import nullcontext

import numpy as np
import pytest
import torch

from faultsim import CampaignConfig, run_campaign


def world(model) -> dict[str, object]:
    """All that a library could change behind its caller's back, by name."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    return {
        "python's random numbers": random.getstate(),
        "numpy's": repr(np.random.get_state()),  # noqa: NPY002 - the one of callers
        "torch's": torch.get_rng_state().tolist(),
        "grad mode": torch.is_grad_enabled(),
        "inference mode": torch.is_inference_mode_enabled(),
        "requires_grad": [p.requires_grad for p in model.parameters()],
        "grad": [None if p.grad is None else p.grad.tolist() for p in model.parameters()],
        "threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "default dtype": torch.get_default_dtype(),
        "warnings": list(warnings.filters),
        "logging": (logging.root.level, list(logging.root.handlers), logging.root.disabled),
        "signals": [signal.getsignal(number) for number in signal.valid_signals()],
        "environment": dict(os.environ),
        "denormals": (torch.tensor(1e-40) * 1).item(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "matmul": (torch.get_float32_matmul_precision(), matmul.allow_tf32),
        "cudnn": (cudnn.enabled, cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32),
        "fused layers": torch.backends.mha.get_fastpath_enabled(),
        "words": [t.numpy().tobytes() for t in model.state_dict().values()],
        "hooks": [
            [list(hooks) for name, hooks in vars(module).items() if "_hooks" in name]
            for module in model.modules()
        ],
    }


@pytest.mark.parametrize("error", [None, OSError, KeyboardInterrupt])
@pytest.mark.parametrize("mode", ["random", "layer-wise", "bit-wise", "worst-case"])
def test_a_campaign_leaves_the_world_as_it_was(model, dataset, tmp_path, mode, error):
    model.head.weight.requires_grad_(False)
    model.gain.grad = torch.ones(4)

    def progress(report) -> None:
        if error is not None and report.done == 1:
            raise error

    def config(name: str) -> CampaignConfig:
        settings = {"mode": mode, "trials": 2, "flips": (1,), "include": ("gain",), "threads": 1}
        return CampaignConfig(**settings, out=str(tmp_path / name))

    before = world(model)
    with pytest.raises(error) if error else nullcontext():
        run_campaign(config("second"), model=model, data=dataset, progress=progress)
    after = world(model)
    assert [name for name in before if before[name] != after[name]] == []


FIRST = """
import os, warnings, torch, faultsim
model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3))
images = torch.rand(6, 1, 4, 4)
before = dict(os.environ), list(warnings.filters)
config = faultsim.CampaignConfig(mode="random", trials=1, flips=(1,), threads=1, out=os.sys.argv[1])
faultsim.run_campaign(config, model=model, data=(images, torch.zeros(6, dtype=int)))
assert (dict(os.environ), list(warnings.filters)) == before
"""


def test_the_first_campaign_of_a_process_leaves_no_mark(tmp_path):
    subprocess.run([sys.executable, "-c", FIRST, str(tmp_path / "a")], check=True)
