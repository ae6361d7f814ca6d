"""The page in a real browser, where there is one."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from faultsim.report.atlas import write_atlas

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--enable-logging=stderr", "--dump-dom",
)  # fmt: skip
CLICK = """<script>
const table = document.querySelector("details table.sortable");
const button = [...table.querySelectorAll("thead button")].find((b) => b.textContent === "value");
const values = () => [...table.tBodies[0].rows].map((row) => row.cells[3].dataset.value).join(" ");
button.click();
document.body.dataset.ascending = values();
button.click();
document.body.dataset.descending = values();
</script></body>"""

MEASURE = """<script>
const cut = (box) => box.clientWidth > 0 && box.scrollWidth > box.clientWidth + 1;
const hidden = [...document.querySelectorAll("main > section > .scroll")].filter(cut);
document.body.dataset.cut = hidden.map((box) => box.ariaLabel).join("; ");
document.body.dataset.wide = document.documentElement.scrollWidth > innerWidth;
</script></body>"""

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium on the PATH")


@pytest.fixture
def shown(whole, tmp_path) -> tuple[str, str]:
    """The document after its scripts have run and a column was sorted twice, and the log."""
    page = tmp_path / "report.html"
    page.write_text(whole.read_text().replace("</body>", CLICK))
    return browse(page, tmp_path / "profile")


def browse(page: Path, profile: Path, width: int = 1280) -> tuple[str, str]:
    size = (f"--window-size={width},1000", f"--user-data-dir={profile}")
    command = [str(BROWSER), *FLAGS, *size, page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    return done.stdout, done.stderr


def test_it_renders_its_figures_without_errors_and_sorts(shown):
    document, log = shown
    assert document.count("<svg") == 2 * 7  # each for wide and for narrow screens
    assert "CONSOLE" not in log
    ascending, descending = (
        re.findall(rf'data-{order}="([^"]*)"', document)[0].split()
        for order in ("ascending", "descending")
    )
    numbers = list(map(float, ascending))
    assert len(set(numbers)) > 3
    assert numbers == sorted(numbers)
    assert list(map(float, descending)) == numbers[::-1]
    assert re.findall(r'<th [^>]*aria-sort="(\w+)"', document) == ["descending"]


@pytest.mark.parametrize("width", [500, 900])
def test_no_table_of_an_atlas_is_cut_off(layer_wise, worst_case, tmp_path, width):
    page = write_atlas([layer_wise, worst_case], tmp_path / "atlas.html")
    page.write_text(page.read_text().replace("</body>", MEASURE))
    document, _ = browse(page, tmp_path / "profile", width)
    assert 'data-cut=""' in document
    assert 'data-wide="false"' in document
