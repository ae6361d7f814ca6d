"""The page in a real browser, where there is one."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

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

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium on the PATH")


@pytest.fixture
def shown(whole, tmp_path) -> tuple[str, str]:
    """The document after its scripts have run and a column was sorted twice, and the log."""
    page = tmp_path / "report.html"
    page.write_text(whole.read_text().replace("</body>", CLICK))
    return browse(page, tmp_path / "profile")


def browse(page: Path, profile: Path) -> tuple[str, str]:
    command = [str(BROWSER), *FLAGS, f"--user-data-dir={profile}", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    return done.stdout, done.stderr


def test_it_renders_its_figures_without_errors_and_sorts(shown):
    document, log = shown
    assert document.count("<svg") == 2 * 7  # wide and narrow
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
