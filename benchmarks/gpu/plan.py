"""What is run on a GPU: first what times nothing, all at once, then the benchmarks."""

from __future__ import annotations

import sys

from benchmarks.gpu.campaign import CAMPAIGNS
from benchmarks.gpu.steps import Step

PYTEST = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q")
JUNIT = "--junitxml={out}/junit.xml"
SANITIZERS = ("memcheck", "racecheck", "synccheck", "initcheck")
PARTS = {"test_words": "words", "not test_words": "others"}
BENCHMARKS = {
    "test_cuda": 100,
    "test_scan_cuda": 60,
    "test_trial_cuda": 150,
    "test_inference_cuda": 90,
}
"""Files, and the seconds they may take."""
SHARED = ("architectures", "inference")
SHARES = 3
"""What several processes share, and how many."""

# Without the caching allocator each tensor has bounds of its own, and is known to be unwritten; but
# nothing that allocates can be captured. Where unwritten memory is sought, torch's kernels must be
# watched too, which takes long: fewer tests there.
EXACT_MEMORY = (("PYTORCH_NO_CUDA_MEMORY_CACHING", "1"),)
FEWER = "not (transposed or narrowed or channels_last or strided or at_once)"
KERNEL_TESTS = {
    "memcheck": "cuda and not graph",
    "initcheck": f"cuda and not graph and {FEWER}",
}


def _suite() -> Step:
    return Step("tests", (*PYTEST, "tests", "-k", "cuda", "--numprocesses=4", JUNIT), 200)


def _sanitizer(tool: str, part: str) -> Step:
    """Tests of the kernels; torch's own kernels are left alone where that is possible."""
    ours = () if tool == "initcheck" else ("--kernel-name", "kernel_substring=faultsim")
    options = ("--tool", tool, *ours, "--error-exitcode", "9", "--print-limit", "20")
    tests = ("tests/ops", "-k", f"{KERNEL_TESTS.get(tool, 'cuda')} and {part}", "-p", "no:xdist")
    environment = EXACT_MEMORY if tool in KERNEL_TESTS else ()
    return Step(
        f"{tool}-{PARTS[part]}", ("compute-sanitizer", *options, *PYTEST, *tests), 300, environment
    )


def _campaign(name: str) -> Step:
    command = (sys.executable, "-m", "benchmarks.gpu.campaign", name, "{out}")
    return Step(f"campaign-{name.replace(' ', '-')}", command, 300)


def _share(name: str, share: int) -> Step:
    command = (sys.executable, "-m", f"benchmarks.gpu.{name}", f"{share}/{SHARES}", "{out}")
    return Step(f"{name}-{share}", command, 300)


def _benchmark(name: str, limit: int) -> Step:
    options = ("-p", "no:xdist", "--benchmark-json={out}/benchmarks.json")
    return Step(name, (*PYTEST, f"benchmarks/{name}.py", *options), limit)


TOGETHER = [
    _suite(),
    *(_sanitizer(tool, part) for tool in SANITIZERS for part in PARTS),
    *map(_campaign, CAMPAIGNS),
    *(_share(name, share) for name in SHARED for share in range(SHARES)),
]
ALONE = [_benchmark(name, limit) for name, limit in BENCHMARKS.items()]
