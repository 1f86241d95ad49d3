"""Signals: lengths, shares and repetition of each document, for rules to judge.

Reads canonical text and the language label; writes counts and shares, rounded to three decimals. What is too
much is up to the run file. One definition for all scripts:

- a visible character is any but blanks, line breaks and invisible ones;
- a word is a run of letters, digits and Hangul, or one Han, kana, Thai, Lao, Khmer or Burmese character, so
  that mixed text is counted alike whatever its label (`kernels.units`); words are compared in match text;
- a line has no blanks at its ends and is not empty; a paragraph ends at an empty line (`kernels.lines`);
- duplicate lines, paragraphs and n-grams are all occurrences but the first, as datatrove counts them; the top
  n-gram is the one that occurs most, of equals the longest, then the first, with all its occurrences;
- repeats are measured in the characters they cover, each once, never in distinct ones, so that a longer text
  of the same kind does not look less repetitive.

The label chooses stop words and the length of a short line (`stages.languages`). Sources of the signals:
Gopher (arXiv 2112.11446), C4 (arXiv 1910.10683), FineWeb (arXiv 2406.17557), MAP-Neo (arXiv 2405.19327).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numba import njit

from pipeline.errors import ConfigError
from pipeline.stage import Stage
from stages.kernels.chars import CHAR_COUNTS, count_chars
from stages.kernels.firsts import new_firsts
from stages.kernels.lines import LINE_COUNTS, SENTENCE_COUNTS, count_lines, count_sentences, max_lines
from stages.kernels.repeats import DUPLICATE_ORDERS, REPEAT_COUNTS, TOP_ORDERS, count_repeats
from stages.kernels.text import TABLES_PATH, load_tables, view
from stages.kernels.units import UNIT_COUNTS, count_units, max_units, stop_word_table
from stages.languages import load_profiles, load_roles, profile_index, profile_paths

COUNTS = {
    "n_chars": ("n_chars", "code points of the text"),
    "n_words": ("n_words", "words"),
    "n_lines": ("n_lines", "lines"),
    "n_paragraphs": ("n_paragraphs", "paragraphs"),
    "n_sentences": ("n_sentences", "stretches with a letter that end in a terminal mark; 3.14 ends none"),
    "max_line_chars": ("max_line_chars", "characters of the longest line"),
    "stop_word_count": ("n_distinct_stop_words", "distinct stop words of the profile that occur"),
}
"""Whole numbers: signal -> the count it is, and what that means."""

RATIOS = {
    "mean_word_chars": ("spaced_word_chars", "n_spaced_words", "mean characters of words that are runs"),
    "mean_line_chars": ("line_chars", "n_lines", "mean characters of a line"),
    "short_line_share": ("n_short_lines", "n_lines", "lines no longer than the profile's short line"),
    "terminal_line_share": ("n_terminal_lines", "n_lines", "lines that end in terminal punctuation"),
    "bullet_line_share": ("n_bullet_lines", "n_lines", "lines that open with a list marker"),
    "ellipsis_line_share": ("n_ellipsis_lines", "n_lines", "lines that end in an ellipsis"),
    "newline_word_ratio": ("n_newlines", "n_words", "line breaks per word"),
    "hash_word_ratio": ("n_hash_marks", "n_words", "hash marks per word"),
    "ellipsis_word_ratio": ("n_ellipses", "n_words", "ellipses per word"),
    "punct_share": ("n_punct", "n_visible", "visible characters that are punctuation"),
    "digit_share": ("n_digits", "n_visible", "visible characters that are decimal digits"),
    "symbol_share": ("n_symbols", "n_visible", "visible characters that are symbols"),
    "letter_share": ("n_letters", "n_visible", "visible characters that are letters or marks"),
    "han_char_share": ("n_han", "n_visible", "visible characters that are Han"),
    "alpha_word_share": ("n_alpha_words", "n_words", "words with a letter or ideograph"),
    "stop_word_share": ("n_stop_words", "n_words", "words that are stop words of the profile"),
    "unique_char_share": ("window_distinct_chars", "window_chars", "distinct characters in a window, mean"),
    "duplicate_line_share": ("n_duplicate_lines", "n_lines", "lines seen before"),
    "duplicate_line_char_share": ("duplicate_line_chars", "line_chars", "their characters"),
    "duplicate_paragraph_share": ("n_duplicate_paragraphs", "n_paragraphs", "paragraphs seen before"),
    "duplicate_paragraph_char_share": ("duplicate_paragraph_chars", "line_chars", "their characters"),
    **{
        f"top_{n}_gram_char_share": (
            f"top_{n}_gram_chars",
            "word_chars",
            f"word characters in the top {n}-gram",
        )
        for n in TOP_ORDERS
    },
    **{
        f"duplicate_{n}_gram_char_share": (
            f"duplicate_{n}_gram_chars",
            "word_chars",
            f"... in repeated {n}-grams",
        )
        for n in DUPLICATE_ORDERS
    },
}
"""Quotients of two counts, 0 where the second is: signal -> both counts, and what that means."""

SCHEMA = pa.schema(
    [pa.field(name, pa.int32(), metadata={"meaning": meaning}) for name, (_, meaning) in COUNTS.items()]
    + [
        pa.field(name, pa.float32(), metadata={"meaning": meaning})
        for name, (_, _, meaning) in RATIOS.items()
    ]
)

_UNITS = 1 + len(CHAR_COUNTS)  # where each group of counts begins in a row
_LINES = _UNITS + len(UNIT_COUNTS)
_SENTENCES = _LINES + len(LINE_COUNTS)
_REPEATS = _SENTENCES + len(SENTENCE_COUNTS)
_NAMES = ("n_chars", *CHAR_COUNTS, *UNIT_COUNTS, *LINE_COUNTS, *SENTENCE_COUNTS, *REPEAT_COUNTS)
_N_COUNTS = len(_NAMES)


@dataclass(frozen=True, kw_only=True)
class Config:
    """window_chars: visible characters in a window of unique_char_share, which else falls with length."""

    window_chars: int = 1000

    def __post_init__(self) -> None:
        if self.window_chars < 1:
            raise ConfigError(f"signals.window_chars is {self.window_chars}; expected 1 or more")


class Signals:
    """`annotate` with its tables: punctuation roles, and stop words and line lengths of every profile."""

    def __init__(self, config: Config) -> None:
        self.window = config.window_chars
        self.roles = load_roles()
        profiles = load_profiles()
        self.short_chars = np.array([profile.short_line_chars for profile in profiles], np.int64)
        self.stop_words = np.stack([stop_word_table(profile.stop_words) for profile in profiles])

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Measure every document of a batch."""
        codes, starts, classes = view(batch["text"])
        counts = _count(
            codes, starts, classes, load_tables().fold, profile_indices(batch["language.label"]), self.roles,
            self.short_chars, self.stop_words, self.window,
        )  # fmt: skip
        return to_signals(dict(zip(_NAMES, counts.T, strict=True)))


def profile_indices(labels: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """Position of each row's profile in `load_profiles`; int64 (n_rows,)."""
    if isinstance(labels, pa.ChunkedArray):
        labels = labels.combine_chunks()
    encoded = labels.dictionary_encode(null_encoding="encode")
    known = np.array([profile_index(label) for label in encoded.dictionary.to_pylist()], np.int64)
    return known[encoded.indices.to_numpy(zero_copy_only=False)]


def to_signals(counts: dict[str, np.ndarray]) -> pa.Table:
    """Turn counts by name, int64 (n_docs,) each, into the columns of SCHEMA."""
    columns = [pa.array(counts[name].astype(np.int32)) for name, _ in COUNTS.values()]
    for part, whole, _ in RATIOS.values():
        share = counts[part] / np.maximum(counts[whole], 1)
        columns.append(pa.array(np.round(share, 3).astype(np.float32)))
    return pa.Table.from_arrays(columns, schema=SCHEMA)


@njit(cache=True, nogil=True)
def _count(codes, starts, classes, fold, profiles, roles, short_chars, stop_words, window):  # type: ignore[no-untyped-def]
    """Count everything for every text; int64 (n_docs, counts) in the order of _NAMES."""
    n_docs = len(starts) - 1
    counts = np.zeros((n_docs, _N_COUNTS), np.int64)
    last_seen = np.full(0x110000, -1, np.int64)
    n_units = n_lines = 0
    for doc in range(n_docs):
        n_units = max(n_units, max_units(classes, starts[doc], starts[doc + 1]))
        n_lines = max(n_lines, max_lines(classes, starts[doc], starts[doc + 1]))
    hashes, ends = np.empty(n_units, np.uint64), np.empty(n_units, np.int32)
    table, paragraphs = new_firsts(max(n_units, n_lines)), new_firsts(n_lines)
    for doc in range(n_docs):
        start, end, profile = starts[doc], starts[doc + 1], profiles[doc]
        row = counts[doc]
        row[0] = end - start
        count_chars(codes, classes, start, end, window, last_seen, row[1:_UNITS])
        found = count_units(
            codes, classes, fold, start, end, stop_words[profile], hashes, ends, row[_UNITS:_LINES]
        )
        count_lines(
            codes, classes, start, end, roles, short_chars[profile], table, paragraphs, row[_LINES:_SENTENCES]
        )
        count_sentences(codes, classes, start, end, roles, row[_SENTENCES:_REPEATS])
        count_repeats(hashes, ends, found, table, row[_REPEATS:])
    return counts


STAGE = Stage(
    name="signals",
    version=1,
    config=Config,
    reads=("text", "language.label"),
    writes=SCHEMA,
    load=Signals,
    data=(TABLES_PATH, *profile_paths()),
)
