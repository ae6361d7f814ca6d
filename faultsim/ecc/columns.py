"""Parity-check columns: few ones, and as many in each row, which makes a decoder small and fast."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations


def hsiao_columns(data_bits: int, check_bits: int) -> list[int]:
    """Those of a code that corrects one error and detects two: distinct, each of odd weight.

    The sum of two columns has even weight, so that it is none of them (M. Y. Hsiao, "A class of
    optimal minimum odd-weight-column SEC-DED codes", IBM J. Res. Dev. 14, 1970, 395-401).
    """
    return balanced_columns(data_bits, check_bits, range(3, check_bits + 1, 2))


def hamming_columns(data_bits: int, check_bits: int) -> list[int]:
    """Those of a code that corrects one error: distinct, each of two ones at least."""
    return balanced_columns(data_bits, check_bits, range(2, check_bits + 1))


def balanced_columns(data_bits: int, check_bits: int, weights: Iterable[int]) -> list[int]:
    """The lightest columns of some weights; of the last weight those that keep rows alike."""
    chosen: list[int] = []
    rows = [0] * check_bits
    for weight in weights:
        left = list(combinations(range(check_bits), weight))
        while left and len(chosen) < data_bits:
            column = min(left, key=lambda ones: _unbalance(rows, ones))
            left.remove(column)
            chosen.append(sum(1 << row for row in column))
            for row in column:
                rows[row] += 1
    return chosen


def _unbalance(rows: Sequence[int], ones: Sequence[int]) -> int:
    """The sum of squares of ones in each row, with one column more."""
    return sum((count + (row in ones)) ** 2 for row, count in enumerate(rows))
