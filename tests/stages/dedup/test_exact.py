"""Exact identity: which texts count as the same, and which do not."""

from __future__ import annotations

import unicodedata

import pyarrow as pa
import pytest
from hypothesis import given

from stages.dedup.exact import SCHEMA, STAGE
from stages.kernels.dedup.minhash import match_text
from stages.kernels.text.hashing import string_keys
from tests.helpers.oracles.match_text import code_lines, match_reference
from tests.helpers.strategies import texts

ANNOTATE = STAGE.load(STAGE.config())


def hashes(*documents: str | None) -> list[tuple[bytes | None, bytes | None]]:
    """(match hash, raw hash) of each text."""
    table = ANNOTATE(pa.table({"text": pa.array(documents, pa.large_string())}))
    assert table.schema.equals(SCHEMA)
    return [(row["match_hash"], row["raw_hash"]) for row in table.to_pylist()]


@given(text=texts())
def test_match_text_agrees_with_the_reference(text: str) -> None:
    """The kernel folds any text like the character by character reference."""
    match = match_text(pa.array(["x", text, "y"], pa.large_string()), marks=True)
    codes = match.codes[match.starts[1] : match.starts[2]]
    assert "".join(map(chr, codes)) == match_reference(text)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("圖書館的開放時間", "图书馆的开放时间"),
        ("今天，天气很好。", "今天,天气很好."),
        ("ＡＢＣ１２３", "abc123"),
        ("The Quick, brown fox.", "the quick\n\nbrown  fox"),
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
        ("她穿著裙子，看著窗外。", "她穿着裙子，看着窗外。"),
        ("他在枱上放了一個粽子。", "他在台上放了一个糭子。"),
        ("屋簷下的衞生所", "屋檐下的卫生所"),
        ("请查收答复，反复阅读，不要找借口。", "請查收答覆，反覆閱讀，不要找藉口。"),
        ("這套傢俱是從那裏買的，線條優美。", "这套家具是从那里买的，綫條優美。"),
        ("他啓程去台北，秘書說：「羣眾」", "他启程去臺北，祕書説：“群众”"),
        ("衹有這樣才能鈎住", "只有这样才能钩住"),
    ],
)
def test_regional_forms_meet(left: str, right: str) -> None:
    """Taiwan's and Hong Kong's forms of characters and words are the same text; BYVoid/OpenCC#555, #963."""
    (match_a, _), (match_b, _) = hashes(left, right)
    assert match_a == match_b


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


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("x = 1 + 2", "x = 1 - 2"),
        ("y = a[i]", "y = a(i)"),
        ("if (a < b) { return a; }", "if (a > b) { return a; }"),
        ("total += price * n", "total += price / n"),
        ("```\nrun --fast\n```\n\n```\na && b\n```", "```\nrun --fast\n```\n\n```\na || b\n```"),
    ],
)
def test_code_keeps_its_operators(left: str, right: str) -> None:
    """Lines of code that differ in an operator or a bracket are not the same; full width forms of them are."""
    (match_a, _), (match_b, _) = hashes(left, right)
    assert match_a != match_b
    wide = "".join(chr(ord(char) + 0xFEE0) if char in "=+-*/()[]{}<>;" else char for char in left)
    (match_c, _), (match_d, _) = hashes(left, wide)
    assert match_c == match_d


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ('He said: "never" - and left.', "He said, 'never' and left;"),
        ("今天（周五）——闭馆；请改日再来。", "今天(周五) 闭馆,请改日再来"),
        ("- first item\n- second item", "* first item\n* second item"),
        ("## A heading\n\nSome **bold** text.", "A heading\nSome bold text"),
        ("| a | b |\n|---|---|\n| 1 | 2 |", "a b\n1 2"),
        ("see https://example.org/a?b=c#d for more", "see https://example.org/a?b=c#d, for more."),
    ],
)
def test_prose_loses_its_marks(left: str, right: str) -> None:
    """Punctuation, marks of Markdown and tables of words make no difference in prose."""
    (match_a, _), (match_b, _) = hashes(left, right)
    assert match_a == match_b


def test_an_edit_elsewhere_turns_no_prose_into_code() -> None:
    """A line is judged by itself and its neighbours: an unclosed fence changes nothing further down."""
    prose = "\n".join(f"第{i}段：市图书馆（总馆）延长开放时间；周末照旧。" for i in range(30))
    assert not any(code_lines(prose))
    flags = code_lines("```python\nx = f(1)\n" + prose)
    assert flags[1] and not any(flags[4:])
