"""Benchmark questions in other words or in the other language: by their vectors and the numbers that they contain.

Reads canonical text; writes for each document the benchmark items whose question one of its questions resembles. Ends
of sentences with a question mark are compared, with the sentences before them, by `classifiers.embedding`, which has
Chinese and English in one space. Word problems of one kind resemble each other, so an item with numbers also needs its
numbers, in figures or in words of either language, and few others; one without them needs a higher cosine. It is an
estimate for flags and reading (docs/decontamination.md): exact and edited copies are found by `stages.decontaminate`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from classifiers.embedding import CENTROIDS_PATH, MODEL_PATH, load_model
from classifiers.embedding.features import embed
from pipeline.errors import ConfigError
from pipeline.stage import Stage
from stages.benchmark_evidence import split_units
from stages.benchmark_files import HIT_FIELDS, list_texts, read_items
from stages.checks.numbers import all_values
from stages.kernels.text.text import TABLES_PATH, load_tables, view

HIT = pa.struct(HIT_FIELDS)
SCHEMA = pa.schema({"hits": pa.list_(HIT), "n_hits": pa.int32(), "cosine": pa.float32()})
"""hits: benchmark items that questions of the document resemble, at most one for each question; start and end are code
points of canonical text; coverage: the cosine. n_hits: their number. cosine: the largest of them, 0 without one."""

SENTENCE = re.compile(r"[^。！？!?\n]*?(?:[。！？!?]+|\n|\.(?=\s|$)|$)", re.S)
"""A sentence with its end; a line break ends one as well."""

ASKED = re.compile(r"(?<=[^\s?？\"'])[？?]\s*$")
"""The mark of a question; behind a blank it is an operator, and several are markup."""

SENTENCES, LONGEST = 8, 1500
"""Sentences of a question at most, and code points of all of them."""

LEAST_NUMBERS, LEAST_OF_QUESTION = 2, 0.5
"""Distinct numbers in figures from which an item is recognised by them, and the least share of those of a question that
are the item's."""

COMMON = frozenset(map(Fraction, (0, 1, 2)))
"""Numbers that are in every formula and program, and are left out."""

LEAST_UNITS, MOST_UNITS = 10, 250
"""Units of an item that is compared: a shorter one says little, a longer one is a passage to read."""

FIGURES = re.compile(r"[0-9]+(?:[.,][0-9]+)*")

BLOCK = 1024
"""Questions compared with all items at a time."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Benchmarks, and the likeness that makes a hit.

    benchmarks: Parquet files, as of `stages.decontaminate`.
    registry: YAML files that list benchmark files, as of `stages.decontaminate`.
    min_cosine: least cosine of a question with an item that has two numbers or more.
    min_numbers: least share of the item's numbers that occur in the question.
    min_cosine_alone: least cosine with an item without numbers.
    model: vectors of words, as of `classifiers.embedding`.
    """

    benchmarks: tuple[str, ...] = ()
    registry: tuple[str, ...] = ()
    min_cosine: float = 0.65
    min_numbers: float = 0.75
    min_cosine_alone: float = 0.9
    model: str = MODEL_PATH

    def __post_init__(self) -> None:
        for name in ("benchmarks", "registry"):
            if isinstance(getattr(self, name), str):
                raise ConfigError(f"paraphrases.{name} is a string; expected a list of files")
        for name in ("min_cosine", "min_numbers", "min_cosine_alone"):
            if not 0 < getattr(self, name) <= 1:
                raise ConfigError(f"paraphrases.{name} is {getattr(self, name)}; expected above 0, at most 1")


class Asked(NamedTuple):
    """A question of a document with some of the sentences before it. last: where its last sentence begins; windows with
    one `last` are the same question. sentences: start and end of each."""

    doc: int
    start: int
    end: int
    last: int
    sentences: tuple[tuple[int, int], ...]


class Paraphrases:
    """`annotate` with the questions of benchmarks: their vectors and numbers.

    Raises: ConfigError if a file cannot be read.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.model = load_model(config.model, CENTROIDS_PATH)
        items = read_items(config.benchmarks, config.registry)
        texts = list_texts(items)
        alone = {text.row: text.text for text in texts if text.is_question}
        questions = [alone.get(text.row, text.text) for text in texts if not text.is_question]
        names = list(zip(items["benchmark"].to_pylist(), items["id"].to_pylist(), strict=True))
        vectors, lengths = self._embed(questions)
        sizes = np.array([len(units) for units in split_units(questions)], np.int64)
        known = np.flatnonzero((lengths > 0) & (sizes >= LEAST_UNITS) & (sizes <= MOST_UNITS))
        self.names = [names[row] for row in known.tolist()]
        self.vectors, self.lengths = vectors[known].T.copy(), lengths[known]
        self.numbers = [figures(questions[row]) for row in known.tolist()]
        self.has_numbers = np.array([len(numbers) >= LEAST_NUMBERS for numbers in self.numbers], bool)
        least = np.where(self.has_numbers, config.min_cosine, config.min_cosine_alone)
        self.bounds = (least * self.lengths).astype(np.float32)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Compare the questions of each document with those of benchmarks.

        Args: batch, with a string column `text`, (n_docs,).
        Returns: a table of SCHEMA, (n_docs,).
        """
        texts = batch["text"].to_pylist()
        rows: list[tuple[int, int, int, int, float, int]] = []
        if len(self.names):
            asked = [window for doc, text in enumerate(texts) for window in list_asked(doc, text or "")]
            for start in range(0, len(asked), BLOCK):
                rows += self._compare(texts, asked[start : start + BLOCK])
        return self._to_columns(best_of(rows), len(texts))

    def _embed(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Vectors, float32 (n_texts, 128), of whole numbers, and their lengths, 0 without a known word."""
        codes, starts, classes = view(pa.array(texts, pa.large_string()))
        found = embed(codes, classes, starts, load_tables().fold, self.model.slots, self.model.matrix)
        vectors = found.astype(np.float32)
        return vectors, np.sqrt((vectors.astype(np.float64) ** 2).sum(axis=1))

    def _compare(
        self, texts: Sequence[str], asked: Sequence[Asked]
    ) -> list[tuple[int, int, int, int, float, int]]:
        """Rows of document, start, end, item, cosine and beginning of the last sentence, for all that resemble one.

        Dot products of vectors of whole numbers up to 127 are exact in float32, in any order of the sum.
        """
        vectors, lengths = self._embed([texts[window.doc][window.start : window.end] for window in asked])
        dots = vectors @ self.vectors
        values: dict[tuple[int, int], frozenset[Fraction]] = {}
        rows = []
        for i, window in enumerate(asked):
            if not lengths[i]:
                continue
            for item in np.flatnonzero(dots[i] >= self.bounds * np.float32(lengths[i])).tolist():
                if self._has_numbers(item, window, texts[window.doc], values):
                    cosine = round(float(dots[i, item]) / float(lengths[i] * self.lengths[item]), 3)
                    rows.append((window.doc, window.start, window.end, item, cosine, window.last))
        return rows

    def _has_numbers(
        self, item: int, window: Asked, text: str, values: dict[tuple[int, int], frozenset[Fraction]]
    ) -> bool:
        """Whether a question has enough of the numbers of an item, and few others.

        values: numbers of sentences by document and start, filled in.
        """
        numbers = self.numbers[item]
        found: set[Fraction] = set()
        for start, end in window.sentences:
            if (window.doc, start) not in values:
                values[window.doc, start] = frozenset(all_values(text[start:end]))
            found |= values[window.doc, start]
        found -= COMMON
        common = len(numbers & found)
        if not self.has_numbers[item]:
            return common == len(numbers)
        return common >= max(self.config.min_numbers * len(numbers), LEAST_OF_QUESTION * len(found))

    def _to_columns(self, rows: Sequence[tuple[int, int, int, int, float]], n_docs: int) -> pa.Table:
        """Columns of SCHEMA from hits in order of document and start."""
        hits: list[list[dict[str, object]]] = [[] for _ in range(n_docs)]
        for doc, start, end, item, cosine in rows:
            benchmark, name = self.names[item]
            hits[doc].append(
                {
                    "benchmark": benchmark or "",
                    "item": name or "",
                    "start": start,
                    "end": end,
                    "coverage": cosine,
                }
            )
        best = [max((float(str(hit["coverage"])) for hit in of_doc), default=0.0) for of_doc in hits]
        columns = [pa.array(hits, pa.list_(HIT)), pa.array([len(of_doc) for of_doc in hits], pa.int32())]
        return pa.table([*columns, pa.array(best, pa.float32())], schema=SCHEMA)


def list_asked(doc: int, text: str) -> list[Asked]:
    """Return the questions of a text, each alone and with one to seven of the sentences before it."""
    if "?" not in text and "？" not in text:
        return []
    spans = [(m.start(), m.end()) for m in SENTENCE.finditer(text) if m.end() > m.start() and m[0].strip()]
    asked = []
    for k, (last, end) in enumerate(spans):
        if not ASKED.search(text[last:end]):
            continue
        for i in range(k, max(k - SENTENCES, -1), -1):
            start = spans[i][0]
            if end - start > LONGEST:
                break
            asked.append(Asked(doc, start, end, last, tuple(spans[i : k + 1])))
    return asked


def figures(text: str) -> frozenset[Fraction]:
    """Return the numbers that a text has in figures; in words, `one` and 一 are articles as often."""
    found = (match[0].replace(",", "") for match in FIGURES.finditer(text))
    return frozenset(Fraction(number) for number in found if number.count(".") < 2) - COMMON


def best_of(
    rows: Sequence[tuple[int, int, int, int, float, int]],
) -> list[tuple[int, int, int, int, float]]:
    """Return the best row of each question, in order of document and start; of equal cosines that of the first item."""
    best: dict[tuple[int, int], tuple[int, int, int, int, float]] = {}
    for doc, start, end, item, cosine, last in rows:
        held = best.get((doc, last))
        if held is None or (-cosine, item, end - start) < (-held[4], held[3], held[2] - held[1]):
            best[doc, last] = (doc, start, end, item, cosine)
    return sorted(best.values())


STAGE = Stage(
    name="paraphrases",
    version=1,
    config=Config,
    reads=("text",),
    writes=SCHEMA,
    load=Paraphrases,
    files=("benchmarks", "registry", "model"),
    data=(TABLES_PATH, CENTROIDS_PATH),
)
