"""What sees the operators of a pass."""

from __future__ import annotations

from torch.utils._python_dispatch import TorchDispatchMode


class Dispatch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A mode for models that are not compiled.

    torch would have its compiler step aside at every operator, and import it for that: seconds of
    a process that compiles nothing.
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False
