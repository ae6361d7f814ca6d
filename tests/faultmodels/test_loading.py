"""Fault models as files: what is shipped, and what is refused in one line with its place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from faultsim.errors import ConfigError
from faultsim.faultmodels import NAMES, load_fault_model
from faultsim.faults.patterns import PATTERNS

GOOD = 'source = "mine"\n[[event]]\nprobability = 1.0\npattern = "bit"\n'


@pytest.mark.parametrize("name", NAMES)
def test_shipped_ones_say_where_they_are_from(name):
    model = load_fault_model(name)
    assert model.name == name
    assert len(model.source) > 40
    assert sum(event.probability for event in model.event) == pytest.approx(1)
    assert model.to_json()["digest"] == load_fault_model(name).digest


def test_a_file_has_the_name_of_the_file(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(GOOD)
    assert load_fault_model(str(path)).name == "mine"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("source = ", "at end of document"),
        ("[[event]]\nprobability=1.0\npattern='bit'\n", "missing required field source"),
        ("source='x'\n", "missing required field event"),
        ("source='x'\nevent=[]\n", r"\$.event: expected array of length >= 1"),
        (GOOD.replace("1.0", "0.5"), "the probabilities add up to 0.5, not 1"),
        (GOOD.replace("1.0", "-1.0"), r"\$.event\[0\].probability"),
        (GOOD.replace("1.0", "'all'"), r"\$.event\[0\].probability: expected float, got str"),
        (GOOD.replace("bit", "bite"), r"\$.event\[0\].pattern: unknown 'bite'.*'bit'"),
        (GOOD.replace("bit", "dram-raw"), "did you mean 'dram-row'"),
        (GOOD.replace("bit", "quark"), "there are bit, adjacent-bits"),
        (GOOD.replace("pattern", "patern"), r"\$.event\[0\]: missing required field pattern"),
        (GOOD + "width = 2\n", r"\$.event\[0\]: unknown field width"),
        (GOOD.replace("bit", "adjacent-bits"), "missing required field width"),
        (GOOD.replace("bit", "adjacent-bits") + "width = 0\n", r"\$.event\[0\].width"),
        (GOOD.replace("bit", "adjacent-bits") + "width = {1 = 0.5}\n", "width: the prob.* to 0.5"),
        (GOOD.replace("bit", "adjacent-bits") + "width = {two = 1.0}\n", "'two' is no size"),
        (GOOD.replace("bit", "line") + "bytes = 48\n", "bytes 48 is no power of two"),
        (GOOD.replace("bit", "dram-row") + "row_bytes = 100\n", "no multiple of the 32 bytes"),
        (GOOD.replace("bit", "lane") + "period = 33\n", "no multiple of the warp's 32"),
        (GOOD.replace("bit", "scattered-bits") + "count = 8\nbytes = 0\n", "bytes: expected int"),
        (GOOD + "density = 0\n", r"\$.event\[0\].density"),
        (GOOD + "op = 'flop'\n", r"\$.event\[0\].op: unknown value"),
        ("fit_per_mbit = -1.0\n" + GOOD, r"\$.fit_per_mbit"),
        ("fit_per_mbit = nan\n" + GOOD, "fit_per_mbit"),
        ("surce = 'x'\n" + GOOD, "unknown field surce"),
        (GOOD + "probability = 1.0\n", "Cannot overwrite"),
        ("\x00", "line 1"),
    ],
)  # fmt: skip
def test_bad_files_are_one_line_with_the_place(tmp_path, text, message):
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as error:
        load_fault_model(str(path))
    assert "bad.toml" in str(error.value)
    assert "\n" not in str(error.value)


def test_names_are_corrected():
    with pytest.raises(ConfigError, match="did you mean 'hbm2'"):
        load_fault_model("hbm")
    with pytest.raises(ConfigError, match=r"cannot read nowhere\.toml"):
        load_fault_model("nowhere.toml")


def test_the_page_shows_a_file_that_loads_and_names_every_pattern(tmp_path):
    page = Path(__file__).parents[2] / "docs" / "fault_models.md"
    text = page.read_text(encoding="utf-8")
    shown = re.search(r"^```toml\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert shown is not None
    path = tmp_path / "shown.toml"
    path.write_text(shown[1], encoding="utf-8")
    assert load_fault_model(str(path)).fit_per_mbit == 25.0
    assert all(f"`{name}`" in text for name in (*PATTERNS, *NAMES))
