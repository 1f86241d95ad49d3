"""Shared n-grams: the pass against a slow reading of the definition, and when its result is used again."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers.linear.families import CHARACTERS, WORDS
from classifiers.quality.features import HASH_BITS, ORDERS
from classifiers.quality.ngrams import Ngrams, count_cells, count_tokens, find_ngrams, hash_ngrams
from stages.kernels.text.text import TextView, decode, view
from tests.helpers.ngrams import CLASS_LETTERS, MASK, ODD_A, TOKEN, mix, unit_key
from tests.helpers.paths import DEV_DATA
from tests.helpers.strategies import texts

ADVERSARIAL = [
    "", " ", "\n \n", "a", "光", "。", "a\u0301", "\u200b", "7", "1,000.50", "don't 'tis ''", "ﬁ Ａ１", "한국어 글",
    "光a合b作", "カタカナ・ひら", "😀😀", "哈" * 5000, "na " * 5000, "\u0300\u0301", "x\r\ny\u2028z", "ไทย ကမ ລາວ",
]  # fmt: skip


def list_cells(text: str, view_of_text: TextView, family: int) -> list[int]:
    """Cells of a text in the order of its tokens, from the definition."""
    letters = "".join(
        "'" if char in "'\u2019" else CLASS_LETTERS[kind]
        for char, kind in zip(text, view_of_text.classes.tolist(), strict=True)
    )
    cells: list[int] = []
    previous: list[int] = []
    for match in TOKEN.finditer(letters):
        codes = [ord(char) for char in text[match.start() : match.end()]]
        if match["unit"] is not None:
            key = 1 if match["unit"].startswith("0") else unit_key(codes)
        elif match["line"] is not None:
            key = 2
        else:
            key = mix(codes[0] ^ (1 << 32)) if match["mark"] is not None else 3
        found = [key, *(mix((shorter * ODD_A + key) & MASK) for shorter in previous)][: ORDERS[family]]
        cells += [gram >> (64 - HASH_BITS) for gram in (mix(key), *found[1:])]
        previous = found
    return cells


def check(docs: list[str], family: int) -> None:
    """Compare the pass over a batch with the definition, document by document."""
    found = hash_ngrams(decode(pa.array(docs, pa.large_string())), np.full(len(docs), family))
    for i, text in enumerate(docs):
        cells = list_cells(text, decode(pa.array([text], pa.large_string())), family)
        low, high = found.firsts[i : i + 2]
        assert found.cells[found.begins[i] : found.begins[i + 1]].tolist() == cells
        times = dict(zip(found.distinct[low:high].tolist(), found.times[low:high].tolist(), strict=True))
        assert len(times) == high - low and times == dict(Counter(cells))


@pytest.mark.parametrize("family", [CHARACTERS, WORDS])
@given(st.lists(texts(), max_size=5))
def test_cells_equal_the_definition(family: int, docs: list[str]) -> None:
    """Any texts have the cells, in order, and the counts that the definition gives."""
    check(docs, family)


@pytest.mark.parametrize("family", [CHARACTERS, WORDS])
def test_cells_of_adversarial_texts_equal_the_definition(family: int) -> None:
    """Empty, one-token, repeating, invisible and mixed-script texts have the cells of the definition."""
    check(ADVERSARIAL, family)


@pytest.mark.skipif(not DEV_DATA.exists(), reason="needs the development data")
def test_cells_of_web_texts_equal_the_definition() -> None:
    """Chinese and English web texts have the cells of the definition."""
    rows = pq.read_table(DEV_DATA / "web_labels.parquet", columns=["text", "lang"]).slice(0, 120).to_pylist()
    for family, lang in ((CHARACTERS, "zh"), (WORDS, "en")):
        check([row["text"][:3000] for row in rows if row["lang"].startswith(lang)], family)
        check([row["text"][:3000] for row in rows if not row["lang"].startswith(lang)][:20], family)


@pytest.mark.parametrize("family", [CHARACTERS, WORDS])
def test_cells_of_a_number_of_tokens(family: int) -> None:
    """Each token adds its n-grams: blocks of tokens are found by arithmetic."""
    expected = 0
    for n_tokens in range(200):
        assert count_cells(n_tokens, family) == expected and count_tokens(expected, family) == n_tokens
        expected += min(n_tokens + 1, ORDERS[family])


def test_a_batch_is_hashed_once() -> None:
    """Stages that annotate one batch share its n-grams; other families or another batch are hashed anew."""
    column, families = (
        pa.chunked_array([pa.array(["光合作用。", "two words"])]),
        np.array([CHARACTERS, WORDS]),
    )
    first = find_ngrams(view(column), families)
    assert find_ngrams(view(column), families.copy()) is first
    assert not any(array.flags.writeable for array in first)
    other = find_ngrams(view(column), families[::-1].copy())
    assert other is not first and not same(other, first)
    families[:] = CHARACTERS  # the caller's array may change; the cached families may not
    assert same(find_ngrams(view(column), np.array([CHARACTERS, WORDS])), first)
    assert len(find_ngrams(view(pa.chunked_array([], pa.string())), np.zeros(0, np.int64)).cells) == 0


def same(a: Ngrams, b: Ngrams) -> bool:
    """Whether all arrays are equal."""
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))
