"""The examples run, small, and show what they claim."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

FOLDER = Path(__file__).parents[2] / "examples"


def example(name: str, needs: str | None = None) -> ModuleType:
    """An example as a module; skips where the package that it shows is missing."""
    if needs is not None and importlib.util.find_spec(needs) is None:
        pytest.skip(f"{needs} is not installed: pip install {needs}")
    spec = importlib.util.spec_from_file_location(f"example_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except ImportError as error:
        pytest.skip(f"{needs} cannot be imported: {error}")
    return module


@pytest.fixture(autouse=True)
def modules():
    """What an example stands in for is forgotten after it."""
    before = set(sys.modules)
    yield
    if "webrtcvad" not in before:
        sys.modules.pop("webrtcvad", None)


def lines(folder: Path) -> list[dict]:
    """Those of a campaign that report."""
    text = (folder / "trials-0.jsonl").read_text()
    return [line for line in map(json.loads, text.splitlines()) if "search" not in line["cell"]]


def worst(folder: Path) -> dict:
    (line,) = (each for each in lines(folder) if each["cell"]["curve"] == "worst-case")
    return line


def test_pitch(tmp_path):
    pitch = example("pitch", "torchcrepe")
    sounds, cents = pitch.tones(8, seed=5)
    with torch.no_grad():
        heard = pitch.pitch(pitch.tracker()(sounds))
    assert (heard - cents).abs().max() < 25
    page = pitch.main(tmp_path, trials=2, frames=3, flips=(1,))
    assert "off by 50 cents" in page.read_text()
    assert len(lines(tmp_path / "random")) == 2
    found = worst(tmp_path / "worst-case")
    assert found["sdc"] == found["events"]["off by 50 cents"] == 3


def test_speaker(tmp_path):
    speaker = example("speaker", "resemblyzer")
    page = speaker.main(tmp_path, trials=2, speakers=2, flips=(1,))
    assert "nearest" in page.read_text()
    assert len(lines(tmp_path / "random")) == 2
    found = worst(tmp_path / "worst-case")
    assert found["sdc"] > 0
    assert found["metrics"]["golden_similarity"] < 0.9


def test_language_model(tmp_path):
    language = example("language_model")
    page = language.main(tmp_path, trials=2, samples=3, steps=60, flips=(1,))
    assert all(word in page.read_text() for word in ("perplexity", "next-token", "first-token"))
    found = worst(tmp_path / "foretelling-worst-case")
    others = lines(tmp_path / "foretelling-random")
    lowest = min(line["metrics"]["token_accuracy"] for line in others)
    assert found["metrics"]["token_accuracy"] < lowest
    assert len(lines(tmp_path / "writing-random")) == 2


def test_fault_aware_training(tmp_path):
    shown = example("fault_aware_training").main(tmp_path, steps=2, ber=1e-3, trials=2, samples=8)
    assert list(shown) == ["trained", "trained under faults"]
    for name, figures in shown.items():
        assert figures["low"] <= figures["value"] <= figures["high"]
        assert len(lines(tmp_path / name)) == 2
    assert shown["trained"] != shown["trained under faults"]
