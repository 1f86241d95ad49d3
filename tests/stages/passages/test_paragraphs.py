"""Repeated paragraphs and lines: equality with an oracle, what counts as a unit, and the text after removal."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigError
from stages.passages import paragraphs, repeated_paragraphs
from tests.helpers.oracles.paragraphs import (
    PARAGRAPHS,
    check,
    removed,
    run,
    table_of,
)
from tests.helpers.oracles.passages import han, latin
from tests.helpers.run_global import number_rows, run_global

LINES = paragraphs.Config(unit="line")


PIECES = (
    "甲乙丙丁",
    "甲乙，丙丁。",
    "乙丙",
    "one two three",
    "One, two: THREE!",
    "one",
    "  }",
    "---",
    "e\u0301a",
    "٣٤",
    "",
)
SEPARATORS = ("\n", "\n\n", "\r\n", "\r\n \r\n", "\n \u3000\n", "\u2028", "\x85\n", "\n\u200b\n", " ")


def documents() -> st.SearchStrategy[dict[str, str]]:
    """Documents of a few units that come back, with every kind of break."""
    piece = st.tuples(st.sampled_from(PIECES), st.sampled_from(SEPARATORS)).map("".join)
    text = st.builds(
        str.__add__, st.sampled_from(("", "\n", " \n\n")), st.lists(piece, max_size=7).map("".join)
    )
    return st.lists(text, max_size=6).flatmap(
        lambda texts: st.permutations([f"d{i}" for i in range(len(texts))]).map(
            lambda names: dict(zip(names, texts, strict=True))
        )
    )


@settings(max_examples=120, deadline=None)
@given(
    docs=documents(),
    unit=st.sampled_from(paragraphs.UNITS),
    least=st.tuples(st.integers(1, 4), st.integers(1, 12)),
    cuts=st.lists(st.integers(0, 6), max_size=2).map(tuple),
    n_partitions=st.sampled_from([1, 4, 7]),
    min_copies=st.sampled_from([2, 3]),
    derived=st.sets(st.sampled_from(["d0", "d1", "d2"])).map(frozenset),
)
def test_occurrences_are_those_of_the_reference(
    docs: dict[str, str], unit: str, least: tuple[int, int], derived: frozenset[str], **how: Any
) -> None:
    """Places, ids and spans equal those of comparing all units, for any cut and number of partitions."""
    config = paragraphs.Config(unit=unit, min_chars_han=least[0], min_chars_other=least[1])
    check(docs, config, derived, **how)


@settings(max_examples=40, deadline=None)
@given(docs=documents(), cut=st.integers(0, 6), data=st.data())
def test_the_order_of_documents_does_not_matter(docs: dict[str, str], cut: int, data: st.DataObject) -> None:
    """Each document has the same output for any order and batches of documents."""
    config = paragraphs.Config(unit="line", min_chars_han=2, min_chars_other=3)
    shuffled = data.draw(st.permutations(sorted(docs)))
    assert run({doc: docs[doc] for doc in shuffled}, config, cuts=(cut,)) == run(docs, config)
    whole = table_of(docs, config)
    parts = [table_of(dict(part), config) for part in (list(docs.items())[:cut], list(docs.items())[cut:])]
    assert pa.concat_tables(parts).combine_chunks().equals(whole.combine_chunks())


NOTICE = han(1, 40)


def test_a_paragraph_goes_with_the_empty_lines_after_it() -> None:
    """The rest reads as if the paragraph had never been there, and the first document keeps it whole."""
    docs = {
        "a": f"标题\n\n{NOTICE}\n{NOTICE[::-1]}\n\n\n末段",
        "b": f"前言。\n\n{NOTICE}\n{NOTICE[::-1]}\n\n后记。",
    }
    assert removed(docs) == {"a": docs["a"], "b": "前言。\n\n后记。"}
    assert removed(docs, gone=frozenset("a")) == docs
    assert removed(docs, prefer={"a": 0, "b": 1}) == {"a": "标题\n\n末段", "b": docs["b"]}


def test_a_paragraph_given_back_is_given_back_whole() -> None:
    """Where the document that kept a paragraph of many lines is dropped, the next one has every line of it."""
    lines = "\n".join(han(seed, 25) for seed in range(12))
    docs = {"a": lines, "b": f"甲\n\n{lines}\n\n乙", "c": f"{lines}\n\n丙"}
    assert removed(docs, gone=frozenset("a")) == {"a": docs["a"], "b": docs["b"], "c": "丙"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            "圖書館從下個月起延長開放時間，歡迎讀者前來借閱。",
            "图书馆从下个月起延长开放时间，欢迎读者前来借阅",
        ),
        (
            "ＡＢＣ公司第１季度收入同比增长，其中海外市场占了三成。",
            "abc公司第1季度收入同比增长；其中海外市场占了三成……",
        ),
        ("The library closes at five. " * 4, "“THE LIBRARY: closes at five!”\n" * 4),
    ],
    ids=["Traditional", "width", "case, marks and line breaks"],
)
def test_units_are_compared_in_match_text(one: str, other: str) -> None:
    """Copies that differ in script, width, case, punctuation or breaks within the paragraph are copies."""
    docs = {"a": f"{one}\n\n甲", "b": f"乙\n\n{other}\n\n丙"}
    assert removed(docs) == {"a": docs["a"], "b": "乙\n\n丙"}
    assert removed({"a": docs["a"], "b": f"乙\n\n{other}戊\n\n丙"})["b"] != "乙\n\n丙"


def test_lines_are_smaller_than_paragraphs() -> None:
    """As a line, a repeated line is removed from a paragraph of other lines; as a paragraph nothing is."""
    docs = {"a": f"{NOTICE}\n{han(2, 30)}\n", "b": f"{han(3, 30)}\n{NOTICE}\n{han(4, 30)}\n"}
    assert removed(docs) == docs
    assert removed(docs, LINES) == {"a": docs["a"], "b": f"{han(3, 30)}\n{han(4, 30)}\n"}


def test_what_is_short_is_no_unit() -> None:
    """Headings, braces, rules and list items are kept however often they occur; so are lines without words."""
    text = "第一章\n}\n----------------------------\n- 首页\nReturn to top\n" + "=" * 500 + "\n"
    assert all(row["substring.passages"] is None for row in run({"a": text * 3, "b": text}, LINES).values())
    for n_chars, is_unit in ((19, False), (20, True)):
        docs = {"a": f"{han(1, 40)[:n_chars]}。\n", "b": f"“{han(1, 40)[:n_chars]}”"}
        assert (
            run(docs)["b"]["owners.spans"] == [{"start": 0, "end": n_chars + 2, "kind": "paragraph"}]
        ) == is_unit
    for n_chars, is_unit in ((79, False), (80, True)):
        found = run({"a": latin(1, n_chars), "b": latin(1, n_chars)})
        assert bool(found["b"]["owners.spans"]) == is_unit


def test_equal_lines_cost_one_row_each() -> None:
    """Of k equal lines, in one document or in many, k rows are compared, k places written, and one line is kept."""
    for n_lines in (100, 1000):
        table = table_of({"a": f"{NOTICE}\n" * n_lines, "b": f"{NOTICE}\n" * n_lines}, LINES)
        (shard,) = number_rows([table])
        keyed = repeated_paragraphs.map_keys(shard, repeated_paragraphs.Config())
        assert keyed.num_rows == 2 * n_lines
        assert repeated_paragraphs.find_repeated(keyed, repeated_paragraphs.Config()).num_rows == 2 * n_lines
    assert removed({"a": f"{NOTICE}\n" * 1000, "b": f"{NOTICE}\n" * 1000}, LINES) == {
        "a": f"{NOTICE}\n",
        "b": "",
    }


def test_a_book_of_seventy_thousand_lines() -> None:
    """Lines beyond the sixteen-bit numbers get the right positions."""
    lines = [f"第{i}行：这一行与别的行都不相同，它的号码是{i}，一共有七万行。\n" for i in range(70_000)]
    docs = {"book": "".join(lines), "page": f"摘录\n{lines[69_999]}完\n{lines[65_537]}"}
    found = run(docs, LINES)
    begins = np.cumsum([0, *map(len, lines)])
    assert [p["start"] for p in found["book"]["substring.passages"]] == [begins[65_537], begins[69_999]]
    assert removed(docs, LINES) == {"book": docs["book"], "page": "摘录\n完\n"}
    twice = run({"a": docs["book"], "b": docs["book"]}, LINES)
    assert len(twice["b"]["substring.passages"]) == 70_000
    assert twice["b"]["owners.spans"] == [{"start": 0, "end": int(begins[-1]), "kind": "line"}]
    assert twice["b"]["owners.n_chars_left"] == 0


def test_copies_are_reported_and_counted() -> None:
    """What is found is never an empty list: places in rows, numbers in the summary; unique documents have nulls."""
    docs = {"a": f"{NOTICE}\n\n{han(2, 30)}", "b": NOTICE, "c": han(3, 30), "d": "", "e": None, "f": NOTICE}
    shards = number_rows([table_of(docs, PARAGRAPHS)])
    outcome = run_global(repeated_paragraphs.GLOBAL, shards, repeated_paragraphs.Config())
    assert outcome.artefacts["summary"].to_pylist() == [
        {"documents": 3, "passages": 1, "occurrences": 3, "repeated_chars": 122}
    ]
    found = run(docs)
    assert [row["substring.passages"] is None for row in found.values()] == [
        False,
        False,
        True,
        True,
        True,
        False,
    ]
    assert all(row["substring.passages"] != [] for row in found.values())
    assert shards[0]["paragraphs.keys"].to_pylist()[3:5] == [[], None]
    assert shards[0]["paragraphs.unit"].to_pylist() == ["paragraph"] * 4 + [None, "paragraph"]


def test_more_copies_can_be_asked_for() -> None:
    """With `min_copies` 3 a paragraph in two places is kept in both, one in three is kept in the first."""
    docs = {"a": f"{NOTICE}\n\n{han(2, 30)}", "b": f"{NOTICE}\n\n{han(2, 30)}", "c": f"{NOTICE}\n\n尾"}
    assert removed(docs, min_copies=3) == {"a": docs["a"], "b": han(2, 30), "c": "尾"}
    with pytest.raises(ConfigError, match="min_copies is 1; expected 2 or more"):
        repeated_paragraphs.Config(min_copies=1)


def test_derived_documents_meet_each_other_only() -> None:
    """A document takes nothing from the page that it was made of."""
    docs = {"a": NOTICE, "b": f"{NOTICE}\n\n甲", "c": f"{NOTICE}\n\n乙"}
    assert removed(docs, derived=frozenset("bc")) == {"a": docs["a"], "b": docs["b"], "c": "乙"}


def test_a_key_is_not_enough() -> None:
    """Units that agree in 64 bits and differ in the others are two passages, or none."""
    keys = np.array([5, 5, 5, 5, 5], np.uint64)
    columns = [keys, np.array([1, 2, 1, 3, 2], np.uint32), np.arange(5, dtype=np.uint64)]
    places = [np.zeros(5, np.int32), np.full(5, 9, np.int32), np.full(5, 9, np.int32), np.ones(5, np.int8)]
    table = pa.table([*columns, *places], schema=repeated_paragraphs.KEYED)
    found = repeated_paragraphs.find_repeated(table, repeated_paragraphs.Config())
    assert found["row"].to_pylist() == [0, 2, 1, 4]
    ids = found["passage"].to_pylist()
    assert ids[0] == ids[1] != ids[2] == ids[3]


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("unit", "lines", "expected line or paragraph"),
        ("min_chars_han", 0, "expected 1 to"),
        ("min_chars_other", 20_001, "expected 1 to"),
    ],
)
def test_settings_out_of_range_are_refused(setting: str, value: Any, message: str) -> None:
    """A unit that there is none of, or a length out of range, is a usage error. Any: a wrong value."""
    with pytest.raises(ConfigError, match=f"paragraphs.{setting} is .*{message}"):
        paragraphs.Config(**{setting: value})
