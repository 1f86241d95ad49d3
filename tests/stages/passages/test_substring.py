"""Repeated passages: equality with a brute-force oracle, order, partitions, and the text after removal."""

from __future__ import annotations

import gzip
import json
from itertools import islice
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigError
from stages.passages import anchors, repeated_windows
from tests.helpers.oracles.passages import (
    SMALL,
    check,
    documents,
    han,
    latin,
    removed,
    run,
    windows_of,
)
from tests.helpers.paths import SAMPLE


@settings(max_examples=90)
@given(
    docs=st.sampled_from(["ab", "abc", "中文a", "中a b😀", "abcdefgh中文字"]).flatmap(documents),
    cuts=st.lists(st.integers(0, 6), max_size=2).map(tuple),
    n_partitions=st.sampled_from([1, 4, 7]),
)
def test_passages_are_those_of_the_reference(
    docs: dict[str, str], cuts: tuple[int, ...], n_partitions: int
) -> None:
    """Occurrences, ids and spans equal those of comparing all windows, for any cut and partition count."""
    check(docs, cuts=cuts, n_partitions=n_partitions)


@settings(max_examples=60)
@given(docs=documents("ab中文"), han=st.integers(2, 6), other=st.integers(2, 12))
def test_any_length_is_found(docs: dict[str, str], han: int, other: int) -> None:
    """The steps equal the oracle for any two least lengths."""
    check(docs, anchors.Config(min_chars_han=han, min_chars_other=other))


def test_real_documents_agree_with_the_reference() -> None:
    """Chinese and other documents of the sample, some of them cut into each other, at the default lengths."""
    with gzip.open(SAMPLE / "docs_zh-00.jsonl.gz", "rt", encoding="utf-8", errors="replace") as lines:
        whole = [json.loads(line) for line in islice(lines, 300) if line.endswith("}\n")]
    texts = [row["content"][:2500] for row in whole if isinstance(row.get("content"), str)]
    assert len(texts) > 200
    docs = {f"d{i * 37 % 1009:04}": text for i, text in enumerate(texts)}
    docs |= {f"e{i}": texts[i][300:900] + texts[i + 1][100:1500] for i in range(0, 60, 3)}
    found = check(docs, anchors.Config(), cuts=(100,), n_partitions=4)
    assert sum(bool(row["owners.spans"]) for row in found.values()) >= 20


@pytest.mark.parametrize(
    ("passage", "shorter"),
    [
        (han(1, 100), han(1, 100)[1:]),
        (latin(1, 400), latin(1, 400)[1:]),
        (han(1, 50) + latin(1, 200), han(1, 50) + latin(1, 199)),
        ("《" + han(1, 98) + "》", han(1, 98) + "》"),
    ],
    ids=["Chinese", "English", "mixed", "Chinese with full-width marks"],
)
def test_lengths_count_in_characters_of_the_script(passage: str, shorter: str) -> None:
    """100 Chinese or 400 other characters are a passage, or as much of both; one less is none."""
    for text, is_passage in ((passage, True), (shorter, False)):
        docs = {"b": f"前{text}后 after", "a": f"before {text}其余"}
        found = run(docs, anchors.Config())
        spans = found["b"]["owners.spans"]
        assert spans == ([{"start": 1, "end": 1 + len(text), "kind": "passage"}] if is_passage else None)


def test_keys_compared_in_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """However few windows are compared at once, passages and ids are the same."""
    docs = {f"d{i}": f"{i}{han(i % 3, 140)}{i}{latin(i % 4, 600)}{i}" for i in range(9)}
    whole = run(docs, anchors.Config(), n_partitions=2)
    assert sum(len(row["substring.passages"] or ()) for row in whole.values()) >= 18
    for n_windows in (1, 300, 2000):
        monkeypatch.setattr(repeated_windows, "CHUNK_WINDOWS", n_windows)
        assert run(docs, anchors.Config(), n_partitions=2) == whole


def test_what_stays_is_the_text_of_smallest_doc_id_and_all_own_text() -> None:
    """A passage is removed everywhere but in the first document, to the character, and nothing else is."""
    passage = han(7, 130)
    docs = {"c": f"甲{passage}乙", "a": f"丙𠮷{passage}丁", "b": f"{passage}e\u0301戊"}
    assert removed(docs, anchors.Config()) == {"c": "甲乙", "a": docs["a"], "b": "e\u0301戊"}


def test_repeats_inside_a_document_leave_the_first() -> None:
    """The first occurrence of a passage that is repeated in its own document is kept."""
    passage = " ".join(latin(3, 500)[i : i + 9] for i in range(0, 500, 9))
    assert removed({"a": f"1 {passage} 2 {passage} 3"}, anchors.Config()) == {"a": f"1 {passage} 2 3"}


def test_a_pattern_without_end_leaves_one_turn() -> None:
    """A run of a repeated pattern is a passage that overlaps itself."""
    assert removed({"a": "哈" * 500 + "。", "b": "<" + "-=" * 900 + ">"}, anchors.Config()) == {
        "a": "哈。",
        "b": "<-=>",
    }


@settings(max_examples=60)
@given(docs=documents("abc中"))
def test_removed_text_still_stands_somewhere(docs: dict[str, str]) -> None:
    """Every removed character has an equal one that is kept; the first document loses only its own repetitions."""
    left = removed(docs, SMALL)
    assert set("".join(left.values())) == set("".join(docs.values()))
    for doc in sorted(docs)[:1]:
        windows = windows_of(docs[doc], SMALL)
        assert left[doc] == docs[doc] or len(set(windows)) < len(windows)


def test_short_and_erased_documents_have_no_passages() -> None:
    """A text shorter than a window has no anchors, a null text has nulls, and neither harms the others."""
    docs = {"a": "短", "b": None, "c": han(2, 120), "d": None, "e": han(2, 120)}
    columns = anchors.STAGE.load(anchors.Config())(
        pa.table({"text": pa.array(docs.values(), pa.large_string())})
    )
    assert columns["n_windows"].to_pylist() == [0, None, 21, None, 21]
    assert columns["keys"].to_pylist()[:2] == [[], None]
    found = run(docs, anchors.Config())
    assert [row["owners.spans"] for row in found.values()] == [
        None,
        None,
        [],
        None,
        [{"start": 0, "end": 120, "kind": "passage"}],
    ]


@pytest.mark.parametrize(
    "settings", [{"min_chars_han": 1}, {"min_chars_other": 0}, {"min_chars_han": 20_001}]
)
def test_lengths_out_of_range_are_refused(settings: dict[str, Any]) -> None:  # Any: types of the fields
    """A least length below 2 or beyond the limit is a usage error that names the setting."""
    with pytest.raises(ConfigError, match=f"anchors.{next(iter(settings))} is"):
        anchors.Config(**settings)


def test_known_passages_keep_their_known_values() -> None:
    """Keys and passage numbers of one small corpus, which only a new version of the steps may change."""
    docs = {
        "a": "天地玄黄，宇宙洪荒。",
        "b": "他写道：“天地玄黄。”他写道：“天地",
        "c": "the same, the same, 天地玄",
    }
    table = pa.table({"text": pa.array(docs.values(), pa.large_string())})
    columns = anchors.STAGE.load(SMALL)(table)
    assert columns["firsts"].to_pylist() == [
        [0, 2, 3, 5, 6, 7],
        [0, 1, 2, 4, 7, 9, 12, 13],
        [0, 4, 5, 8, 9, 10, 14, 19],
    ]
    assert [keys[0] for keys in columns["keys"].to_pylist()] == [
        2485524240455958528,
        2262861076435566592,
        13009531864690458624,
    ]
    found = {
        doc: [(p["start"], p["end"], p["passage"]) for p in row["substring.passages"]]
        for doc, row in run(docs).items()
    }
    a, b, c, d = 12662338674594861653, 7210038425026537243, 13859033799509020449, 12827540571323477349
    assert found == {
        "a": [(0, 3, a), (1, 4, b)],
        "b": [(0, 7, c), (5, 8, a), (6, 9, b), (11, 18, c)],
        "c": [(0, 10, d), (10, 20, d), (20, 23, a)],
    }
