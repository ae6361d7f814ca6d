"""A workload: a model, the batches it is run on, and what its outputs mean."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from faultsim import trees
from faultsim.errors import ConfigError
from faultsim.table import html_facts
from faultsim.targets import held
from faultsim.workload.batch import Batch, read_batches
from faultsim.workload.task import Change, Task, name_of, task_of

Forward = Callable[[nn.Module, Any], Any]
Around = Callable[[nn.Module, Callable[[], Any]], Any]
"""What a pass goes through: the model, and the pass itself, to an output."""
REPORTED, SEARCHED = "test", "val"
"""Names of the splits: what results come from, and what searches may look at."""


class Workload:
    """A model, the batches it is run on, and a task that says what an output means.

    Attributes:
        model: The model.
        task: How outputs are judged.
        name: For messages, manifests and directories.
        unit: What a sample is called.
        around: What stands between the model and its answer (a protection); None for nothing.
    """

    unit = "samples"
    around: Around | None = None

    def __init__(
        self,
        model: nn.Module,
        batches: Any,
        task: Task | Change,
        forward: Forward | None = None,
        search: Any = None,
        name: str | None = None,
    ) -> None:
        """Nothing is run or read yet.

        Args:
            model: Any module; campaigns put it in eval mode.
            batches: A ``DataLoader``, a list, anything that yields the same batches each time it
                is iterated; or a tensor, a pair of tensors or a torch ``Dataset``, which campaigns
                cut into batches. They are kept in memory.
            task: A task, or a function ``(golden, faulty, batch)`` that returns a bool for each
                sample, or several by name, the first of which is the silent data corruption.
            forward: ``(model, batch)`` to an output, the batch as it was given. By default a
                mapping goes in as keywords, without its ``labels``; of a pair the first, a tuple
                as several arguments.
            search: Batches that worst-case searches may look at; results come from ``batches``.
            name: Unless given, that of the model's class.

        Raises:
            ConfigError: No module, no task.
        """
        if not isinstance(model, nn.Module):
            found = (
                f"the class {model.__name__}"
                if isinstance(model, type)
                else f"a {type(model).__name__}"
            )
            raise ConfigError(f"the model must be an nn.Module, not {found}")
        self.model, self.task, self.name = model, task_of(task), name or type(model).__name__
        self._forward = forward
        self._sources = {REPORTED: batches, SEARCHED: search}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self._known().values())})"

    def _repr_html_(self) -> str:
        return html_facts(type(self).__name__, self._known())

    def _known(self) -> dict[str, str]:
        model, task = type(self.model).__name__, name_of(self.task)
        named = {} if self.name == model else {"name": self.name}
        searched = "" if self._sources[SEARCHED] is None else ", with search batches"
        return {**named, "model": model, "task": f"{task}{searched}"}

    def read(self, split: str, batch_size: int = 128, limit: int | None = None) -> list[Batch]:
        """The batches of a split, on the CPU.

        Args:
            split: ``test``, or ``val`` for those that searches may look at.
            batch_size: Samples in a batch, where batches are not given as such.
            limit: How many samples, from the first; None for all.

        Raises:
            ConfigError: They cannot be read.
        """
        whole = self._forward is not None
        return read_batches(self._sources[split], batch_size, limit, whole=whole)

    def run(self, inputs: Any) -> Any:
        """The output for the inputs of one batch.

        The model gets copies, for it may change what it is given.
        """
        inputs = held.map_copied(inputs, lambda _, tensor: trees.copy_of(tensor))
        if self.around is None:
            return self._passed(inputs)
        return self.around(self.model, lambda: self._passed(inputs))

    def _passed(self, inputs: Any) -> Any:
        if self._forward is not None:
            return self._forward(self.model, inputs)
        if isinstance(inputs, Mapping):
            return self.model(**inputs)
        return self.model(*inputs) if isinstance(inputs, tuple) else self.model(inputs)

    def record(self, splits: Mapping[str, Sequence[Batch]]) -> dict[str, Any]:
        """What a manifest says of the data.

        Args:
            splits: The batches, as they are run.
        """
        return {
            "name": self.name,
            "digest": digest_of(batch for part in splits.values() for batch in part),
            "task": name_of(self.task),
            "samples": {name: sum(b.size for b in part) for name, part in splits.items()},
        }


def digest_of(batches: Iterable[Batch]) -> str:
    """SHA-256 over the words of all tensors of some batches."""
    digest = hashlib.sha256()
    for batch in batches:
        for _, tensor in held.tensors((batch.inputs, batch.targets)):
            plain = tensor.detach().cpu()
            plain = plain.int_repr() if plain.is_quantized else plain
            plain = torch.view_as_real(plain) if plain.is_complex() else plain
            digest.update(f"{tensor.dtype} {tuple(tensor.shape)}\n".encode())
            digest.update(plain.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
