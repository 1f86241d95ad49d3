"""Pairs of worked solutions of one problem in two languages, with one id for both.

Reads the question of each derived document from `meta`, its language and its vector (`classifiers.embedding`). A
translation leaves the numbers of a question as they are, so questions with the same numbers in digits are candidates;
of these, two documents of different languages are a pair if each is the nearest of the other by cosine, and near
enough; copies of a question have the partner of the first one. Questions with few numbers have too many candidates and
get none. Nothing is dropped; `cot/` of a release has the id as `parallel_id`.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from hashlib import blake2b
from itertools import pairwise

import numpy as np
import pyarrow as pa

from classifiers.embedding.features import N_DIMENSIONS
from classifiers.partners import rows_of_partners
from pipeline.errors import ConfigError
from pipeline.stage import Global
from stages.checks.choices import find_options
from stages.checks.numbers import find_numbers

SCHEMA = pa.schema({"id": pa.string(), "other": pa.uint64(), "cosine": pa.float32()})
"""id: 16 hex digits, the same for both documents, a hash of their questions. other: row number of the other one.
cosine: of the two. All null for a document without a partner."""

KEYED = pa.schema(
    {
        "key": pa.uint64(),
        "row": pa.uint64(),
        "language": pa.string(),
        "question": pa.binary(8),
        "vector": pa.list_(pa.int8(), N_DIMENSIONS),
    }
)
"""key: hash of the numbers of the question. question: hash of its text."""
READS = ("parent_id", "meta", "language.label", "embedding.vector")
NUMBER_FORMS = ("digits", "fraction")
"""Numbers in words are left out: a language may say `a` or `both` where the other has a numeral."""
MAX_CANDIDATES = 256
"""Questions with the same numbers that are compared, the first ones by row; bounds the cost of a group."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """min_numbers: different numbers in digits that a question needs, without those of its options. min_cosine: of a
    pair."""

    min_numbers: int = 2
    min_cosine: float = 0.5

    def __post_init__(self) -> None:
        if self.min_numbers < 1:
            raise ConfigError(f"solution_pairs.min_numbers is {self.min_numbers}; expected 1 or more")
        if not 0 <= self.min_cosine <= 1:
            raise ConfigError(f"solution_pairs.min_cosine is {self.min_cosine}; expected 0 to 1")


def key_of(question: str, min_numbers: int) -> int | None:
    """Return a hash of the numbers in digits of a question, with repeats and in any order; None for too few.

    Numbers of options (`A. 8 B. 9`) are part of the hash but are not counted: many questions offer the same ones.

    >>> key_of("每箱24瓶，3箱共几瓶？", 2) == key_of("A case has 24 bottles. How many are in 3 cases?", 2)
    True
    """
    numbers = _values(question)
    offered = Counter(value for option in find_options(question) for value in _values(option.value))
    if len(Counter(numbers) - offered) < min_numbers:
        return None
    return int.from_bytes(_digest(" ".join(map(str, sorted(numbers)))), "big")


def _values(text: str) -> list[Fraction]:
    return [number.value for number in find_numbers(text) if number.form in NUMBER_FORMS]


def _digest(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=8).digest()


def map_questions(table: pa.Table, config: Config) -> pa.Table:
    """Return the documents of a batch that have a question with enough numbers, a language and a vector.

    Args: table, with READS and `row`. Returns: a table of KEYED.
    """
    rows = []
    columns = (table[name].to_pylist() for name in (*READS, "row"))
    for parent, meta, label, vector, row in zip(*columns, strict=True):
        if not parent or not meta or not label or vector is None:
            continue
        question = json.loads(meta).get("question")
        key = key_of(question, config.min_numbers) if isinstance(question, str) else None
        if key is not None:
            language, digest = label.partition("_")[0], _digest(question)
            rows.append({"key": key, "row": row, "language": language, "question": digest, "vector": vector})
    return pa.Table.from_pylist(rows, schema=KEYED)


def pair(table: pa.Table, config: Config) -> pa.Table:
    """Find the pairs among the documents of each key.

    Args: table, of KEYED, sorted by key, then row. Returns: a table of SCHEMA, for each row, in order.
    """
    keys = table["key"].to_numpy()
    vectors = table["vector"].combine_chunks().flatten().to_numpy().reshape(len(keys), N_DIMENSIONS)
    language = table["language"].to_numpy(zero_copy_only=False)
    questions, rows = table["question"].to_pylist(), table["row"].to_pylist()
    found: list[dict[str, str | int | float | None]] = [dict.fromkeys(SCHEMA.names) for _ in rows]
    bounds = [*np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]]).tolist(), len(keys)] if len(keys) else []
    for start, end in pairwise(bounds):
        end = min(end, start + MAX_CANDIDATES)
        for i, j, cosine in _nearest(vectors[start:end], language[start:end], config.min_cosine):
            i, j = start + i, start + j
            name = b"".join(sorted((questions[i], questions[j])))
            both: dict[str, str | int | float | None] = {
                "id": blake2b(name, digest_size=8).hexdigest(),
                "cosine": cosine,
            }
            for k in range(start, end):  # copies of a question have the partner of the first one
                for one, other in ((i, j), (j, i)):
                    if language[k] == language[one] and questions[k] == questions[one]:
                        found[k] = {**both, "other": rows[other]}
    return pa.Table.from_pylist(found, schema=SCHEMA)


def _nearest(vectors: np.ndarray, languages: np.ndarray, least: float) -> list[tuple[int, int, float]]:
    """Pairs (i, j, cosine), i < j, of different languages of which each is the nearest of the other, the first of
    equals.

    Args: vectors, int8 (n, N_DIMENSIONS); languages, (n,).
    """
    if len(vectors) < 2:
        return []
    exact = vectors.astype(np.int64)
    squares = (exact * exact).sum(axis=1)  # sums of products of int8: exact, the same on every machine
    products = (exact[:, None, :] * exact[None, :, :]).sum(axis=2)
    cosines = products / np.sqrt(np.maximum(squares[:, None] * squares[None, :], 1))
    cosines[languages[:, None] == languages[None, :]] = -1
    best = cosines.argmax(axis=1)
    return [
        (i, int(j), round(float(cosines[i, j]), 3))
        for i, j in enumerate(best)
        if i < j and best[j] == i and cosines[i, j] >= least
    ]


def answer(table: pa.Table, answers: pa.Table, config: Config) -> pa.Table:
    """Give each document what was found for it.

    Args: table, with READS and `row`, of a whole shard; answers, of SCHEMA, in order of (key, position in the map).
    Returns: `row` and SCHEMA, for documents with a partner.
    """
    return rows_of_partners(map_questions(table, config), answers)


GLOBAL = Global(
    name="solution_pairs",
    version=1,
    config=Config,
    reads=READS,
    writes=SCHEMA,
    key="hash of the numbers of a question",
    map=map_questions,
    reduce=pair,
    answer=answer,
)
