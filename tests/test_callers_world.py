"""A campaign on a live model leaves its caller's world as it was, however it ends.

Other libraries add warning filters and an environment variable of theirs when they are imported
for the first time (scipy, sympy, torch's compiler), so each test imports them by a first campaign.
"""

from __future__ import annotations

import logging
import os
import random
import signal
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

    run_campaign(config("first"), model=model, data=dataset)
    before = world(model)
    with pytest.raises(error) if error else nullcontext():
        run_campaign(config("second"), model=model, data=dataset, progress=progress)
    after = world(model)
    assert [name for name in before if before[name] != after[name]] == []
