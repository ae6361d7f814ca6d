"""Settings files."""

from __future__ import annotations

import pytest

from faultsim.config.toml import read_toml
from faultsim.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("batch-size = 3\nbatch_size = 4", "batch-size is given twice"),
        ("batch_size = 3\nbatch-size = 3", "batch-size is given twice"),
        ("flips = [1]\nflips = [2]", "cannot read the config file"),
        ("a = " + "[" * 9999, "cannot read the config file"),
        ("a = " + "9" * 9999, "cannot read the config file"),
    ],
)
def test_no_name_is_there_twice_and_whatever_is_no_toml_is_told(tmp_path, text, message):
    path = tmp_path / "c.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_toml(path)


def test_dashes_stand_for_underscores(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text("batch-size = 3")
    assert read_toml(path) == {"batch_size": 3}
