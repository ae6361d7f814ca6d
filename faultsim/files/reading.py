"""Text into typed objects, strictly; whatever does not fit is one line with file and place."""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Iterator
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

import msgspec

from faultsim.errors import FaultSimError

T = TypeVar("T")
R = TypeVar("R", bound=msgspec.Struct)

LARGEST = 1 << 28
"""Bytes of a document, or of a line of a journal, that are read at all."""

BLOCK = 1 << 16
"""Bytes of lines that are read together; of more the garbage collector makes a task."""

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
    file: BinaryIO, kind: type[R], place: Path, error: type[FaultSimError]
) -> Iterator[R]:
    """The objects of a file of JSON lines; a last line without its end was never finished.

    Args:
        file: At its start.
        kind: Of each line. Where it omits defaults, as do the records in it, many lines are read
            together.
        place: Of the file.
        error: Raised, with the number of the line, for one that does not fit.
    """
    number = 1
    while block := file.read(BLOCK):
        block += file.readline(LARGEST)
        lines, end, torn = block.rpartition(b"\n")
        if end:
            found = _together(lines, kind)
            yield from _each(lines, kind, number, place, error) if found is None else found
            number += lines.count(b"\n") + 1
        if torn:
            return


def end_of_lines(file: BinaryIO, number: int) -> int:
    """Where the first so many lines of a file end."""
    file.seek(0)
    return sum(map(len, islice(file, number)))


def _each(
    lines: bytes, kind: type[R], first: int, place: Path, error: type[FaultSimError]
) -> Iterator[R]:
    """The objects of lines, one by one, so that one that does not fit is named by its number."""
    for number, line in enumerate(lines.split(b"\n"), start=first):
        try:
            yield parse(line, kind)
        except UNFIT as cause:
            raise error(f"line {number} of {place} is damaged: {told(cause)}") from None


def _together(lines: bytes, kind: type[R]) -> list[R] | None:
    """The objects of lines, or None where :func:`parse` may not have taken each of them.

    No value has a brace that closes and one that opens on either side of a line's end, so that
    each line is one object if there are as many. A record that omits defaults has no name that its
    text has not, so that a name given twice shows as in :func:`parse`.
    """
    if not kind.__struct_config__.omit_defaults:
        return None
    many = lines.count(b"\n") + 1
    if lines.count(b"}\n{") < many - 1 or lines[:1] != b"{" or b"\\" in lines:
        return None
    try:
        found: list[R] = _decoder(cast(Hashable, kind)).decode_lines(lines)
    except UNFIT:
        return None
    again = _ENCODER.encode_lines(found)
    return found if len(found) == many and _quotes(again) == _quotes(lines) else None


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


_ENCODER = msgspec.json.Encoder()


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
