"""Canonical rows: which records become documents, which are quarantined and why, and how rows are named."""

from __future__ import annotations

import base64
import datetime
import json
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigError
from pipeline.ingest.canonical import Rows, SourceInfo, doc_id, doc_ids, host_of, text_hash
from pipeline.schema import CANONICAL, QUARANTINE
from pipeline.stage import Record
from stages.readers import FIELDS

UTF8 = st.text(st.characters(codec="utf-8"), max_size=60)
NAMES = st.sampled_from(["text", "id", "url", "date", "score", "x"])


def info(**values: Any) -> SourceInfo:
    """A source, with defaults for fields that a test does not set."""
    return SourceInfo(**{"name": "web", "input": "a/b.jsonl", "fields": FIELDS, **values})


def take(*fields: dict[str, Any], **values: Any) -> tuple[pa.Table, pa.Table, dict[str, pa.Table]]:
    """Tables of records with these fields."""
    rows = Rows(info(**values))
    for position, record in enumerate(fields):
        rows.add(Record(position, record))
    return rows.take()


def document(fields: dict[str, Any], **values: Any) -> dict[str, Any]:
    """The row that one good record becomes."""
    documents, quarantine, _ = take(fields, **values)
    assert quarantine.num_rows == 0, quarantine.to_pylist()
    return documents.to_pylist()[0]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, "no_text"),
        ({"text": None, "id": 1}, "no_text"),
        ({"text": 3.5}, "text_not_string"),
        ({"text": ["段落", "段落"]}, "text_not_string"),
        ({"text": {"zh": "你好"}}, "text_not_string"),
        ({"text": ""}, "empty_text"),
        ({"text": " \t\r\n\u3000\u00a0\u2028"}, "empty_text"),
        ({"text": "\ufeff \n"}, "empty_text"),
        ({"text": "中文\0text"}, "nul_bytes"),
        ({"text": "half an emoji \ud83d here"}, "invalid_unicode"),
        ({"text": "编码".encode("gb18030")}, "invalid_utf8"),
        ({"text": "汉" * 34}, "too_long"),
        ({"text": "x" * 101}, "too_long"),
    ],
)
def test_a_record_that_is_no_document_is_quarantined_with_its_reason(
    fields: dict[str, Any], reason: str
) -> None:
    """Each kind of unusable text has its own reason, keeps its position and is kept as JSON."""
    documents, quarantine, _ = take({"text": "好 good"}, fields, max_doc_bytes=100)
    row = quarantine.to_pylist()[0]
    assert documents.num_rows == quarantine.num_rows == 1
    assert (row["source"], row["input"], row["input_row"]) == ("web", "a/b.jsonl", 1)
    assert row["reason"] == reason
    assert row["detail"]
    assert json.loads(row["raw"]).keys() == fields.keys()


def test_a_text_of_exactly_the_limit_is_a_document() -> None:
    """The limit counts bytes of canonical UTF-8, after line breaks are folded."""
    text = "汉" * 33 + "\r\n"
    assert document({"text": text}, max_doc_bytes=100)["text"] == "汉" * 33 + "\n"


def test_the_raw_form_of_a_long_record_is_cut() -> None:
    """Quarantine keeps 64 KiB of a record, not all of it."""
    _, quarantine, _ = take({"text": "长" * 100_000, "id": "a"}, max_doc_bytes=1000)
    raw = quarantine["raw"][0].as_py()
    assert len(raw) == 1 << 16
    assert raw.startswith(b'{"id":"a","text":"')


def test_only_line_breaks_and_a_leading_mark_change() -> None:
    """CRLF and CR become LF and one leading U+FEFF is removed; width, composition and inner marks are kept."""
    kept = "Ａ\u212b e\u0301 豈\ufeff\u200b\u2028\x85 ，。"
    assert document({"text": f"\ufeff一\r\n二\r三\n\r{kept}"})["text"] == f"一\n二\n三\n\n{kept}"


@settings(deadline=None)
@given(UTF8)
def test_canonical_text_agrees_with_a_plain_reference(text: str) -> None:
    """Every string of Unicode gives the text that a plain reference gives, or is quarantined."""
    documents, quarantine, _ = take({"text": text})
    expected = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if not expected.strip() or "\0" in expected:
        assert (documents.num_rows, quarantine.num_rows) == (0, 1)
    else:
        assert documents["text"].to_pylist() == [expected]
        assert documents["text_hash"].to_pylist() == [text_hash(expected)]
        assert documents["text_bytes"].to_pylist() == [len(expected.encode())]


def test_columns_are_found_by_the_reader_s_names_unless_the_source_maps_them() -> None:
    """The first name that is not null wins; a mapping of the source replaces the reader's names."""
    fields = {"text": None, "content": "正文", "id": 7, "headline": "题", "link": "http://e.cn/"}
    assert document(fields)["text"] == "正文"
    row = document(fields, columns={"text": ("lead", "headline"), "source_id": "link", "parent_id": "id"})
    assert (row["text"], row["source_id"], row["url"], row["parent_id"]) == (
        "题",
        "http://e.cn/",
        "http://e.cn/",
        "7",
    )
    assert json.loads(row["meta"]) == {"content": "正文"}


def test_an_unmapped_provenance_or_parent_stays_in_meta() -> None:
    """Fields called provenance and parent_id mean too many things to be taken without being named."""
    fields = {"text": "t", "provenance": "cc.gz:12", "parent_id": "p"}
    row = document(fields, provenance="human")
    assert (row["provenance"], row["parent_id"]) == ("human", None)
    assert json.loads(row["meta"]) == {"provenance": "cc.gz:12", "parent_id": "p"}
    mapped = document(fields, provenance="human", columns={"provenance": "provenance"})
    assert mapped["provenance"] == "cc.gz:12"


def test_the_record_s_own_license_wins() -> None:
    """The source's license fills only rows without one of their own."""
    documents, _, _ = take({"text": "a", "license": "CC0-1.0"}, {"text": "b", "license": ""}, license="MIT")
    assert documents["license"].to_pylist() == ["CC0-1.0", "MIT"]


@pytest.mark.parametrize("name", ["snapshot", "dump", "crawl"])
def test_the_snapshot_is_the_record_s_or_the_source_s(name: str) -> None:
    """Usual names of the field are known; the source's constant fills rows without one; else it is null."""
    records = [{"text": "a", name: "CC-MAIN-2024-10"}, {"text": "b"}]
    documents, _, _ = take(*records, snapshot="CC-MAIN-2025-30")
    assert documents["snapshot"].to_pylist() == ["CC-MAIN-2024-10", "CC-MAIN-2025-30"]
    assert documents["meta"].to_pylist() == [None, None]
    documents, _, _ = take(*records)
    assert documents["snapshot"].to_pylist() == ["CC-MAIN-2024-10", None]
    mapped = document(records[0], columns={"snapshot": "batch"}, snapshot="s")
    assert (mapped["snapshot"], json.loads(mapped["meta"])) == ("s", {name: "CC-MAIN-2024-10"})


def test_meta_is_sorted_compact_json_of_what_is_left() -> None:
    """Remaining fields become sorted compact JSON; values without a JSON form become text; nulls are left out."""
    fields = {
        "text": "t",
        "z": {"b": 1, "a": "中"},
        "bytes": b"\xff\0",
        "day": datetime.date(2024, 5, 1),
        "price": Decimal("1.10"),
        "nan": float("nan"),
        "none": None,
        "big": 2**70,
        "bad": "x\udc00",
        "map": [("k", 1)],
    }
    assert document(fields)["meta"] == (
        '{"bad":"x\ufffd","big":1180591620717411303424,"bytes":"/wA=","day":"2024-05-01","map":[["k",1]],'
        '"nan":null,"price":"1.10","z":{"a":"中","b":1}}'
    )
    assert document({"text": "t", "id": "1", "none": None})["meta"] is None


def test_values_of_other_types_become_strings() -> None:
    """Identifiers may be numbers and dates may be dates; NaN is nothing."""
    when = datetime.datetime(2024, 5, 1, 8, tzinfo=datetime.UTC)
    row = document({"text": "t", "id": 12, "date": when, "url": "http://e.com/\ud800"})
    assert (row["source_id"], row["date"]) == ("12", "2024-05-01T08:00:00+00:00")
    assert row["url"] == "http://e.com/\ufffd"
    assert document({"text": "t", "id": float("nan"), "url": ""})["source_id"] is None


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://User:pw@WWW.Example.COM:8080/a?b#c", "www.example.com"),
        ("http://例子.中国/页", "例子.中国"),
        ("http://xn--fsqu00a.xn--fiqs8s/", "xn--fsqu00a.xn--fiqs8s"),
        ("//cdn.example.org/x", "cdn.example.org"),
        ("http://[2001:DB8::1]:80/", "2001:db8::1"),
        ("http://[broken/", None),
        ("docs/readme.md", None),
        ("", None),
        (None, None),
    ],
)
def test_host(url: str | None, host: str | None) -> None:
    """The host is lower case, without user and port; it is null if the URL has none."""
    assert host_of(url) == host


def test_existing_scores_are_numbers_unless_declared_strings() -> None:
    """Scores stay aligned with the documents; anything but a finite number is null; dots reach nested fields."""
    documents, quarantine, scores = take(
        {"text": "a", "score": 3, "lang": "zh", "quality": {"wiki": 0.5}},
        {"text": None, "score": 9.0},
        {"text": "b", "score": "0.9", "lang": None, "quality": {"wiki": float("inf")}},
        {"text": "c", "score": True, "quality": "none"},
        columns={"edu.score": "score", "edu.wiki": "quality.wiki", "lang.label": "lang:string"},
    )
    assert (documents.num_rows, quarantine.num_rows) == (3, 1)
    assert scores["edu"].schema == pa.schema({"score": pa.float64(), "wiki": pa.float64()})
    assert scores["edu"].to_pylist() == [
        {"score": 3.0, "wiki": 0.5},
        {"score": None, "wiki": None},
        {"score": None, "wiki": None},
    ]
    assert scores["lang"].to_pydict() == {"label": ["zh", None, None]}
    assert json.loads(documents["meta"][0].as_py()) == {"quality": {"wiki": 0.5}}


def test_an_unknown_column_is_refused_with_the_nearest_name() -> None:
    """A mistyped canonical column stops before any work."""
    with pytest.raises(ConfigError, match=r"sources\.web\.columns.*did you mean 'license'"):
        info(columns={"licence": "l"})
    for n_bytes in (0, 1 << 31):
        with pytest.raises(ConfigError, match="max_doc_bytes"):
            info(max_doc_bytes=n_bytes)


def test_a_document_is_named_by_its_place() -> None:
    """doc_id is base32 of XXH3-128 over length-prefixed names and the row: known values, one per place."""
    plain = b"\x03\0\0\0\0\0\0\0web" + b"\x09\0\0\0\0\0\0\0a/b.jsonl" + b"\x05\0\0\0\0\0\0\0"
    expected = base64.b32encode(xxhash.xxh3_128_digest(plain)).decode().rstrip("=").lower()
    assert doc_id("web", "a/b.jsonl", 5) == expected
    assert doc_id("源", "网页/甲.jsonl.gz", 0) == "6vavyuwdcv3y2rhjmefxioldbi"
    assert doc_id("ab", "c", 0) != doc_id("a", "bc", 0)
    assert text_hash("中文 text") == text_hash("中文 text".encode()) == "79543c7d344d29a3cb1c245f524d1322"


@settings(deadline=None)
@given(
    st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8")), st.integers(0, 2**63 - 1)
)
def test_doc_ids_agree_with_the_standard_base32(source: str, path: str, row: int) -> None:
    """Ids computed together equal ids computed alone, and both are RFC 4648 base32 of the digest."""
    names = [name.encode() for name in (source, path)]
    plain = b"".join(len(name).to_bytes(8, "little") + name for name in names) + row.to_bytes(8, "little")
    expected = base64.b32encode(xxhash.xxh3_128_digest(plain)).decode().rstrip("=").lower()
    assert doc_ids(source, path, [0, row])[1].as_py() == doc_id(source, path, row) == expected


def test_tables_have_the_shared_schemas_whatever_is_in_them() -> None:
    """An empty take and a full one have the same schemas, and a take starts anew."""
    rows = Rows(info(columns={"edu.score": "score"}))
    rows.add(Record(4, {"text": "中文", "a": 1}))
    rows.add(Record(-1, None, "truncated", "bad \ud800", b"raw"))
    assert (rows.n_docs, rows.text_bytes, rows.held_bytes) == (1, 6, 6 + 7 + 3)
    for n in (1, 0):
        documents, quarantine, scores = rows.take()
        documents.validate(full=True)
        assert (documents.schema, quarantine.schema) == (CANONICAL, QUARANTINE)
        assert (documents.num_rows, quarantine.num_rows, scores["edu"].num_rows) == (n, n, n)
        assert (rows.n_docs, rows.text_bytes, rows.held_bytes) == (0, 0, 0)
        if n:
            assert documents["input_row"].to_pylist() == [4]
            assert quarantine["detail"].to_pylist() == ["bad \ufffd"]


def test_fields_nested_too_deeply_are_quarantined() -> None:
    """A record that cannot be written as JSON costs itself, not the run."""
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    _, quarantine, _ = take({"text": "t", "deep": deep}, {"deep": deep})
    assert quarantine["reason"].to_pylist() == ["too_deep", "no_text"]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None)
@given(st.lists(st.dictionaries(NAMES, VALUES), max_size=8))
def test_every_record_is_accounted_for(records: list[dict[str, Any]]) -> None:
    """For any fields, each record becomes one document or one quarantined row."""
    documents, quarantine, scores = take(*records, columns={"edu.score": "score", "lang.x": "x:string"})
    documents.validate(full=True)
    positions = documents["input_row"].to_pylist() + quarantine["input_row"].to_pylist()
    assert sorted(positions) == list(range(len(records)))
    assert scores["edu"].num_rows == scores["lang"].num_rows == documents.num_rows
    for meta in documents["meta"].to_pylist():
        assert meta is None or isinstance(json.loads(meta), dict)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"text": "", "content": "正文"}, "正文"),
        ({"text": " \n", "raw_content": "正文"}, "正文"),
        ({"text": None, "body": "正文"}, "正文"),
        ({"text": 7, "content": "正文"}, "正文"),
        ({"text": "first", "content": "second"}, "first"),
        ({"content": b"bytes"}, "bytes"),
    ],
)
def test_candidates_for_text_are_tried_in_order(fields: dict[str, Any], text: str) -> None:
    """The first one that has visible text counts; an empty one beside a full one costs no document."""
    rows = Rows(SourceInfo(name="s", input="f", fields=FIELDS))
    rows.add(Record(0, fields))
    assert rows.take()[0]["text"].to_pylist() == [text]


@pytest.mark.parametrize(
    ("fields", "reason"), [({"text": ""}, "empty_text"), ({"text": 7}, "text_not_string"), ({}, "no_text")]
)
def test_without_text_the_first_candidate_says_why(fields: dict[str, Any], reason: str) -> None:
    """An empty text, a text of another type and no text at all have reasons of their own."""
    rows = Rows(SourceInfo(name="s", input="f", fields=FIELDS))
    rows.add(Record(0, fields))
    assert rows.take()[1]["reason"].to_pylist() == [reason]
