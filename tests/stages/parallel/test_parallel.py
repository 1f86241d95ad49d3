"""Parallel text: readers of pairs, interlinear documents, and a build in which both sides stay together."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigError, InputError
from pipeline.schema import SPANS
from stages.parallel import one_line, pairs_of
from stages.parallel.documents import Config, cut, make_documents
from stages.readers import moses, pairs_tsv, tmx
from tests.helpers.build import build, write_run
from tests.helpers.records import read

PAIRS = [
    ("今天天气很好，我们去公园。", "The weather is fine today, so we go to the park."),
    ("他在1998年买了iPhone。", 'He bought an "iPhone" in 1998.'),
    ("水在100度沸腾。", "Water boils at 100 degrees."),
]


def shown(records: list[Any]) -> list[Any]:
    """Position, and pairs or reason, of each record."""
    return [
        (r.position, pairs_of(r.fields["text"], json.dumps(r.fields)) if r.fields else r.reason)
        for r in records
    ]


def tsv(rows: Sequence[tuple[str, ...]]) -> bytes:
    """A file of tab-separated lines."""
    return "".join("\t".join(row) + "\n" for row in rows).encode()


def test_lines_with_tabs_are_pairs() -> None:
    """Columns are chosen by number; quotation marks are text; broken lines are named and the next ones read."""
    data = tsv([("score", "en", "zh"), *((f"0.{i}", en, zh) for i, (zh, en) in enumerate(PAIRS))])
    config = {
        "source_column": 2,
        "target_column": 1,
        "score_column": 0,
        "skip_lines": 1,
        "direction": "backward",
    }
    records = read(pairs_tsv.READER, gzip.compress(data), **config)
    assert shown(records) == [(i + 1, [pair]) for i, pair in enumerate(PAIRS)]
    assert [r.fields["score"] for r in records if r.fields] == ["0.0", "0.1", "0.2"]
    assert {r.fields["direction"] for r in records if r.fields} == {"backward"}
    broken = (
        b"\xef\xbb\xbf"
        + tsv([PAIRS[0], ("alone",), ("", "empty"), PAIRS[1]])
        + b"\xff\t\xff\n\n"
        + tsv([PAIRS[2]])
    )
    assert shown(read(pairs_tsv.READER, broken)) == [
        (0, [PAIRS[0]]), (1, "missing_column"), (2, "empty_side"), (3, [PAIRS[1]]), (4, "invalid_utf8"),
        (6, [PAIRS[2]]),
    ]  # fmt: skip
    long = read(pairs_tsv.READER, tsv([("长" * 40, "x"), PAIRS[2]]), max_record_bytes=60)
    assert shown(long) == [(0, "record_too_long"), (1, [PAIRS[2]])]


def test_consecutive_pairs_make_a_document() -> None:
    """With pairs_per_document, a document has that many pairs, the last one the rest."""
    records = read(pairs_tsv.READER, tsv(PAIRS), pairs_per_document=2)
    assert shown(records) == [(0, PAIRS[:2]), (2, PAIRS[2:])]
    assert [r.fields["n_pairs"] for r in records if r.fields] == [2, 1]


def moses_records(folder: Path, source: bytes, target: bytes, ending: str = "", **config: Any) -> list[Any]:
    """Records of two files beside each other."""
    (folder / f"news.zh{ending}").write_bytes(source)
    (folder / f"news.en{ending}").write_bytes(target)
    path = folder / f"news.zh{ending}"
    with open(path, "rb") as stream:
        return list(moses.READER.read(stream, path.name, moses.Config(**config)))


def test_two_files_are_read_line_by_line(tmp_path: Path) -> None:
    """Line n of one file is the pair of line n of the other; files of unequal length end with a reason."""
    source, target = ("".join(side + "\n" for side in sides).encode() for sides in zip(*PAIRS, strict=True))
    expected = [(i, [pair]) for i, pair in enumerate(PAIRS)]
    assert shown(moses_records(tmp_path, source, target)) == expected
    assert shown(moses_records(tmp_path, gzip.compress(source), gzip.compress(target), ".gz")) == expected
    assert shown(moses_records(tmp_path, source + "多\n".encode(), target)) == [
        *expected,
        (-1, "unequal_lines"),
    ]
    blank = shown(moses_records(tmp_path, b"\n" + source, b"\n" + target))
    assert blank == [(i + 1, [pair]) for i, pair in enumerate(PAIRS)]
    (tmp_path / "news.en").unlink()
    with (
        open(tmp_path / "news.zh", "rb") as stream,
        pytest.raises(InputError, match="expected the target language"),
    ):
        list(moses.READER.read(stream, "news.zh", moses.Config()))
    assert moses.siblings("/d/a.zh.gz", moses.Config()) == ["/d/a.en.gz"]
    with pytest.raises(InputError, match="whose name ends in"):
        moses.siblings("/d/a.txt", moses.Config())


TMX = """<?xml version="1.0" encoding="{encoding}"?>
<tmx version="1.4"><header srclang="en-US"/><body>
<tu tuid="a"><tuv xml:lang="zh-CN"><seg>水在<bpt i="1">&lt;b&gt;</bpt>100<ept i="1">&lt;/b&gt;</ept>度
 沸腾。</seg></tuv><tuv xml:lang="EN-gb"><seg>Water boils at 100 &amp; more.</seg></tuv></tu>
<tu><tuv xml:lang="en"><seg>Alone.</seg></tuv></tu>
<tu srclang="zh"><tuv xml:lang="zh"><seg>好</seg></tuv><tuv xml:lang="en"><seg>Good</seg></tuv></tu>
</body></tmx>"""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_units_of_a_translation_memory(encoding: str) -> None:
    """Markup is left out, languages are found by their codes, and the original language tells the direction."""
    records = read(tmx.READER, TMX.format(encoding=encoding).encode(encoding))
    assert shown(records) == [
        (0, [("水在100度 沸腾。", "Water boils at 100 & more.")]), (1, "missing_language"), (2, [("好", "Good")]),
    ]  # fmt: skip
    first, last = records[0].fields, records[2].fields
    assert (
        first
        and last
        and (first["source_id"], first["direction"], last["direction"]) == ("a", "backward", "forward")
    )


def test_damaged_and_hostile_memories() -> None:
    """What precedes the damage is read; declared entities are refused; an endless segment takes no memory."""
    whole = TMX.format(encoding="utf-8").encode()
    cut = shown(read(tmx.READER, whole[: whole.index(b"<tu srclang")]))
    assert cut[:2] == shown(read(tmx.READER, whole))[:2] and cut[-1] == (-1, "invalid_xml")
    bomb = b'<!DOCTYPE t [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>' + whole.partition(b"?>")[2]
    assert shown(read(tmx.READER, bomb)) == [(-1, "entities_declared")]
    long = whole.replace(b"Alone.", b"x" * 5000)
    assert (1, "record_too_long") in shown(read(tmx.READER, long, max_record_bytes=1000))


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_end_in_records(data: bytes) -> None:
    """No bytes make a reader of pairs raise."""
    for reader in (pairs_tsv.READER, tmx.READER):
        for record in read(reader, data):
            assert (record.fields is None) == (record.reason is not None)


def table(
    texts: list[str], metas: list[dict[str, Any] | None], edits: list[list[dict[str, Any]]]
) -> pa.Table:
    """A batch as derived sources get it."""
    return pa.table(
        {
            "text": pa.array(texts, pa.large_string()),
            "meta": pa.array([None if m is None else json.dumps(m) for m in metas], pa.large_string()),
            "edits": pa.array(edits, SPANS),
        }
    )


def test_interlinear_documents_have_both_orders_and_restore_the_pairs() -> None:
    """Each order holds every pair once, and reading its lines in turn gives the pairs back; edits apply before."""
    text = "\n".join(f"{zh}\n{en}" for zh, en in PAIRS)
    meta = {"n_pairs": 3, "source_language": "zho_Hans", "target_language": "eng_Latn", "method": "human"}
    at = text.index("1998")
    edit = {"start": at, "end": at + 4, "kind": "year"}
    batch = table([text, text, "no pairs"], [meta, meta, None], [[], [edit], []])
    rows = make_documents(batch, Config(order="both"), {"year": "YYYY"}).to_pylist()
    assert [(row["parent"], row["number"]) for row in rows] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    for row, flip in zip(rows, (1, -1, 1, -1), strict=True):
        found = [tuple(block.split("\n"))[::flip] for block in row["text"].split("\n\n")]
        expected = [
            pair if row["parent"] == 0 else (pair[0].replace("1998", "YYYY"), pair[1]) for pair in PAIRS
        ]
        assert found == expected
        assert json.loads(row["meta"])["languages"] == ["zho_Hans", "eng_Latn"][::flip]
    many = table([f"第{i}篇\nPart {i}" for i in range(200)], [{"n_pairs": 1}] * 200, [[]] * 200)
    drawn = [
        json.loads(meta)["interlinear"] for meta in make_documents(many, Config(), {})["meta"].to_pylist()
    ]
    assert len(drawn) == 200 and 60 < drawn.count("source_first") < 140


@given(
    st.lists(st.tuples(st.text("字a", max_size=20), st.text("ab", max_size=20)), max_size=12),
    st.integers(1, 30),
)
def test_the_cap_cuts_between_pairs_only(pairs: list[tuple[str, str]], max_tokens: int) -> None:
    """Documents keep the order of the pairs, are within the cap, and leave out only pairs that exceed it alone."""
    config = Config(max_tokens=max_tokens, bytes_per_token=1.0)
    parts = list(cut(pairs, config))
    sizes = [len("\n\n".join("\n".join(pair) for pair in part).encode()) for part in parts]
    assert all(size <= max_tokens for size in sizes)
    fitting = [
        p for p in pairs if all(side.strip() for side in p) and len("\n".join(p).encode()) <= max_tokens
    ]
    assert [pair for part in parts for pair in part] == fitting


@given(st.text("a字 \t\r\n\u2028\x0b", max_size=30))
def test_a_segment_is_one_line(text: str) -> None:
    """A segment never contains a line break, and one without breaks keeps its inner text."""
    line = one_line(text)
    assert len(line.splitlines()) <= 1 and line == line.strip()
    if len(text.splitlines()) == 1 and "\t" not in text:
        assert line == text.splitlines()[0].strip()


def test_bad_settings_are_refused() -> None:
    """Languages, endings, orders and caps that make no sense are errors before any work."""
    for wrong in (
        lambda: pairs_tsv.Config(source_column=1),
        lambda: pairs_tsv.Config(direction="both"),
        lambda: pairs_tsv.Config(pairs_per_document=0),
        lambda: moses.Config(target_ending="zh"),
        lambda: tmx.Config(source_code="en"),
        lambda: Config(order="sideways"),
        lambda: Config(max_tokens=0),
    ):
        with pytest.raises(ConfigError):
            wrong()


def test_both_sides_stay_together_in_a_build(tmp_path: Path) -> None:
    """A repeated pair is dropped as a whole, with its interlinear documents, and a poor pair by its score."""
    rows = [*PAIRS, PAIRS[0], ("水在100度沸腾。", "He bought a house in May, 1871.")]
    for ending, sides in zip(("zh", "en"), zip(*rows, strict=True), strict=True):
        (tmp_path / f"news.{ending}").write_text("".join(side + "\n" for side in sides), encoding="utf-8")
    page = {
        "corpus": "pairs",
        "sources": [
            {
                "name": "news",
                "reader": "stages.readers.moses",
                "files": "news.zh",
                "provenance": "human translation",
            },
            {"name": "interlinear", "derive": "stages.parallel.documents", "of": ["news"]},
        ],
        "annotate": ["stages.dedup.exact", "classifiers.pairs"],
        "global": ["stages.dedup.candidates", "stages.dedup"],
        "select": [{"name": "poor_pair", "pairs.least_score": {"min": 0.1}, "if_null": "keep"}],
        "keep_one": {"of": "dedup"},
        "release": {"name": "v1"},
    }
    page["annotate"].insert(1, "stages.minhash")  # type: ignore[attr-defined]
    release = tmp_path / "store" / build(write_run(tmp_path, page), tmp_path / "store")["release"]
    data = pa.concat_tables([pq.read_table(path) for path in release.glob("data/*/*.parquet")]).to_pylist()
    texts = {row["doc_id"]: row["text"] for row in data if row["parent_id"] is None}
    assert sorted(texts.values()) == sorted(f"{zh}\n{en}" for zh, en in PAIRS)
    assert {row["provenance"] for row in data} == {"human translation"}
    derived = [row for row in data if row["parent_id"] is not None]
    assert sorted(row["parent_id"] for row in derived) == sorted(texts)
    for row in derived:
        source, target = texts[row["parent_id"]].split("\n")
        assert row["text"] in (f"{source}\n{target}", f"{target}\n{source}")
    ledger = pa.concat_tables([pq.read_table(path) for path in release.glob("ledger/*.parquet")]).to_pylist()
    rules = sorted(row["rule"] for row in ledger if row["rule"])
    assert rules == ["duplicate", *["parent_dropped"] * 2, "poor_pair"]
