"""What a type checker makes of the public names."""

from __future__ import annotations

import subprocess
import sys

import pytest

import faultsim

pytest.importorskip("mypy")

SKIPPED = "".join(  # their stubs take most of a minute to read
    f"[mypy-{name}.*]\nfollow_imports = skip\nignore_missing_imports = true\n"
    for name in ("torch", "numpy", "scipy", "sklearn", "tyro", "rich", "matplotlib")
)
SNIPPET = """\
import faultsim
from faultsim import Fault, FaultSet, inject

faultsim.FaultSpce
faultsim.ops.flop_
reveal_type(faultsim.FaultSpace)
reveal_type(faultsim.ops.flip_)
reveal_type(faultsim.perturb.fgsm)
reveal_type(FaultSet.of([Fault("fc.weight", (3, 17), bit=30)]) + FaultSet.of(()))
faultsim.CampaignConfig(flips=(1,), trials=3, mode="Random")
"""


@pytest.mark.slow
def test_misspelt_names_are_errors_and_others_have_types(tmp_path):
    path = tmp_path / "snippet.py"
    path.write_text(SNIPPET)
    config = tmp_path / "mypy.ini"
    config.write_text(f"[mypy]\ncache_dir = {tmp_path}\nfollow_imports = silent\n{SKIPPED}")
    command = [sys.executable, "-m", "mypy", "--config-file", str(config), str(path)]
    lines = subprocess.run(command, capture_output=True, text=True).stdout.splitlines()
    found = {line.split(":")[1]: line for line in lines if "snippet.py" in line}
    assert set(found) == {"4", "5", "6", "7", "8", "9", "10"}, lines
    assert '"FaultSpce"' in found["4"]
    assert '"flop_"' in found["5"]
    for number in "6789":
        assert '"Any"' not in found[number]
    assert "FaultSet" in found["9"]
    assert "incompatible type" in found["10"]


def test_every_public_name_is_there_for_checkers_and_at_run_time():
    assert set(faultsim.__all__) <= set(dir(faultsim))
    assert all(getattr(faultsim, name) is not None for name in (*faultsim.__all__, "ops"))
    with pytest.raises(AttributeError, match="no attribute 'FaultSpce'"):
        faultsim.FaultSpce  # noqa: B018
