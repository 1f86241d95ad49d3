"""The decoded view of a batch, and the tables of character classes and match characters."""

from __future__ import annotations

import unicodedata
from itertools import pairwise

import numpy as np
import opencc
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.kernels.text import tables
from stages.kernels.text.text import load_tables, view
from tests.helpers.strategies import texts

ANY_TEXTS = st.lists(st.none() | st.just("") | texts() | st.text(max_size=20), max_size=6)


def codes_of(docs: list[str | None]) -> list[list[int]]:
    """The oracle: code points of each text."""
    return [[ord(char) for char in doc or ""] for doc in docs]


def codes_in(column: pa.ChunkedArray | pa.Array) -> list[list[int]]:
    """Code points of each text by the kernel."""
    codes, starts, classes = view(column)
    assert len(codes) == len(classes) == starts[-1]
    assert np.array_equal(classes, load_tables().classes[codes])
    return [codes[a:b].tolist() for a, b in pairwise(starts)]


@given(ANY_TEXTS, st.integers(0, 6), st.integers(0, 6), st.sampled_from((pa.string(), pa.large_string())))
def test_view_decodes_any_slice(docs: list[str | None], start: int, n: int, type_: pa.DataType) -> None:
    """Every slice of a column, null as empty, decodes to the code points that Python sees."""
    column = pa.array(docs, type_)
    assert codes_in(column.slice(start, n)) == codes_of(docs[start : start + n])


@given(st.lists(ANY_TEXTS, max_size=4))
def test_view_decodes_chunks_as_one(chunks: list[list[str | None]]) -> None:
    """A column of many chunks, or of none, decodes like the whole."""
    column = pa.chunked_array([pa.array(docs, pa.large_string()) for docs in chunks], pa.large_string())
    assert codes_in(column) == codes_of([doc for docs in chunks for doc in docs])


@pytest.mark.parametrize(
    "char", ["\0", "\x7f", "\x80", "\u07ff", "\u0800", "\uffff", "\U00010000", "\U0010ffff"]
)
def test_view_decodes_ends_of_every_length(char: str) -> None:
    """The first and the last character of each UTF-8 length decode, also beside others."""
    assert codes_in(pa.array([char, f"a{char}中{char}"])) == codes_of([char, f"a{char}中{char}"])


@pytest.mark.parametrize("char", ["\x80", "中", "\U00020000"])
def test_view_decodes_characters_at_every_place_of_a_block(char: str) -> None:
    """A character of two to four bytes decodes wherever it falls in a block of ASCII, and so do runs of it; documents
    may end anywhere in a block."""
    docs = [
        "a" * before + char * n + "b" * after
        for before in range(34)
        for n in (1, 2, 17)
        for after in (0, 1, 15, 16, 40)
    ]
    assert codes_in(pa.array(docs)) == codes_of(list(docs))


def test_view_is_kept_for_the_last_batch_only() -> None:
    """The same buffers give the same view; another slice or batch gives its own."""
    column = pa.array(["一 two", "three"], pa.large_string())
    first = view(column)
    assert view(pa.chunked_array([column])) is first
    assert codes_in(column.slice(1)) == codes_of(["three"])
    assert view(column) is not first


def test_view_survives_reused_addresses() -> None:
    """A column that lands where a dead one was is not taken for it."""
    for n in range(200):
        assert codes_in(pa.array([f"文{n:03d}"], pa.large_string())) == codes_of([f"文{n:03d}"])


def test_views_of_empty_columns_follow_each_other() -> None:
    """Columns with and without buffers are compared by address: an empty buffer is no missing one."""
    column = pa.array(["a"])
    empty = column.filter(pa.array([False])), column.take(pa.array([], pa.int64()))
    for text in (*empty, *empty):
        assert len(view(text).codes) == 0


def test_view_cannot_be_changed() -> None:
    """A stage that writes into the shared view fails instead of spoiling it for the next."""
    with pytest.raises(ValueError, match="read-only"):
        view(pa.array(["文"])).codes[0] = 1


CLASSES = {
    tables.SPACE: " \t\u00a0\u3000\u2009\u200b",
    tables.NEWLINE: "\n\r\x0b\x0c\x85\u2028\u2029",
    tables.OTHER: "\x00\x07\u00ad\u200d\ufe0f\ufeff\U000e0100",
    tables.PUNCT: "-.,。，！？…；“”「」《》、·‥؟।#%*",
    tables.SYMBOL: "+<=>|~$￥①½😀\ue000㎏©",
    tables.MARK: "\u0301\u093e\u3099\u0e31",
    tables.DIGIT: "09０９٣७๗",
    tables.LATIN: "azAZéßÅÅＡｚªⅣ𝐀",
    tables.LETTER: "жЖאسहΩაㄅ",
    tables.HANGUL: "한글ㅎᄒﾡ",
    tables.HAN: "一龥〇々㐀𠮷豈⼀\U000323b0",
    tables.KANA: "あアｱーヶゝㇰ",
    tables.UNSPACED: "กลកက",
}


@pytest.mark.parametrize("kind", CLASSES)
def test_known_characters_have_their_class(kind: int) -> None:
    """Characters of every width and script fall into the class that signals and shingles count on."""
    shipped = load_tables().classes
    assert {char: shipped[ord(char)] for char in CLASSES[kind]} == dict.fromkeys(CLASSES[kind], kind)


def test_classes_equal_unicodedata() -> None:
    """The shipped classes equal this Python's Unicode for characters that both versions define."""
    shipped = load_tables()
    wrong = [
        f"U+{code:04X}"
        for code in np.flatnonzero(shipped.assigned).tolist()
        if unicodedata.category(chr(code)) != "Cn" and tables.classify(chr(code)) != shipped.classes[code]
    ]
    assert wrong == []


def test_classes_follow_general_categories() -> None:
    """By way of other functions: digits are decimal, words are made of letters, blanks are blank."""
    shipped = load_tables()
    for code in np.flatnonzero(shipped.assigned).tolist():
        char, kind = chr(code), shipped.classes[code]
        if kind == tables.DIGIT:
            assert char.isdecimal(), hex(code)
        if tables.LATIN <= kind and kind != tables.HAN:
            assert char.isalpha() or unicodedata.category(char) in ("Nl", "Cn"), hex(code)
        if char.isspace():
            assert kind in (tables.SPACE, tables.NEWLINE), hex(code)


FOLDS = {
    "Ａ": "a", "ｚ": "z", "３": "3", "ｶ": "カ", "Ö": "ö", "Σ": "σ", "①": "1", "7": "7",
    "長": "长", "後": "后", "龜": "龟", "國": "国", "文": "文",
    "，": "", "。": "", "!": "", "+": "", "　": "", "😀": "", "\u00ad": "",
}  # fmt: skip


@pytest.mark.parametrize("char", FOLDS)
def test_known_characters_fold(char: str) -> None:
    """Width, case and script are folded; punctuation and blanks are left out; digits are kept."""
    code = load_tables().fold[ord(char)]
    assert (chr(code) if code else "") == FOLDS[char]


def test_folding_twice_changes_nothing() -> None:
    """A match character is its own match character, and belongs to a word or is a number."""
    shipped = load_tables()
    assert np.array_equal(shipped.fold[shipped.fold], shipped.fold)
    kept = np.unique(shipped.fold[shipped.fold > 0])
    numbers = kept[shipped.classes[kept] < tables.MARK].tolist()
    assert {unicodedata.category(chr(code)) for code in numbers if shipped.assigned[code]} == {"No"}


def test_fold_equals_unicodedata_and_opencc() -> None:
    """The shipped match characters equal those of this Python's Unicode and the installed OpenCC."""
    opencc = pytest.importorskip("opencc", reason="OpenCC made the table and is not installed here")
    simplify = opencc.OpenCC("t2s").convert
    shipped = load_tables()
    known = [
        code for code in range(0x10000) if shipped.assigned[code] and unicodedata.category(chr(code)) != "Cn"
    ]
    wrong = [code for code in known if tables.fold_char(chr(code), simplify) != shipped.fold[code]]
    # another OpenCC release may add a few characters; other scripts may not differ
    assert [hex(code) for code in wrong if shipped.classes[code] != tables.HAN] == []
    assert len(wrong) < 50, [chr(code) for code in wrong]


def test_fold_is_nfkc_lower_case_and_opencc_for_all_characters() -> None:
    """Every letter, digit and ideograph up to U+2FFFF folds to its compatibility form in lower case and in Simplified
    characters, where that is one character; a few dozen letters of other scripts have a case of their own."""
    convert, fold = opencc.OpenCC("t2s").convert, load_tables().fold
    singles, folded = [], []
    for code in (*range(0xD800), *range(0xE000, 0x30000)):
        plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", chr(code)).lower())
        if len(plain) == 1 and unicodedata.category(plain)[0] in "LN":
            singles.append(code)
            folded.append(plain)
    simplified = convert("\n".join(folded)).split("\n")
    wrong = [code for code, char in zip(singles, simplified, strict=True) if fold[code] != ord(char)]
    assert len(singles) > 125_000 and len(wrong) < 100
    assert [
        chr(code) for code in wrong if 0x3400 <= code < 0xA000 or code < 0x370 or 0xFF10 <= code < 0xFF5B
    ] in (
        [],
        ["薴"],
    )
