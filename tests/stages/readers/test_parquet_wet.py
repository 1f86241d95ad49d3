"""The Parquet and WET readers: kinds of values, damage, positions."""

from __future__ import annotations

import datetime
import gzip
import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.ingest.canonical import Rows, SourceInfo
from stages.readers import parquet, wet
from tests.helpers.paths import DEV_DATA
from tests.helpers.records import PACK, conversion, documents, lines, parquet_bytes, read, reasons


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())]
)
def test_parquet_reads_any_kind_of_string(kind: pa.DataType) -> None:
    """Rows are counted over all row groups, and nulls are kept."""
    texts = ["正文", None, "page"] * 500
    data = parquet_bytes(pa.table({"text": pa.array(texts, pa.string()).cast(kind)}), row_group_size=400)
    records = read(parquet.READER, data)
    assert [r.position for r in records] == list(range(1500))
    assert [r.fields and r.fields["text"] for r in records] == texts


def test_parquet_values_become_plain_python() -> None:
    """Nested values, binary and times do not depend on the machine or on pandas being there."""
    ns, us = pa.timestamp("ns", "Asia/Shanghai"), datetime.datetime(2024, 5, 1, 8, 0, 0, 123456)
    table = pa.table(
        {
            "text": pa.array(["文".encode()], pa.large_binary()),
            "meta": pa.array(
                [{"tags": ["a", None], "seen": 1714550400123456789}],
                pa.struct({"tags": pa.list_(pa.string()), "seen": pa.timestamp("ns")}),
            ),
            "when": pa.array([1714550400123456789], ns),
            "pairs": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())),
            "took": pa.array([1_000_001], pa.duration("ns")),
        }
    )
    (record,) = read(parquet.READER, parquet_bytes(table))
    assert record.fields == {
        "text": "文".encode(),
        "meta": {"tags": ["a", None], "seen": us},
        "when": us.replace(tzinfo=datetime.UTC),
        "pairs": {"k": 1},
        "took": datetime.timedelta(milliseconds=1),
    }


def test_parquet_a_value_that_is_no_utf8_costs_its_row() -> None:
    """Writers do not check their strings; the column is named and the bytes are kept."""
    bad = "国标".encode("gb18030")
    column = pa.array([b"good", bad, "好".encode()], pa.binary()).view(pa.string())
    records = read(parquet.READER, parquet_bytes(pa.table({"id": [1, 2, 3], "text": column})))
    assert reasons(records) == [(0, None), (1, "invalid_utf8"), (2, None)]
    assert "column text" in str(records[1].detail)
    assert records[1].raw == bad


def test_parquet_a_value_that_python_cannot_hold_costs_its_row() -> None:
    """A date beyond the year 9999 is quarantined, not raised."""
    table = pa.table({"text": ["a", "b"], "date": pa.array([0, 2**60], pa.timestamp("us"))})
    assert reasons(read(parquet.READER, parquet_bytes(table))) == [(0, None), (1, "unreadable_value")]


@pytest.mark.parametrize("data", [b"", b"PAR1", b"no parquet at all" * 9, b"PAR1" + bytes(40) + b"PAR1"])
def test_parquet_a_file_without_a_footer_is_unreadable(data: bytes) -> None:
    """A file that cannot be opened is one record with that reason."""
    assert reasons(read(parquet.READER, data)) == [(-1, "unreadable_parquet")]


def test_parquet_rows_before_a_corrupt_row_group_are_kept() -> None:
    """Damage in the second row group of three loses it and the third, with the count in the detail."""
    data = bytearray(parquet_bytes(documents(900), row_group_size=300, compression="zstd"))
    group = pq.ParquetFile(io.BytesIO(data)).metadata.row_group(1).column(1)
    start = group.dictionary_page_offset or group.data_page_offset
    data[start : start + 200] = b"\xff" * 200
    *before, last = read(parquet.READER, bytes(data))
    assert reasons(before) == [(i, None) for i in range(300)]
    assert (last.position, last.reason) == (-1, "corrupt_row_group")
    assert "300 of 900 rows" in str(last.detail)


def test_parquet_a_bomb_is_refused_before_it_is_read() -> None:
    """The footer states both sizes of every column."""
    data = parquet_bytes(
        pa.table({"text": ["0" * (1 << 20) + str(i) for i in range(8)]}),
        use_dictionary=False,
        compression="zstd",
    )
    small = {"max_ratio": 100, "ratio_free_bytes": 1 << 20}
    assert reasons(read(parquet.READER, data, **small)) == [(-1, "decompression_bomb")]
    assert len(read(parquet.READER, data)) == 8


def test_wet_reads_conversion_records_and_counts_all() -> None:
    """Positions count `warcinfo` too; fields carry Common Crawl's metadata of the page."""
    parts = [
        conversion(b"crawl: x", "warcinfo"),
        conversion("网页\n正文".encode()),
        conversion(b"", language=""),
        conversion(b"robots: x\r\nIsPartOf:  CC-MAIN-2024-22 \r\n", "warcinfo"),
        conversion(b"later"),
    ]
    first, second, third = read(wet.READER, b"".join(map(gzip.compress, parts)))
    assert (first.position, second.position) == (1, 2)
    assert first.fields == {
        "text": "网页\n正文",
        "url": "http://例子.cn/a",
        "date": "2024-05-18T01:58:10Z",
        "source_id": "<urn:uuid:1>",
        "language": "zho",
    }
    assert second.fields is not None and third.fields is not None
    assert (third.position, third.fields["snapshot"]) == (4, "CC-MAIN-2024-22")
    assert (second.fields["text"], "language" in second.fields) == ("", False)


@pytest.mark.parametrize("name", PACK)
def test_wet_a_bad_record_costs_only_itself(name: str) -> None:
    """Other record types, long records and bytes that are no UTF-8 are quarantined in place."""
    parts = [
        conversion(b"<html>", "response"),
        conversion("国标编码".encode("gb18030")),
        conversion(b"x" * 200_000),
        conversion(b"good"),
    ]
    records = read(wet.READER, PACK[name](b"".join(parts)), max_record_bytes=100_000)
    assert reasons(records) == [(0, "not_conversion"), (1, "invalid_utf8"), (2, "record_too_long"), (3, None)]
    assert records[1].raw == "国标编码".encode("gb18030")
    assert records[2].raw == b"x" * (1 << 16)
    assert "response" in str(records[0].detail)


def test_wet_a_truncated_file_says_so() -> None:
    """Cut inside a record, compressed or not, the records before it are read."""
    whole = b"".join(conversion(line) for line in lines(50))
    for data in (whole[:-30], whole[: whole.rindex(b"Content-Length")], gzip.compress(whole)[:-40]):
        *before, last = read(wet.READER, data)
        assert reasons(before) == [(i, None) for i in range(49)]
        assert (last.position, last.reason) == (-1, "truncated")


def test_wet_bytes_that_are_no_record_cost_themselves() -> None:
    """Reading goes on at the next line that begins a record; without one, the rest of the file is lost and counted."""
    junk = b"no warc at all\n" * 9
    records = read(wet.READER, conversion(b"good") + junk + conversion(b"found"))
    assert reasons(records) == [(0, None), (1, "corrupt_warc"), (2, None)]
    for tail in (junk, b"WARC/1.0\r\n" + b"a" * (1 << 21)):
        *_, last = records = read(wet.READER, conversion(b"good") + tail)
        assert reasons(records) == [(0, None), (-1, "corrupt_warc")]
        assert last.lost_bytes == pytest.approx(len(tail), abs=4)


def test_wet_real_file() -> None:
    """A WET file as Common Crawl publishes it."""
    path = DEV_DATA / "warc" / "whirlwind.warc.wet.gz"
    if not path.exists():
        pytest.skip(f"no {path}; set BICORPUS_DEV_DATA to the development data")
    (record,) = read(wet.READER, path.read_bytes())
    assert (record.position, record.reason) == (1, None)
    assert record.fields is not None
    assert record.fields["text"].startswith("Escopete - Biquipedia, a enciclopedia libre\n")
    assert record.fields["language"] == "spa"


@pytest.mark.parametrize("names", [["text", "text"], ["text", "id", "id"], ["url", "text", "x", "url"]])
def test_parquet_two_columns_of_one_name_are_refused(names: list[str]) -> None:
    """Nothing tells which one is meant; the last must not win in silence (apache/datafusion#24381, polars#27393)."""
    table = pa.table([pa.array([f"value {i}"]) for i in range(len(names))], names=names)
    (record,) = read(parquet.READER, parquet_bytes(table))
    repeated = next(name for name in names if names.count(name) > 1)
    assert (record.position, record.reason) == (-1, "unreadable_parquet")
    assert f"2 columns are named '{repeated}'" in str(record.detail)
    assert record.lost_bytes == len(parquet_bytes(table))


def test_parquet_two_fields_of_one_name_are_refused() -> None:
    """In a struct as well."""
    dtype = pa.struct([pa.field("a", pa.int64()), pa.field("a", pa.int64())])
    column = pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], fields=list(dtype))
    (record,) = read(parquet.READER, parquet_bytes(pa.table({"text": ["x"], "meta": column})))
    assert record.reason == "unreadable_parquet" and "fields of 'meta'" in str(record.detail)


LOGICAL = {
    "uuid": (
        pa.array([bytes(15) + b"\7"], pa.binary(16)).cast(pa.uuid()),
        "00000000-0000-0000-0000-000000000007",
    ),
    "binary": (pa.array([b"\xff\xfe" * 8], pa.binary(16)), "fffe" * 8),
    "text as binary": (pa.array(["编号".encode()], pa.binary()), "编号"),
    "time": (pa.array([datetime.time(8, 30)], pa.time64("us")), "08:30:00"),
    "date": (pa.array([datetime.date(2024, 5, 1)]), "2024-05-01"),
    "duration": (pa.array([datetime.timedelta(days=1)], pa.duration("s")), "P1D"),
    "decimal": (pa.array(["12.50"]).cast(pa.decimal128(5, 2)), "12.50"),
    "dictionary": (pa.array(["a"]).dictionary_encode(), "a"),
    "list of uuids": (pa.array([["a"]]), '["a"]'),
}


@pytest.mark.parametrize("name", LOGICAL)
def test_logical_types_come_out_as_their_text(name: str) -> None:
    """An id is the text of its value, without quotation marks (apache/arrow#43807, #48169)."""
    column, expected = LOGICAL[name]
    rows = Rows(SourceInfo(name="s", input="f", fields=parquet.READER.fields))
    for record in read(parquet.READER, parquet_bytes(pa.table({"text": ["正文"], "id": column}))):
        rows.add(record)
    (row,) = rows.take()[0].to_pylist()
    assert row["source_id"] == expected


def test_parquet_extension_types_are_what_they_are_stored_as() -> None:
    """JSON and 8-bit booleans of Arrow; the fields of a map are mapped by name."""
    table = pa.table(
        {
            "text": ["x"],
            "j": pa.array(['{"k": 1}']).cast(pa.json_()),
            "b": pa.array([1], pa.int8()).cast(pa.bool8()),
            "m": pa.array([[("dump", "d1")]], pa.map_(pa.string(), pa.string())),
        }
    )
    (record,) = read(parquet.READER, parquet_bytes(table))
    assert record.fields is not None
    assert record.fields["j"] == '{"k": 1}' and record.fields["b"] in (True, 1)
    rows = Rows(SourceInfo(name="s", input="f", columns={"snapshot": "m.dump"}, fields=parquet.READER.fields))
    rows.add(record)
    assert rows.take()[0]["snapshot"].to_pylist() == ["d1"]
