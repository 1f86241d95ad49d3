"""The reader of delimited rows: dialects and encodings of other tools, damage, and any bytes."""

from __future__ import annotations

import csv as csv_module
import io
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv as arrow_csv
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigError
from stages.readers import csv
from tests.helpers.records import MAGIC, PACK, read, reasons

ROWS: list[dict[str, Any]] = [
    {"id": "1", "内容": "春天来了，河边的柳树发了芽。\n孩子们在草地上放风筝。", "url": "http://例子.cn/1"},
    {"id": "2", "内容": '老师说："下课吧"; 大家就走了。', "url": None},
    {"id": "3", "内容": "plain, text\twith | marks", "url": "http://a.cn/3"},
]
FRAME = pd.DataFrame(ROWS)


def fields(data: bytes, **config: Any) -> list[Any]:
    """The fields of the records of a file."""
    return [record.fields for record in read(csv.READER, data, **config)]


def written(**options: Any) -> bytes:
    """What the module csv of Python writes."""
    sink = io.StringIO(newline="")
    writer = csv_module.writer(sink, **options)
    writer.writerows([list(ROWS[0]), *([value or "" for value in row.values()] for row in ROWS)])
    return sink.getvalue().encode()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16", "utf-16-be"])
@pytest.mark.parametrize("sep", [",", ";", "\t", "|"])
def test_what_pandas_writes_is_read(encoding: str, sep: str) -> None:
    """Any delimiter and encoding is detected; line breaks, delimiters and quotation marks inside cells stay."""
    text = FRAME.to_csv(index=False, sep=sep)
    assert fields(text.encode(encoding)) == ROWS
    assert fields(text.replace("\n", "\r\n").encode(encoding))[1:] == ROWS[1:]


def test_what_other_tools_write_is_read() -> None:
    """Polars, Arrow, DuckDB's and Python's dialects, compressed or not."""
    assert fields(pl.DataFrame(ROWS).write_csv().encode()) == ROWS
    sink = io.BytesIO()
    arrow_csv.write_csv(pa.Table.from_pylist(ROWS), sink)
    assert fields(sink.getvalue()) == ROWS
    dialects: list[dict[str, Any]] = [{}, {"quoting": 1}, {"dialect": "excel-tab"}, {"lineterminator": "\n"}]
    for options in dialects:
        assert fields(written(**options)) == ROWS
    assert (
        fields(written(doublequote=False, escapechar="\\", quoting=csv_module.QUOTE_ALL)) == ROWS
    )  # as Spark does
    for pack in PACK.values():
        assert fields(pack(written())) == ROWS


def test_what_excel_writes_is_read() -> None:
    """The line `sep=`, semicolons, a byte order mark, carriage returns alone, text files in UTF-16 with tabs."""
    text = 'id;text\r\n1;早上好\r\n2;"a;b"\r\n'
    expected = [{"id": "1", "text": "早上好"}, {"id": "2", "text": "a;b"}]
    for start in ("", "sep=;\r\n"):
        assert fields((start + text).encode("utf-8-sig")) == expected
    assert fields(text.replace("\r\n", "\r").encode()) == expected
    assert fields(text.replace(";", "\t").encode("utf-16"))[0] == expected[0]


def test_rows_without_a_header_get_numbered_columns() -> None:
    """Sentences are no names of columns; a setting decides otherwise, and may name the columns."""
    data = "你好。\tHello there.\n再见。\tGoodbye.\n".encode()
    assert fields(data)[0] == {"column_1": "你好。", "column_2": "Hello there."}
    assert fields(data, columns=("zh", "en"))[1] == {"zh": "再见。", "en": "Goodbye."}
    assert fields(b"a\tb\n1\t2\n", header=False)[0] == {"column_1": "a", "column_2": "b"}
    assert fields(b"1,2\n3,4\n", header=True) == [{"1": "3", "2": "4"}]
    assert fields(b"x,x,\n3,4,5\n") == [{"x": "3", "x_2": "4", "column_3": "5"}]
    assert fields(b"x y\n", delimiter=" ", header=False) == [{"column_1": "x", "column_2": "y"}]
    assert fields(FRAME.to_csv().encode())[0] == {"column_1": "0", **ROWS[0]}
    assert fields(b'"a" "b"\n"1" "x" "y"\n"2" "z" "w"\n', delimiter=" ")[0] == {
        "column_1": "1",
        "a": "x",
        "b": "y",
    }


def test_quotation_marks_of_sentences_are_text() -> None:
    """Tab-separated sentences begin with quotation marks that close nothing."""
    data = b'id\ttext\n1\t"Hello," he said.\n2\t"Go!" I cried. "Now"\n3\tplain\n4\t"open only\n'
    assert [row["text"] for row in fields(data)] == [
        '"Hello," he said.',
        '"Go!" I cried. "Now"',
        "plain",
        '"open only',
    ]


def test_damage_costs_its_row() -> None:
    """Rows of another width are broken and keep their bytes; a mark that is never closed takes no other rows along."""
    good = b"".join(b'%d,"line %d\nand more"\n' % (i, i) for i in range(9))
    records = read(
        csv.READER, b"id,text\n" + good + b'9,a,b\n10\n11,"open\n12,x,\n' + good + b"13,\xff\xff\xff\xff\n"
    )
    assert reasons(records[9:13]) == [(9, "ragged_row"), (10, "ragged_row"), (11, None), (12, None)]
    assert (records[9].raw, records[9].detail) == (b"9,a,b", "3 cells; expected 2: id, text")
    assert records[11].fields == {"id": "11", "text": '"open'}
    assert [record.fields for record in records[13:22]] == [record.fields for record in records[:9]]
    assert reasons(records[22:]) == [(22, "invalid_utf8")]
    (long, after) = read(csv.READER, b"a,b\n1," + b"x" * 200 + b"\n2,y\n", max_record_bytes=100)
    assert (long.reason, after.fields) == ("record_too_long", {"a": "2", "b": "y"})


def test_a_truncated_file_keeps_its_rows() -> None:
    """Rows before the damage are read, the file's end is reported."""
    packed = PACK["gzip"]("".join(f"{i},{hash((i, 'x'))}\n" for i in range(9000)).encode())
    records = read(csv.READER, packed[: len(packed) // 2])
    assert len(records) > 1000
    assert (records[-1].position, records[-1].reason) == (-1, "truncated")


def test_a_row_that_is_cut_off_inside_quotation_is_no_row() -> None:
    """Rows before the cut are read and its lines are not taken for rows, in a damaged file as in a file's start."""
    rows = [[str(i), "\n".join(f"第{i}篇，第{line}行" for line in range(500))] for i in range(40)]
    sink = io.StringIO(newline="")
    csv_module.writer(sink).writerows([["标题", "正文"], *rows])
    data = sink.getvalue().encode("gb18030")
    cut = data[: data.index("第30篇，第250行".encode("gb18030"))]
    whole = [{"标题": name, "正文": text} for name, text in rows[:30]]
    start = list(csv.READER.read(io.BytesIO(cut), "a.csv", csv.Config()))
    assert len(start) > 200  # of a whole file, the quotation is damaged, and each line is a row
    assert [r.fields for r in csv.read_cut_off(io.BytesIO(cut), "a.csv", csv.Config())] == whole
    packed = PACK["gzip"](cut)
    *found, last = read(csv.READER, packed[:-9] + bytes(9))
    assert [record.fields for record in found] == whole
    assert (last.position, last.fields) == (-1, None)


def test_settings_are_checked() -> None:
    """A delimiter of two characters, an unknown encoding, a name given twice."""
    wrongs: list[dict[str, Any]] = [
        {"delimiter": "||"},
        {"encoding": "gbq"},
        {"columns": ("a", "a")},
        {"skip_lines": -1},
    ]
    for wrong in wrongs:
        with pytest.raises(ConfigError):
            csv.Config(**wrong)


@settings(deadline=None, max_examples=60)
@given(
    st.binary(max_size=120)
    | st.lists(st.sampled_from([b'"', b",", b"\n", b"\r", b"a", b"\t", b"\\", b"\xe4\xb8\x80", b'""'])).map(
        b"".join
    )
)
def test_any_bytes_are_accounted_for(data: bytes) -> None:
    """Never an exception; positions count up; broken rows have a reason and their bytes."""
    assume(not data.startswith(MAGIC))
    records = read(csv.READER, data, header=False)
    assert [record.position for record in records] == list(range(len(records)))
    assert all(record.fields or (record.reason and record.raw) for record in records)
