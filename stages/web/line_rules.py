"""Line rules of published filters: lines that C4, FineWeb, RefinedWeb, MAP-Neo or CCI4.0 would remove from a text.

Reads canonical text; writes spans over whole lines, including their line break, with one kind per line, and the share
of the text that they cover. Which kinds are removed is decided at release; which documents lose too much is decided by
a rule (RefinedWeb: more than 0.05 of the words). Words and terminal marks are those of `stages.signals`, so that the
rules apply to Chinese lines too.

Sources: C4 (arXiv 1910.10683), FineWeb (arXiv 2406.17557), RefinedWeb (arXiv 2306.01116) as implemented in DCLM's code,
MAP-Neo (arXiv 2405.19327), CCI4.0 (arXiv 2506.07463). The word lists of some of them are not included: name your own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.data_files import read_yaml
from pipeline.errors import ConfigError
from pipeline.names import nearest
from pipeline.schema import SPANS
from pipeline.stage import Stage
from stages.kernels.patterns import line_rules as kernel
from stages.kernels.patterns.furniture import find_lines, match_lines, trigger_table
from stages.kernels.text.text import TABLES_PATH, load_tables, view
from stages.kernels.text.units import upper_table
from stages.languages import PHRASES_PATH, PUNCTUATION_PATH, load_roles

SCHEMA = pa.schema(
    {
        "spans": SPANS,
        "removed_share": pa.float32(),
        "removed_word_share": pa.float32(),
        "n_sentences_left": pa.int32(),
    }
)
"""spans: lines that a rule of the preset removes, with the rule as kind. removed_share: characters in spans.
removed_word_share: words in spans. n_sentences_left: sentences outside of spans."""

LAYOUT = {
    "no_terminal": kernel.NO_TERMINAL,
    "few_words": kernel.FEW_WORDS,
    "one_word": kernel.ONE_WORD,
    "long_word": kernel.LONG_WORD,
    "capitals": kernel.CAPITALS,
    "numeric": kernel.NUMERIC,
}
"""Kinds that depend on the layout of a line -> their bit."""

LISTED = "listed_word"
PHRASES = ("javascript", "policy", "lorem_ipsum", "counter", "call", LISTED)
"""Kinds that depend on words."""

PRESETS = {
    "c4": ("long_word", "no_terminal", "few_words", "javascript", "policy"),
    "fineweb": ("long_word", "few_words", "javascript", "policy"),
    "refinedweb": ("capitals", "numeric", "counter", "one_word", "call"),
    "mapneo": ("no_terminal", "javascript", "few_words", "lorem_ipsum", LISTED),
    "cci4": (LISTED,),
}
"""Kinds of each published filter, in its order: the first that applies is the kind of the line."""

MAX_CHARS = 100_000
"""Longer lines are not searched for listed words."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """preset: whose rules; kinds: rules to apply instead of the preset's; words: files with a word or phrase a line,
    for `listed_word`."""

    preset: str = "refinedweb"
    kinds: tuple[str, ...] = ()
    words: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise ConfigError(
                f"line_rules.preset: no preset {self.preset!r}{nearest(self.preset, PRESETS)}; "
                f"there are {', '.join(PRESETS)}"
            )
        for kind in self.kinds:
            if kind not in LAYOUT and kind not in PHRASES:
                raise ConfigError(f"line_rules.kinds: no kind {kind!r}{nearest(kind, [*LAYOUT, *PHRASES])}")


class LineRules:
    """`annotate` with its patterns, and the kinds in order of precedence."""

    def __init__(self, config: Config) -> None:
        self.kinds = config.kinds or PRESETS[config.preset]
        entries = [
            (
                entry["kind"],
                entry["triggers"],
                entry["max_chars"],
                re.compile(entry["pattern"].replace("\n", "")),
            )
            for entry in read_yaml(PHRASES_PATH)["phrases"]
            if entry["kind"] in self.kinds
        ]
        if LISTED in self.kinds and (words := [word for path in config.words for word in read_words(path)]):
            entries.append((LISTED, words, MAX_CHARS, word_pattern(words)))
        self.patterns = [(kind, limit, pattern) for kind, _, limit, pattern in entries]
        self.triggers = trigger_table((text, limit) for _, triggers, limit, _ in entries for text in triggers)
        self.roles, self.upper = load_roles(), upper_table()

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Find the lines that the rules would remove.

        Args: batch, with a string column `text`, (n_docs,).
        Returns: a table of SCHEMA, (n_docs,).
        """
        codes, starts, classes = view(batch["text"])
        lines = kernel.judge_lines(codes, starts, classes, self.upper, self.roles)
        kind_of = np.full(len(lines), len(self.kinds), np.int64)
        for rank, kind in reversed(list(enumerate(self.kinds))):
            if kind in LAYOUT:
                kind_of[(lines[:, 5] & LAYOUT[kind]) > 0] = rank
        for row, rank in self._phrases(codes, starts, classes, lines):
            kind_of[row] = min(kind_of[row], rank)
        return self._columns(lines, kind_of, starts)

    def _phrases(
        self, codes: np.ndarray, starts: np.ndarray, classes: np.ndarray, lines: np.ndarray
    ) -> list[tuple[int, int]]:
        """Rows of `lines` that match a pattern, each with the index of its kind."""
        if not self.patterns:
            return []
        fold = load_tables().fold
        candidates = find_lines(codes, starts, classes, fold, *self.triggers)
        text = match_lines(codes, fold, candidates).tobytes().decode("utf-32-le")
        ends = np.cumsum(candidates[:, 2] - candidates[:, 1]).tolist()
        rows = np.searchsorted(lines[:, 1], candidates[:, 3])
        hits = []
        for row, begin, end in zip(rows.tolist(), [0, *ends], ends, strict=False):
            line = text[begin:end]
            ranks = [
                self.kinds.index(kind)
                for kind, limit, pattern in self.patterns
                if len(line) <= limit and pattern.search(line)
            ]
            if ranks:
                hits.append((row, min(ranks)))
        return hits

    def _columns(self, lines: np.ndarray, kind_of: np.ndarray, starts: np.ndarray) -> pa.Table:
        """Columns of SCHEMA; kind_of, int64 (n_lines,), index of the kind of each line, len(kinds) for none."""
        n_docs = len(starts) - 1
        hit = kind_of < len(self.kinds)
        taken = lines[hit]
        begin = starts[taken[:, 0]]
        span = pa.StructArray.from_arrays(
            [
                pa.array((taken[:, 1] - begin).astype(np.int32)),
                pa.array((taken[:, 2] - begin).astype(np.int32)),
                pa.DictionaryArray.from_arrays(
                    pa.array(kind_of[hit].astype(np.int16)), pa.array(self.kinds, pa.string())
                ).cast(pa.string()),
            ],
            fields=list(SPANS.value_type),
        )
        offsets = np.searchsorted(taken[:, 0], np.arange(n_docs + 1)).astype(np.int32)
        removed = np.bincount(taken[:, 0], taken[:, 2] - taken[:, 1], n_docs)
        removed_words = np.bincount(taken[:, 0], taken[:, 3], n_docs)
        words = np.bincount(lines[:, 0], lines[:, 3], n_docs)
        sentences = np.bincount(lines[~hit, 0], lines[~hit, 4], n_docs)
        return pa.Table.from_arrays(
            [
                pa.ListArray.from_arrays(pa.array(offsets), span),
                pa.array(np.round(removed / np.maximum(np.diff(starts), 1), 3).astype(np.float32)),
                pa.array(np.round(removed_words / np.maximum(words, 1), 3).astype(np.float32)),
                pa.array(sentences.astype(np.int32)),
            ],
            schema=SCHEMA,
        )


def read_words(path: str) -> list[str]:
    """Return words and phrases of a file, one per line, in match characters; blank lines and # comments are skipped.

    Raises: ConfigError if a word has only one character, which would match too often, or if there are no words.
    """
    fold = load_tables().fold
    words = []
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        word = "".join(chr(fold[ord(char)] or ord(char)) for char in line.strip())
        if not word or word.startswith("#"):
            continue
        if len(word) < 2:
            raise ConfigError(f"{path}: {word!r} is one character; expected words or phrases of two or more")
        words.append(word)
    if not words:
        raise ConfigError(f"{path}: no words; expected one word or phrase a line")
    return words


def word_pattern(words: list[str]) -> re.Pattern[str]:
    """Return a pattern that matches any of the words; ASCII words must not be adjacent to a letter or digit."""
    parts = [rf"(?<![a-z0-9]){re.escape(w)}(?![a-z0-9])" if w.isascii() else re.escape(w) for w in words]
    return re.compile("|".join(sorted(parts)))


STAGE = Stage(
    name="line_rules",
    version=1,
    config=Config,
    reads=("text",),
    writes=SCHEMA,
    load=LineRules,
    files=("words",),
    data=(TABLES_PATH, PUNCTUATION_PATH, PHRASES_PATH),
)
