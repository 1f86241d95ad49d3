"""JSON that is not one object per line: arrays, objects one behind the other or printed over lines, odd characters."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from stages.readers import jsonl
from tests.helpers.records import PACK, read, reasons

ROWS = [{"id": i, "text": f'你好 {i} {{x}} [y] "q" \\', "m": {"a": [1, {"b": [2]}]}} for i in range(4)]


def dumped(indent: int | str | None = None) -> str:
    """The rows as one array."""
    return json.dumps(ROWS, indent=indent, ensure_ascii=False)


def joined(separator: str, indent: int | None = None) -> str:
    """The rows one behind the other."""
    return separator.join(json.dumps(row, indent=indent, ensure_ascii=False) for row in ROWS)


SHAPES = {
    "an array on one line": dumped(),
    "an array and a line break": dumped() + "\n",
    "an array behind a byte order mark": "\ufeff" + dumped(),
    "an array that is printed with indentation": dumped(2),
    "with tabs": dumped("\t"),
    "without indentation, but lines": dumped(0),
    "with line breaks of Windows": dumped(1).replace("\n", "\r\n"),
    "an array with one object per line": "[\n" + joined(",\n") + "\n]\n",
    "an array with the comma in front": "[" + joined("\n,") + "]",
    "an array in each line": "\n".join(json.dumps([row]) for row in ROWS),
    "objects without anything between": joined(""),
    "objects with blanks between": joined(" \t "),
    "objects that are printed with indentation": joined("\n", 2),
    "two objects on some lines": joined("\n").replace("}\n{", "}{", 2),
    "a comma behind every line": joined(",\n") + ",",
    "a JSON text sequence (RFC 7464)": "\x1e" + joined("\n\x1e"),
    "lines and an array": joined("\n")
    .replace("\n", "\n[", 1)
    .replace("}\n{", "}, {", 1)
    .replace("\n{", "]\n{", 1),
}


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("pack", ["plain", "gzip"])
def test_every_object_is_a_record_whatever_the_file_looks_like(name: str, pack: str) -> None:
    """Arrays and concatenated objects are read like lines (huggingface/datasets#4997, #1784, #6695)."""
    records = read(jsonl.READER, PACK[pack](SHAPES[name].encode()))
    assert [record.fields for record in records] == ROWS
    positions = [record.position for record in records]
    assert positions == sorted(set(positions))


def test_an_array_needs_the_memory_of_one_object(monkeypatch: pytest.MonkeyPatch) -> None:
    """An array of many times the bound of a line is read; an object over the bound costs itself."""
    rows = [{"text": "字" * 2000}] * 200 + [{"text": "x" * 200_000}] + [{"text": "last"}]
    data = json.dumps(rows, ensure_ascii=False).encode()
    records = read(jsonl.READER, data, max_line_bytes=100_000)
    assert reasons(records) == [(i, None) for i in range(200)] + [(200, "line_too_long"), (201, None)]
    assert (records[200].n_bytes, len(records[200].raw or b"")) == (200_012, 1 << 16)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ('{"text": "cut\n{}\n{"a": 1}\n', [(0, "invalid_json"), (1, None), (2, None)]),
        ('{"a": 1\n{"a": 2\n{"a": 3}', [(0, "invalid_json"), (1, "invalid_json"), (2, None)]),
        (
            '{"a": 1}{"b": 2 x}{"c": 3}\nnull\n',
            [(0, None), (1, "invalid_json"), (2, None), (3, "not_an_object")],
        ),
        ('["a", 1]\n{"a": 1}\n', [(0, "not_an_object"), (1, None)]),
        (
            '[{"a": 1}, 3, "x{", {"b": ',
            [(0, None), (1, "not_an_object"), (2, "not_an_object"), (3, "invalid_json")],
        ),
        ('{"a": 1}\n{\n "a": 2,\n', [(0, None), (1, "invalid_json")]),
    ],
)
def test_a_broken_object_costs_only_itself(data: str, expected: list[tuple[int, str | None]]) -> None:
    """What follows an object that does not end is read from the next line that begins one."""
    assert reasons(read(jsonl.READER, data.encode())) == expected


def test_in_a_printed_array_the_next_object_ends_a_broken_one() -> None:
    """A missing quotation mark costs the lines of its object; the objects after it stand at the same column."""
    data = dumped(2).replace('"m": {', '"m: {', 1).encode()
    records = read(jsonl.READER, data)
    assert [record.fields for record in records if record.fields] == ROWS[1:]
    assert {record.reason for record in records if not record.fields} == {"invalid_json"}


STRINGS: dict[str, Callable[[str], str]] = {
    "a tab": lambda text: text.replace(" ", "\t"),
    "a line break": lambda text: text.replace(" ", "\n"),
    "a control character": lambda text: text.replace(" ", "\x01"),
    "an escape": lambda text: text.replace(" ", "\x1b[0m"),
    "a vertical tab": lambda text: text.replace(" ", "\x0b"),
}


@pytest.mark.parametrize("name", STRINGS)
def test_control_characters_in_strings_are_read(name: str) -> None:
    """Files made by hand have them unescaped (hscspring/hcgf#15)."""
    text = STRINGS[name]("三月的风 吹过湖面")
    data = f'{{"text": "a"}}\n{{"text": "{text}"}}\n{{"text": "c"}}\n'.encode()
    assert [record.fields for record in read(jsonl.READER, data)] == [
        {"text": "a"},
        {"text": text},
        {"text": "c"},
    ]


def test_a_wrapped_array_is_one_record_whose_bytes_are_known() -> None:
    """`{"data": […]}` has no text: it counts as the bytes that it is, not as one record of many."""
    wrapped: dict[str, Any] = {"data": ROWS}
    (record,) = read(jsonl.READER, json.dumps(wrapped, indent=1).encode())
    assert record.fields == wrapped
    assert record.n_bytes > 400
