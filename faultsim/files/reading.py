"""Text into typed objects, strictly; whatever does not fit is one line with file and place."""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

import msgspec

from faultsim.errors import FaultSimError

T = TypeVar("T")

LARGEST = 1 << 28
"""Bytes of a document, or of a line of a journal, that are read at all."""

LONGEST = 400  # characters of a message; what it quotes comes from the file
UNFIT = (msgspec.MsgspecError, ValueError, RecursionError, OverflowError, MemoryError)
PLAINER = {
    "Object contains unknown": "unknown",
    "Object missing": "missing",
    "Expected": "expected",
    "Invalid enum value": "unknown value",
}
PLACE = re.compile(r"(?s)(.*) - at `(.*)`")


def read_json(path: Path, kind: type[T], error: type[FaultSimError]) -> T:
    """The object in a JSON file.

    Args:
        path: Of the file.
        kind: What it must be.
        error: Raised, with the file and the place in it, for what cannot be read or does not fit.
    """
    return decode(read_bytes(path, error), kind, str(path), error)


def read_bytes(path: Path, error: type[FaultSimError]) -> bytes:
    """What a file holds, refused from 256 MiB on."""
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST)
    except (OSError, ValueError) as cause:  # ValueError: a NUL in the name
        reason = cause.strerror if isinstance(cause, OSError) else cause
        raise error(f"cannot read {path}: {reason}") from None
    if len(text) == LARGEST:
        raise error(f"cannot read {path}: it is larger than 256 MiB")
    return text


def decode(text: bytes, kind: type[T], place: str, error: type[FaultSimError]) -> T:
    """The object in a JSON text; ``place`` says where the text is from."""
    try:
        return parse(text, kind)
    except UNFIT as cause:
        raise error(f"{place}: {told(cause)}") from None


def convert(value: Any, kind: Any, place: str, error: type[FaultSimError]) -> Any:
    """A value that is parsed already, as TOML is, as the type it must be."""
    try:
        return msgspec.convert(value, kind)
    except UNFIT as cause:
        raise error(f"{place}: {told(cause)}") from None


def read_lines(
    file: BinaryIO, kind: type[T], place: Path, error: type[FaultSimError]
) -> Iterator[T]:
    """The objects of a file of JSON lines; a last line without its end was never finished."""
    for number, line in enumerate(iter(lambda: file.readline(LARGEST), b""), start=1):
        if not line.endswith(b"\n"):
            return
        try:
            yield parse(line[:-1], kind)
        except UNFIT as cause:
            raise error(f"line {number} of {place} is damaged: {told(cause)}") from None


def parse(text: bytes, kind: type[T]) -> T:
    """The object in a JSON text, in which no name may be given twice.

    A name given twice is once in what is decoded, which then has fewer quotes. Only where quotes
    tell nothing, for some may be escaped, is the text read a slower way.

    Raises:
        MsgspecError, ValueError, RecursionError: It does not fit.
    """
    value: T = _decoder(cast(Hashable, kind)).decode(text)
    if b"\\" in text or _quotes(msgspec.json.encode(msgspec.json.decode(text))) != _quotes(text):
        json.loads(text, object_pairs_hook=_once)
    return value


def _quotes(text: bytes) -> int:
    return text.count(b'"')


@cache
def _decoder(kind: Hashable) -> Any:
    return msgspec.json.Decoder(kind)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice!r} is given twice")
    return table


def told(cause: BaseException) -> str:
    """The message of an error as one printable line, the place in the document first."""
    if isinstance(cause, RecursionError):
        return "it is nested too deeply"
    if isinstance(cause, MemoryError):
        return "it is too large"
    text = str(cause)
    for theirs, ours in PLAINER.items():
        text = text.replace(theirs, ours)
    if match := PLACE.fullmatch(text):
        text = f"{match[2]}: {match[1]}"
    text = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text.replace("`", ""))
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
