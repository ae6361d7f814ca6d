"""What a notebook shows, in a real kernel: a bar that ends, and results as tables."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import ClassVar

import pytest

jupytext = pytest.importorskip("jupytext")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")
from jupyter_client import KernelManager  # noqa: E402

ROOT = Path(__file__).parents[2]
CELLS = """
```python
import torch
from torch import nn
import faultsim
work = faultsim.Workload(nn.Linear(4, 3), (torch.rand(8, 4), torch.arange(8) % 3),
                         faultsim.tasks.Classification())
config = faultsim.CampaignConfig(mode="random", flips=(1,), trials=20)
result = faultsim.run_campaign(config, work)
```

```python
result
```

```python
result.rates()
```

```python
faultsim.run_campaign(config, work, progress=False)
print("done")
```
"""


class Client(nbclient.NotebookClient):
    """A client that keeps what outputs were replaced by, of which a notebook has only the last."""

    updates: ClassVar[list[str]] = []

    def process_message(self, message, *cell):
        if message["msg_type"] == "update_display_data":
            self.updates.append(message["content"]["data"]["text/html"])
        return super().process_message(message, *cell)


@pytest.fixture
def ran(tmp_path, monkeypatch):
    """The cells with what each has put out, run by this Python in an empty folder."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT), prepend=":")
    manager = KernelManager(kernel_name="python3")
    manager.kernel_spec.argv[0] = sys.executable
    notebook = jupytext.reads(CELLS, "md")
    resources = {"metadata": {"path": str(tmp_path)}}
    client = Client(notebook, km=manager, timeout=300, resources=resources)
    asyncio.run(client.async_execute())
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def html(cell) -> list[str]:
    return [out.data["text/html"] for out in cell.outputs if "text/html" in out.get("data", {})]


@pytest.mark.slow
def test_a_campaign_in_a_notebook(ran):
    running, result, rates, silent = ran
    assert 'max="20"></progress>' in Client.updates[0]
    assert html(running) == [""]  # the bar has gone
    assert "<table" in html(result)[0]
    assert "sdc" in html(rates)[0].lower()
    assert [out.get("name") for out in silent.outputs] == ["stdout"]
    assert not [out for cell in ran for out in cell.outputs if out.get("name") == "stderr"]
