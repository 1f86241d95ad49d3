"""Exact identity: what counts as the same text, and what must not."""

from __future__ import annotations

import unicodedata

import pyarrow as pa
import pytest
from hypothesis import given

from stages.exact import SCHEMA, STAGE, Config
from stages.kernels.hashing import string_keys
from stages.kernels.minhash import match_text
from stages.kernels.tables import HANGUL, MARK, OTHER, load_tables
from tests.strategies import texts

ANNOTATE = STAGE.load(Config())


def hashes(*documents: str | None) -> list[tuple[bytes | None, bytes | None]]:
    """(match hash, raw hash) of each text."""
    table = ANNOTATE(pa.table({"text": pa.array(documents, pa.large_string())}))
    assert table.schema.equals(SCHEMA)
    return [(row["match_hash"], row["raw_hash"]) for row in table.to_pylist()]


def match_reference(text: str) -> str:
    """Match text of one document, character by character."""
    tables, match, after_word, gap = load_tables(), "", False, False
    for char in text:
        code = int(tables.fold[ord(char)])
        if not code:
            gap = gap or tables.classes[ord(char)] != OTHER
            continue
        kind = tables.classes[code]
        is_word = kind < HANGUL and (kind != MARK or after_word)
        match += (" " if is_word and after_word and gap else "") + chr(code)
        after_word, gap = is_word, False
    return match


@given(text=texts())
def test_match_text_agrees_with_the_reference(text: str) -> None:
    """The kernel folds any text like the character by character reference."""
    match = match_text(pa.array(["x", text, "y"], pa.large_string()))
    codes = match.codes[match.starts[1] : match.starts[2]]
    assert "".join(map(chr, codes)) == match_reference(text)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("圖書館的開放時間", "图书馆的开放时间"),
        ("今天，天气很好。", "今天,天气很好."),
        ("ＡＢＣ１２３", "abc123"),
        ("The Quick, brown fox!", "the quick\n\nbrown  fox"),
        ("用 Python 写代码", "用Python写代码"),
        ("word\u200djoined", "wordjoined"),
    ],
)
def test_copies_meet(left: str, right: str) -> None:
    """Width, case, punctuation, blanks and Traditional characters make no difference to the match hash."""
    (match_a, raw_a), (match_b, raw_b) = hashes(left, right)
    assert match_a == match_b
    assert raw_a != raw_b


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("第1章", "第2章"),
        ("foo bar", "foobar"),
        ("ab c", "a bc"),
        ("你好吗", "你好"),
        ("哈哈", "哈"),
        ("a", "b"),
    ],
)
def test_different_texts_stay_different(left: str, right: str) -> None:
    """Digits, word boundaries, length and every letter count."""
    assert hashes(left)[0][0] != hashes(right)[0][0]


def test_texts_without_match_text_do_not_collapse() -> None:
    """Texts of punctuation alone are the same only when they are the same code point by code point."""
    found = [match for match, _ in hashes("!!!", "……", "★★★", "\u200b", "", "!!!")]
    assert len(set(found)) == 5
    assert found[0] == found[5]


def test_a_null_text_has_no_identity() -> None:
    """Erased documents get nulls and do not shift their neighbours."""
    assert hashes("a", None, "b") == [*hashes("a"), (None, None), *hashes("b")]


def test_hashes_do_not_collide_on_many_short_texts() -> None:
    """A hundred thousand numbers and ideographs get as many match hashes and string keys."""
    letters = [chr(code) for code in range(0x4E00, 0x9000) if unicodedata.category(chr(code)) == "Lo"]
    texts = [str(n) for n in range(80_000)] + [letter + "一" for letter in letters if letter != "一"]
    column = pa.array(texts, pa.large_string())
    match = match_text(column)
    folded = {match.codes[a:b].tobytes() for a, b in zip(match.starts, match.starts[1:], strict=False)}
    assert len(set(ANNOTATE(pa.table({"text": column}))["match_hash"].to_pylist())) == len(folded) > 90_000
    assert len(set(string_keys(column).tolist())) == len(texts)
