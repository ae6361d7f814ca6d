"""Code that is named by import path: what cannot be found is said with where, and what is near."""

from __future__ import annotations

import pytest

from faultsim.config.importing import import_factory
from faultsim.errors import ConfigError

CODE = """
from math import sqrt as root

work_hours = 8


def work():
    return root(work_hours)
"""


@pytest.fixture(autouse=True)
def _modules(tmp_path, monkeypatch):
    (tmp_path / "near_net.py").write_text(CODE)
    (tmp_path / "needs_more.py").write_text("import not_there_either\n")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", ["not_there", "not_there.at.all", "near_net.inner"])
def test_a_missing_module_is_said_with_where_it_was_looked_for(name, tmp_path):
    with pytest.raises(ConfigError) as found:
        import_factory(f"{name}:make")
    assert str(found.value).startswith(f"cannot import {name}: ModuleNotFoundError: No module")
    where = f"; looked in the current folder ({tmp_path}) and in what is installed"
    assert str(found.value).endswith(where)


def test_a_module_that_is_there_and_lacks_another_is_not_looked_for():
    with pytest.raises(ConfigError, match=r"cannot import needs_more: .*not_there_either'$"):
        import_factory("needs_more:make")


@pytest.mark.parametrize(
    ("name", "near"),
    [("nowork", ": did you mean 'work'?"), ("work_hours", ""), ("unlike", ""), ("", "")],
)
def test_the_nearest_callable_is_named(name, near):
    with pytest.raises(ConfigError) as found:
        import_factory(f"near_net:{name}")
    assert str(found.value) == f"near_net has no callable {name!r}{near}"
