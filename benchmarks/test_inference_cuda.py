"""A batch of weight faults in one pass of ResNet-20 on a CUDA device, and a rate to a margin."""

from __future__ import annotations

from itertools import count

import pytest
import torch

from benchmarks.peers.injectors import space_of
from benchmarks.peers.rates import BATCH, TOGETHER, subject
from faultsim import inject
from faultsim.campaign import CampaignConfig, run_campaign
from faultsim.devices import reproducibly
from faultsim.run.carried.inferences import Inferences
from faultsim.run.engine import make_engine
from faultsim.run.golden import golden_run

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
CUDA = torch.device("cuda", 0)
FLIPPED = 32


def test_faults_carried_against_flipped(against, benchmark):
    work, blocks, trials = subject(), count(), count()
    work.model.eval().to(CUDA)
    with reproducibly(1):
        batches = work.read("test", BATCH, None)
        engine = make_engine(work, batches, CUDA, replay=True)
        runs = Inferences(work, golden_run(work, batches, engine), CUDA, measured=False)
        space, images = space_of(work.model), batches[0].inputs.to(CUDA)

        def carried() -> None:
            first = next(blocks) * TOGETHER
            drawn = space.samples(1, range(first, first + TOGETHER), seed=0)
            runs.run([(faults, at % BATCH) for at, faults in enumerate(drawn)])

        def flipped() -> None:
            for _ in range(FLIPPED):
                with inject(work.model, space.sample(1, seed=1, trial=next(trials))):
                    work.run(images).cpu()

        found = against(carried, flipped, f"{TOGETHER} carried / {FLIPPED} flipped", pairs=10)
    times = TOGETHER / FLIPPED / found.value
    benchmark.extra_info["device"] = torch.cuda.get_device_name()
    benchmark.extra_info["a carried fault takes less than a flip by"] = f"{times:.1f} x"
    seconds = benchmark.stats.stats.median
    benchmark.extra_info["faults a second"] = f"{TOGETHER / seconds:.0f}"


def test_a_rate_to_a_tenth_of_a_percent(benchmark, tmp_path):
    """±0.1 % at 99 %, of the network that the peers are measured on; the process has begun."""
    asked = CampaignConfig(
        mode="estimate",
        granularity="inference",
        workload="benchmarks.peers.rates:subject",
        margin=0.001,
        confidence=0.99,
        device="cuda",
        threads=1,
        out=str(tmp_path / "out"),
    )
    result = benchmark.pedantic(lambda: run_campaign(asked), rounds=1)
    found = result.estimate
    benchmark.extra_info["device"] = torch.cuda.get_device_name()
    benchmark.extra_info["estimate"] = f"{found.value:.3%} [{found.low:.3%}, {found.high:.3%}]"
    benchmark.extra_info["trials"] = str(found.n)
    benchmark.extra_info["seconds"] = f"{benchmark.stats.stats.median:.1f}"
