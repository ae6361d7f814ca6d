"""A tensor's bytes in the order in which they lie in memory, and check bits packed beside them."""

from __future__ import annotations

import torch

from faultsim.ecc import Code
from faultsim.targets.words import words_of
from faultsim.trees import span


def why_not_dense(tensor: torch.Tensor) -> str:
    """Why a tensor is no run of bytes in memory; "" if it is."""
    words = words_of(tensor)
    if isinstance(words, str):
        return words
    return "" if span(words) == words.numel() else "its words do not lie side by side in memory"


def bytes_of(tensor: torch.Tensor) -> torch.Tensor:
    """A view: (nbytes,) uint8, as they lie in memory whatever the strides; dense tensors only."""
    words = words_of(tensor.detach())
    assert isinstance(words, torch.Tensor)
    flat = words.as_strided((words.numel(),), (1,), words.storage_offset())
    return flat.view(torch.uint8)


def words_in(memory: torch.Tensor, code: Code, words: torch.Tensor | None = None) -> torch.Tensor:
    """Code words' data: (n, data_bytes) uint8, the last filled up with zeros.

    Args:
        memory: (nbytes,) uint8.
        code: Tells how long a word is.
        words: Numbers of those wanted; None for all.
    """
    count = number_of_words(memory, code)
    padded = torch.nn.functional.pad(memory, (0, count * code.data_bytes - len(memory)))
    rows = padded.view(count, code.data_bytes)
    return rows if words is None else rows[words]


def number_of_words(memory: torch.Tensor, code: Code) -> int:
    """Code words that so many bytes take, the last perhaps in part."""
    return -(-len(memory) // code.data_bytes)


def packed_checks(checks: torch.Tensor, code: Code) -> torch.Tensor:
    """Check bits of all words, one after the other without a gap.

    Args:
        checks: (n, check_bytes) uint8.
        code: Tells how many bits of them there are.

    Returns:
        (ceil(n * check_bits / 8),) uint8.
    """
    bits = _bits(checks)[:, : code.check_bits].reshape(-1)
    bits = torch.nn.functional.pad(bits, (0, -len(bits) % 8))
    return _bytes(bits.view(-1, 8))


def checks_in(packed: torch.Tensor, code: Code, words: torch.Tensor) -> torch.Tensor:
    """Check bytes of some words: (n, check_bytes) uint8, from :func:`packed_checks`."""
    places = words[:, None] * code.check_bits + torch.arange(code.check_bits, device=words.device)
    bits = packed[places // 8] >> (places % 8).to(torch.uint8) & 1
    bits = torch.nn.functional.pad(bits, (0, 8 * code.check_bytes - code.check_bits))
    return _bytes(bits.view(-1, 8)).view(len(words), code.check_bytes)


def struck_words(changed: torch.Tensor, checks: torch.Tensor, code: Code) -> torch.Tensor:
    """Numbers of the words of which some bit is another.

    Args:
        changed: (nbytes,) uint8, bits of the data that are others than were written.
        checks: (m,) uint8, the same of packed check bits.
        code: Tells how long a word is.
    """
    of_data = changed.nonzero()[:, 0] // code.data_bytes
    of_checks = _bits(checks[:, None]).reshape(-1).nonzero()[:, 0] // code.check_bits
    found = torch.unique(torch.cat([of_data, of_checks]))
    wanted: torch.Tensor = found[found < number_of_words(changed, code)]  # others are padding
    return wanted


def _bits(numbers: torch.Tensor) -> torch.Tensor:
    """(n, k) uint8 to (n, 8k), the least significant first."""
    shifts = torch.arange(8, dtype=torch.uint8, device=numbers.device)
    return (numbers[:, :, None] >> shifts & 1).flatten(1)


def _bytes(bits: torch.Tensor) -> torch.Tensor:
    """(n, 8) uint8 to (n,)."""
    shifts = torch.arange(8, dtype=torch.uint8, device=bits.device)
    return (bits << shifts).sum(1).to(torch.uint8)
