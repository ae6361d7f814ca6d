"""One way to read: typed, strict, and one line for whatever does not fit."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import field

from faultsim.errors import JournalError
from faultsim.files import (
    Count,
    Record,
    Scalar,
    Share,
    decode,
    end_of_lines,
    json_schema,
    read_json,
    read_lines,
)
from faultsim.files import reading as reading_module


class Point(Record, omit_defaults=True):
    name: str
    at: Count
    share: Share = 0.5
    more: dict[str, Scalar] = field(default_factory=dict)


POINTS = st.builds(
    Point,
    name=st.text(st.characters(exclude_categories=["Cs"])),
    at=st.integers(0, 2**53),
    share=st.floats(0, 1),
    more=st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
        st.none()
        | st.booleans()
        | st.integers()
        | st.text(st.characters(exclude_categories=["Cs"])),
    ),
)


def written(point: Point) -> bytes:
    return json.dumps(
        {"name": point.name, "at": point.at, "share": point.share, "more": point.more},
        ensure_ascii=False,
    ).encode()


def refused(text: bytes) -> str:
    with pytest.raises(JournalError) as caught:
        decode(text, Point, "p.json", JournalError)
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 600
    return message


@given(POINTS)
def test_what_was_written_is_read(point):
    assert decode(written(point), Point, "p.json", JournalError) == point


@given(POINTS, st.data())
def test_no_mutation_of_the_bytes_ends_in_another_exception(point, data):
    text = bytearray(written(point))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(text)))
        width = data.draw(st.integers(0, 3))
        text[place : place + width] = data.draw(st.binary(max_size=4))
    try:
        decode(bytes(text), Point, "p.json", JournalError)
    except JournalError as error:
        told = str(error)
    else:
        told = ""
    assert told.isprintable()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"name": "a", "at": 1.5}', "p.json: $.at: expected int, got float"),
        ('{"name": "a", "at": 1.0}', "$.at: expected int, got float"),
        ('{"name": "a", "at": true}', "$.at: expected int, got bool"),
        ('{"name": "a", "at": Infinity}', "malformed"),
        ('{"name": "a", "at": -1}', "$.at: expected int >= 0"),
        ('{"name": "a", "at": 18446744073709551616}', "$.at: expected int <="),
        ('{"name": "a", "at": ' + "9" * 10_000 + "}", "$.at: "),
        ('{"name": "a", "at": 1, "share": 1e999}', "$.share: Number out of range"),
        ('{"name": "a", "at": 1, "share": 1.5}', "$.share: expected float <= 1"),
        ('{"name": "a", "at": 1, "of": 2}', "unknown field of"),
        ('{"name": "a"}', "missing required field at"),
        ('{"name": "a", "at": 1, "at": 2}', "'at' is given twice"),
        ('{"name": "a", "at": 1, "more": {"b": 1, "b": 1}}', "'b' is given twice"),
        ('{"name": "a", "at": 1, "\\u0061t": 1}', "'at' is given twice"),
        ("[" * 100_000, "expected object, got array"),
        ('{"name": "a", "at": 1, "more": ' + '{"b":' * 100_000, "$.more"),
        ('{"name": "a", "at": 1} {}', "trailing"),
        ('{"name": "\udcff", "at": 1}', "utf-8"),
        ('{"name": "a\0", "at": 1}', "malformed"),
        ('{"name": "a", "at": 1, "x\\ny\\u001b": 1}', "unknown field"),
        ("", "truncated"),
        ("\0\0", "malformed"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_one_line_with_its_place(text, told):
    assert told in refused(text.encode(errors="surrogateescape"))


def test_values_of_any_depth_are_no_way_around():
    with pytest.raises(JournalError, match=r"x: .*(nested too deeply|recursion)"):
        decode(b'{"a":' * 100_000, dict[str, object], "x", JournalError)


def test_lines_are_numbered_and_an_unfinished_one_is_left_out():
    text = b'{"name":"a","at":1}\n{"name":"b","at":2}\n{"name":"c","a'
    lines = list(read_lines(io.BytesIO(text), Point, Path("j"), JournalError))
    assert [line.name for line in lines] == ["a", "b"]
    with pytest.raises(JournalError, match=r"line 2 of j is damaged: \$\.at: expected int"):
        list(read_lines(io.BytesIO(text.replace(b"2}", b"2.5}")), Point, Path("j"), JournalError))
    twice = b'{"name":"a","at":1,"at":1}\n'
    with pytest.raises(JournalError, match="line 1 of j is damaged: 'at' is given twice"):
        list(read_lines(io.BytesIO(twice), Point, Path("j"), JournalError))


PIECES = ['{"name":"a","at":1}', '{"name":"a","at":1.5}', '{"name":"a","at":1,"at":1}', "", " "]
PIECES += ["[]", "{}", '"a"', '{"name":"a\\n","at":1}', '{"name":', '"a","at":1}', ",", "}", "{"]


@given(st.lists(st.lists(st.sampled_from(PIECES), max_size=3).map("".join), max_size=6), st.data())
def test_lines_read_together_are_those_read_one_by_one(lines, data):
    """Whatever is in them, and wherever a block ends."""
    text = "\n".join(lines).encode()

    def outcome() -> tuple[list[Point], str]:
        found: list[Point] = []
        try:
            # Those before a damaged line are found, too.
            found.extend(read_lines(io.BytesIO(text), Point, Path("j"), JournalError))
        except JournalError as error:
            return found, str(error)
        return found, ""

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading_module, "BLOCK", data.draw(st.integers(1, 80)))
        together = outcome()
        patch.setattr(reading_module, "_together", lambda lines, kind: None)
        assert together == outcome()


def test_the_end_of_some_lines_is_found():
    file = io.BytesIO(b"a\n\nbc\nd")
    assert [end_of_lines(file, number) for number in range(4)] == [0, 2, 3, 6]


def test_files_that_cannot_be_read_are_named(tmp_path, monkeypatch):
    for path in (tmp_path / "none.json", tmp_path, Path("a\0b")):
        with pytest.raises(JournalError, match="cannot read"):
            read_json(path, Point, JournalError)
    monkeypatch.setattr(reading_module, "LARGEST", 10)
    (tmp_path / "large.json").write_text('{"name": "a", "at": 1}')
    with pytest.raises(JournalError, match="larger than"):
        read_json(tmp_path / "large.json", Point, JournalError)


def test_a_schema_comes_out_of_the_type():
    schema = json_schema(Point)
    point = schema["$defs"]["Point"]
    assert point["required"] == ["name", "at"]
    assert point["additionalProperties"] is False
    assert point["properties"]["at"] == {"type": "integer", "minimum": 0, "maximum": 2**53}
