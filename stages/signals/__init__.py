"""Signals: lengths, shares and repetition of each document, as input for rules.

Reads canonical text and the language label; writes counts and shares, rounded to three decimals. Thresholds are set
in the run file. Definitions are the same for all scripts:

- a visible character is any but blanks, line breaks and invisible ones;
- a word is a run of letters, digits and Hangul, or one Han, kana, Thai, Lao, Khmer or Burmese character, regardless of
  the label, so that mixed text is counted consistently (`kernels.text.units`); words are compared in match text;
- a line is stripped of blanks and not empty; a paragraph ends at an empty line (`kernels.text.lines`);
- duplicate lines, paragraphs and n-grams are all occurrences but the first, as datatrove counts them; the top
  n-gram is the most frequent one (ties go to the longest, then to the first), with all its occurrences;
- repetition is measured in characters covered, each counted once, rather than in distinct n-grams, so that a longer
  text of the same sort does not appear less repetitive.

The label selects stop words and the length of a short line (`stages.languages`); `form` is the form of the text that
`stages.signals.forms` finds. Sources of the signals: Gopher (arXiv 2112.11446), C4 (arXiv 1910.10683), mC4 (arXiv
2010.11934), FineWeb (arXiv 2406.17557), MAP-Neo (arXiv 2405.19327).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numba import njit

from pipeline.errors import ConfigError
from pipeline.stage import Stage
from stages.kernels.code.lines import CodeLines, find_code
from stages.kernels.text.chars import CHAR_COUNTS, count_chars
from stages.kernels.text.firsts import new_firsts
from stages.kernels.text.line_shapes import ending_table
from stages.kernels.text.lines import LINE_COUNTS, SENTENCE_COUNTS, count_lines, count_sentences, max_lines
from stages.kernels.text.repeats import DUPLICATE_ORDERS, REPEAT_COUNTS, TOP_ORDERS, count_repeats
from stages.kernels.text.text import TABLES_PATH, TextView, load_tables, view
from stages.kernels.text.units import (
    UNIT_COUNTS,
    count_units,
    max_units,
    stop_word_table,
    upper_table,
    word_keys,
)
from stages.languages import (
    ENDINGS_PATH,
    load_endings,
    load_profiles,
    load_roles,
    profile_index,
    profile_paths,
)
from stages.signals.forms import name_forms

COUNTS = {
    "n_chars": ("n_chars", "code points of the text"),
    "n_words": ("n_words", "words"),
    "n_lines": ("n_lines", "lines"),
    "n_paragraphs": ("n_paragraphs", "paragraphs"),
    "n_sentences": ("n_sentences", "stretches with a letter that end in a terminal mark; 3.14 ends none"),
    "n_long_lines": ("n_long_lines", "lines of 200 characters or more"),
    "max_line_chars": ("max_line_chars", "characters of the longest line"),
    "max_run_chars": ("max_run_chars", "longest run without blanks and without scripts that have none"),
    "stop_word_count": ("n_distinct_stop_words", "distinct stop words of the profile that occur"),
    "n_lorem_ipsum": ("n_lorem_ipsum", "times that lorem ipsum stands there"),
    "n_braces": ("n_braces", "curly brackets"),
    "n_post_marks": ("n_post_marks", "pictographs, and # and @ that open a word"),
}
"""Integer signals: name -> name of the count, and its meaning."""

RATIOS = {
    "mean_word_chars": ("spaced_word_chars", "n_spaced_words", "mean characters of words that are runs"),
    "mean_unit_chars": ("word_chars", "n_words", "mean characters of all words, single characters too"),
    "mean_line_chars": ("line_chars", "n_lines", "mean characters of a line"),
    "short_line_share": ("n_short_lines", "n_lines", "lines no longer than the profile's short line"),
    "terminal_line_share": ("n_terminal_lines", "n_lines", "lines that end in terminal punctuation"),
    "bullet_line_share": ("n_bullet_lines", "n_lines", "lines that open with a list marker"),
    "ellipsis_line_share": ("n_ellipsis_lines", "n_lines", "lines that end in an ellipsis"),
    "read_more_line_share": ("n_read_more_lines", "n_lines", "lines that end in an invitation to read on"),
    "closed_line_share": ("n_closed_lines", "n_lines", "lines that end in punctuation of any kind"),
    "heading_line_share": ("n_heading_lines", "n_lines", "lines that are headings by # or by a rule below"),
    "code_line_share": ("n_code_lines", "n_lines", "lines of code (`kernels.code_lines`)"),
    "table_line_share": (
        "n_table_lines",
        "n_lines",
        "lines with the separators of the line before or behind",
    ),
    "speaker_line_share": (
        "n_speaker_lines",
        "n_lines",
        "lines that open with a name and colon, seen before",
    ),
    "cue_line_share": ("n_cue_lines", "n_lines", "lines with a time code of subtitles or lyrics"),
    "newline_word_ratio": ("n_newlines", "n_words", "line breaks per word"),
    "hash_word_ratio": ("n_hash_marks", "n_words", "hash marks per word"),
    "ellipsis_word_ratio": ("n_ellipses", "n_words", "ellipses per word"),
    "punct_share": ("n_punct", "n_visible", "visible characters that are punctuation"),
    "digit_share": ("n_digits", "n_visible", "visible characters that are decimal digits"),
    "symbol_share": ("n_symbols", "n_visible", "visible characters that are symbols"),
    "letter_share": ("n_letters", "n_visible", "visible characters that are letters or marks"),
    "brace_char_share": ("n_braces", "n_chars", "code points that are curly brackets"),
    "broken_char_share": ("n_broken_chars", "n_visible", "visible characters that stand for undecoded bytes"),
    "bracketed_char_share": (
        "bracketed_chars",
        "n_visible",
        "visible characters inside 【 and 】 of one line",
    ),
    "han_char_share": ("n_han", "n_visible", "visible characters that are Han"),
    "alpha_word_share": ("n_alpha_words", "n_words", "words with a letter or ideograph"),
    "alpha_token_share": (
        "n_alpha_words",
        "n_tokens",
        "words with a letter, of words, punctuation and symbols",
    ),
    "upper_word_share": ("n_upper_words", "n_words", "words of capital letters alone"),
    "unique_word_share": ("n_distinct_words", "n_words", "distinct words, over the whole text"),
    "stop_word_share": ("n_stop_words", "n_words", "words that are stop words of the profile"),
    "clash_share": ("n_clashes", "n_openers", "of words such as `the` those that a stop word follows"),
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
"""Quotients of two counts, 0 where the second is 0: name -> names of both counts, and the meaning."""

ENTROPY = "word_entropy"
FORM = "form"

SCHEMA = pa.schema(
    [pa.field(name, pa.int32(), metadata={"meaning": meaning}) for name, (_, meaning) in COUNTS.items()]
    + [
        pa.field(name, pa.float32(), metadata={"meaning": meaning})
        for name, (_, _, meaning) in RATIOS.items()
    ]
    + [
        pa.field(ENTROPY, pa.float32(), metadata={"meaning": "entropy of the words of the text in nats"}),
        pa.field(FORM, pa.string(), metadata={"meaning": "kind of text: page, or one of `stages.forms`"}),
    ]
)
"""Meanings that the metadata, which is part of every sidecar, leaves to the column before. duplicate_line_char_share:
characters of lines seen before. duplicate_paragraph_char_share: characters of paragraphs seen before.
duplicate_5_gram_char_share, duplicate_6_gram_char_share, duplicate_7_gram_char_share, duplicate_8_gram_char_share,
duplicate_9_gram_char_share, duplicate_10_gram_char_share: word characters in n-grams of this length that repeat."""

PHRASE = ("lorem", "ipsum")
"""Two adjacent words of placeholder text."""

MAX_KEYS = 1 << 23
"""N-grams that are counted in one pass, in 256 MiB; a text above the default size of a document may take several."""

_UNITS = 1 + len(CHAR_COUNTS)  # where each group of counts begins in a row
_LINES = _UNITS + len(UNIT_COUNTS)
_SENTENCES = _LINES + len(LINE_COUNTS)
_REPEATS = _SENTENCES + len(SENTENCE_COUNTS)
_NAMES = ("n_chars", *CHAR_COUNTS, *UNIT_COUNTS, *LINE_COUNTS, *SENTENCE_COUNTS, *REPEAT_COUNTS)
_N_COUNTS = len(_NAMES)


@dataclass(frozen=True, kw_only=True)
class Config:
    """window_chars: visible characters in a window of unique_char_share; without windows it falls with length."""

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
        self.upper = upper_table()
        self.read_more, self.phrase = ending_table(load_endings()), word_keys(PHRASE)
        self.stop_words = np.stack([stop_word_table(profile.stop_words) for profile in profiles])
        openers = [stop_word_table(profile.openers) for profile in profiles]
        self.openers = np.stack(
            [np.isin(words, o[o > 0]) for words, o in zip(self.stop_words, openers, strict=True)]
        )

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Measure each document.

        Args: batch, with string columns `text` and `language.label`, (n_docs,), without null texts.
        Returns: a table of SCHEMA, (n_docs,).
        """
        text = view(batch["text"])
        return self.measure(batch["text"], batch["language.label"], text, find_code(text))

    def measure(
        self,
        texts: pa.ChunkedArray | pa.Array,
        labels: pa.ChunkedArray | pa.Array,
        text: TextView,
        lines: CodeLines,
    ) -> pa.Table:
        """Measure texts.

        Args: texts and labels, strings, (n_docs,); text and lines, the decoded texts and their code lines.
        Returns: a table of SCHEMA, (n_docs,).
        """
        array = _count(
            *text, load_tables().fold, self.upper, profile_indices(labels),
            self.roles, self.short_chars, self.stop_words, self.openers, self.read_more, self.phrase, self.window,
        )  # fmt: skip
        counts = dict(zip(_NAMES, array.T, strict=True))
        n_code = np.append(0, np.cumsum(lines.is_code))[lines.starts]
        counts["n_tokens"] = counts["n_words"] + counts["n_punct"] + counts["n_symbols"]
        counts["n_code_lines"] = np.diff(n_code)
        return to_signals(counts, texts)


def profile_indices(labels: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """Return the index of each row's profile in `load_profiles`: strings (n_rows,) to int64 (n_rows,)."""
    if isinstance(labels, pa.ChunkedArray):
        labels = labels.combine_chunks()
    encoded = labels.dictionary_encode(null_encoding="encode")
    indices = np.array([profile_index(label) for label in encoded.dictionary.to_pylist()], np.int64)
    return indices[encoded.indices.to_numpy(zero_copy_only=False)]


def to_signals(counts: dict[str, np.ndarray], texts: pa.ChunkedArray | pa.Array) -> pa.Table:
    """Compute signals from counts.

    Args: counts, int64 (n_docs,) each, by name; texts, strings (n_docs,), which some forms read.
    Returns: a table of SCHEMA, (n_docs,).
    """
    columns = [pa.array(counts[name].astype(np.int32)) for name, _ in COUNTS.values()]
    for part, whole, _ in RATIOS.values():
        share = counts[part] / np.maximum(counts[whole], 1)
        columns.append(pa.array(np.round(share, 3).astype(np.float32)))
    n_words = np.maximum(counts["n_words"], 1)
    entropy = np.log(n_words) - counts["repeat_nats"] / 1e6 / n_words
    columns.append(pa.array(np.round(np.maximum(entropy, 0), 3).astype(np.float32)))
    columns.append(name_forms(counts, texts))
    return pa.Table.from_arrays(columns, schema=SCHEMA)


@njit(cache=True, nogil=True)
def _count(  # type: ignore[no-untyped-def]
    codes,
    starts,
    classes,
    fold,
    upper,
    profiles,
    roles,
    short_chars,
    stop_words,
    openers,
    read_more,
    phrase,
    window,
):
    """All counts of each text: int64 (n_docs, n_counts) in the order of _NAMES."""
    n_docs = len(starts) - 1
    counts = np.zeros((n_docs, _N_COUNTS), np.int64)
    last_seen = np.full(0x110000, -1, np.int64)
    n_units = n_lines = 0
    for doc in range(n_docs):
        n_codes = starts[doc + 1] - starts[doc]
        if n_codes > n_units:  # a text has no more units than characters
            n_units = max(n_units, max_units(classes, starts[doc], starts[doc + 1]))
        if n_codes >= n_lines:
            n_lines = max(n_lines, max_lines(classes, starts[doc], starts[doc + 1]))
    hashes, ends = np.empty(n_units, np.uint64), np.empty(n_units, np.int32)
    table, paragraphs, labels = (
        new_firsts(max(min(n_units, MAX_KEYS), n_lines)),
        new_firsts(n_lines),
        new_firsts(n_lines),
    )
    for doc in range(n_docs):
        start, end, profile = starts[doc], starts[doc + 1], profiles[doc]
        row = counts[doc]
        row[0] = end - start
        count_chars(codes, classes, start, end, window, last_seen, row[1:_UNITS])
        found = count_units(
            codes, classes, fold, upper, start, end, stop_words[profile], openers[profile], phrase, hashes,
            ends, row[_UNITS:_LINES],
        )  # fmt: skip
        count_lines(
            codes, classes, fold, start, end, roles, short_chars[profile], read_more, table, paragraphs, labels,
            row[_LINES:_SENTENCES],
        )  # fmt: skip
        count_sentences(codes, classes, start, end, roles, row[_SENTENCES:_REPEATS])
        count_repeats(hashes, ends, found, table, row[_REPEATS:])
    return counts


STAGE = Stage(
    name="signals",
    version=3,
    config=Config,
    reads=("text", "language.label"),
    writes=SCHEMA,
    load=Signals,
    optional=pa.schema({"language.label": pa.string()}),
    data=(TABLES_PATH, ENDINGS_PATH, *profile_paths()),
)
