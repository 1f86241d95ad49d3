"""Patterns compiled to tables: the library's pieces on every text, and what is left to the library."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit
from tokenizers import Regex, pre_tokenizers

from stages.kernels.bpe.automaton import UnsupportedError, compile_pattern
from stages.kernels.bpe.characters import CATEGORIES, HAN, SPACE, UNSTABLE, load_features
from stages.kernels.bpe.splits import Splits, join, next_piece

TEXTS = st.text(
    st.sampled_from("abksſKtT0١9'’ \t\n\r\u0085\u3000.,/-我们あé\u0301ǅʰΣ😀\u200d\ue000\0"), max_size=24
)

PATTERNS = (
    r"(?i:'s|'t|'re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"\p{Han}{1,2}|[[\p{L}\p{M}]&&[^\p{Han}]]+|\p{N}",
    r"(?:a|ab|b{2,}|\.a?){1,3}k?",
    r"[^\s\p{P}]*[\p{Lu}\p{Lt}]+(?i:'[sdk])?|\s(?=\S)|[\u3040-ゟ一-龥a-]",
    r"a*b|a|\P{^Ll}",
)  # fmt: skip


@njit
def cut(data, splits, ends):  # type: ignore[no-untyped-def]  # numba infers types
    """Write where each piece ends; return the number of pieces."""
    n, at = 0, 0
    while at < len(data):
        at, _ = next_piece(data, at, len(data), 0, splits)
        ends[n] = at
        n += 1
    return n


SPLITS = [join([compile_pattern(pattern)], [True]) for pattern in PATTERNS]


def pieces(splits: Splits, text: str) -> list[str]:
    """Matches and the text between them, by the kernel."""
    data, ends = text.encode(), np.zeros(100, np.int64)
    n = cut(np.frombuffer(data, np.uint8), splits, ends) if data else 0
    return [data[a:b].decode() for a, b in itertools.pairwise([0, *ends[:n].tolist()])]


@settings(max_examples=30)
@given(TEXTS)
def test_pieces_are_the_library_s(text: str) -> None:
    """Alternatives, repetitions, classes, case and look-ahead cut a text where the library does."""
    for pattern, splits in zip(PATTERNS, SPLITS, strict=True):
        split = pre_tokenizers.Split(Regex(pattern), "isolated")
        assert pieces(splits, text) == [piece for piece, _ in split.pre_tokenize_str(text)], pattern


@pytest.mark.parametrize(
    "pattern",
    [r"a??", r"a++b", r"(a*)*", r"(?<!a)b", r"(?i:ss)", r"(?i:é)", r"\bword", r"\p{Latin}+", r"a*", r"(?!ab)c",
     r"[[:alpha:]]+", r"^a", r".", r"a{1,900}", r"(?i)a", r"\w+"],
)  # fmt: skip
def test_what_is_not_known_is_refused(pattern: str) -> None:
    """A pattern with anything else raises, so that the library takes over."""
    with pytest.raises(UnsupportedError):
        compile_pattern(pattern)


def test_the_table_of_characters_is_the_installed_library_s() -> None:
    """Letters, numbers, white space, Han and what NFC changes are those of the tokenizers library of this machine."""
    features = load_features()
    codes = np.array(
        [code for code in range(0x110000) if not 0xD800 <= code < 0xE000 and not 0x40000 <= code < 0xE0000]
    )
    text = "".join(map(chr, codes))
    found = np.zeros(0x110000, np.int8)
    split = pre_tokenizers.Split(Regex(r"\p{Han}+|\p{L}+|\p{N}+|\s+"), "removed", invert=True)
    numbers = {name: i for i, name in enumerate(CATEGORIES)}
    for _, (start, end) in split.pre_tokenize_str(text):
        category = CATEGORIES[features[codes[start]] & 31][0]
        found[codes[start:end]] = (
            1 if features[codes[start]] & HAN else 2 if category == "L" else 3 if category == "N" else 4
        )
    kinds = features & 31
    expected = np.select(
        [
            (features & HAN) > 0, kinds <= numbers["Lo"], (kinds >= numbers["Nd"]) & (kinds <= numbers["No"]),
            (features & SPACE) > 0,
        ],
        [1, 2, 3, 4], 0,
    )  # fmt: skip
    assert np.array_equal(found[codes], expected[codes])
    assert all(
        features[ord(char)] & UNSTABLE for char in "\u0301\u0344\u1161\u11a8\u212b\uf900\u3099\U0001d15e"
    )
    assert not any(features[ord(char)] & UNSTABLE for char in "aé我，\ufe0f\u200d😀가")
