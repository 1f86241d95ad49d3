"""How likely the two sides of a pair are translations, without a reference.

Reads documents of pairs (`stages.parallel`); writes the similarity of their vectors (`classifiers.embedding`, Chinese
and English), the ratio of their lengths, the share of their numbers and of their names in Latin script that both
sides have, and a score of all. Other documents get nulls. Deciding which pairs are too poor is up to the run file.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa

from classifiers.embedding import CENTROIDS_PATH, MODEL_PATH
from classifiers.embedding import STAGE as EMBEDDING
from classifiers.embedding import Config as EmbeddingConfig
from pipeline.errors import ConfigError
from pipeline.stage import Annotate, Stage

SCHEMA = pa.schema(
    {
        "n_pairs": pa.int32(),
        "score": pa.float32(),
        "least_score": pa.float32(),
        "similarity": pa.float32(),
        "length_ratio": pa.float32(),
        "number_share": pa.float32(),
        "name_share": pa.float32(),
    }
)
"""n_pairs: of the document. score: 0 to 1, mean over the pairs. least_score: the lowest of them. similarity: mean
cosine, null if the model knows no word of a side. length_ratio: UTF-8 bytes of the longer side by those of the shorter.
number_share: of the numbers of both sides those that the other one has, null if there are none. name_share: the same of
Latin names in a side of Han characters. All null for other documents."""

NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?\s?[万亿]?")
LATIN = re.compile(r"[A-Za-z][A-Za-z0-9]{1,}")
HAN = re.compile(r"[\u3400-\u9fff]")
FACTORS = {"万": 10_000, "亿": 100_000_000}
SMOOTHING_BYTES = 15
"""Added to both lengths: the ratio of two short segments says little."""

Sides = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Config:
    """model, centroids: of `classifiers.embedding`. max_length_ratio: above it the score falls in proportion."""

    model: str = MODEL_PATH
    centroids: str = CENTROIDS_PATH
    max_length_ratio: float = 1.6

    def __post_init__(self) -> None:
        if self.max_length_ratio < 1:
            raise ConfigError(f"pairs.max_length_ratio is {self.max_length_ratio}; expected 1 or more")


def numbers(text: str) -> Counter[str]:
    """The numbers of a text as plain decimals: separators of thousands removed, 万 and 亿 multiplied out."""
    found = Counter[str]()
    for match in NUMBER.findall(unicodedata.normalize("NFKC", text)):
        digits = match.replace(",", "").rstrip("万亿").strip()
        value = float(digits) * FACTORS.get(match[-1], 1) if len(digits) < 16 else 0.0
        found[f"{value:.10g}" if value else digits] += 1
    return found


def names(sides: Sides) -> tuple[Counter[str], Counter[str]]:
    """Latin words within Han text, and those of the other side among which they are looked for.

    Both empty unless exactly one side is written in Han characters: in two texts in Latin script every word is one.
    """
    han = [bool(HAN.search(side)) for side in sides]
    if han[0] == han[1]:
        return Counter(), Counter()
    inside, other = sides if han[0] else sides[::-1]
    return Counter(w.lower() for w in LATIN.findall(inside)), Counter(w.lower() for w in LATIN.findall(other))


def shared(left: Counter[str], right: Counter[str]) -> float | None:
    """Dice's coefficient of two multisets, None if both are empty."""
    total = left.total() + right.total()
    return 2 * (left & right).total() / total if total else None


def contained(part: Counter[str], whole: Counter[str]) -> float | None:
    """Share of a multiset that is in another one, None if it is empty."""
    return (part & whole).total() / part.total() if part else None


def length_ratio(sides: Sides) -> float:
    """UTF-8 bytes of the longer side by those of the shorter, both smoothed."""
    sizes = [len(side.encode()) + SMOOTHING_BYTES for side in sides]
    return max(sizes) / min(sizes)


def score(
    sides: Sides,
    similarity: float | None,
    ratio: float,
    number: float | None,
    name: float | None,
    config: Config,
) -> float:
    """The product of four shares, in [0, 1]; 0 for a side that repeats the other.

    A cosine, floored at 0 (one half if unknown); max_length_ratio by the ratio if that is larger; numbers and names
    that are missing on a side halve it at most, as translations round, spell out or translate some.
    """
    if sides[0].strip().lower() == sides[1].strip().lower():
        return 0.0
    product = 0.5 if similarity is None else max(similarity, 0.0)
    product *= min(1.0, config.max_length_ratio / ratio)
    for share in (number, name):
        product *= 1.0 if share is None else (1 + share) / 2
    return product


def annotate(batch: pa.Table, embed: Annotate, config: Config) -> pa.Table:
    """Measure each document of pairs.

    Args: batch, with `text` and `meta`, (n_docs,). Returns: a table of SCHEMA, (n_docs,).
    """
    found = [
        _pairs(text.as_py(), meta.as_py()) for text, meta in zip(batch["text"], batch["meta"], strict=True)
    ]
    sides = [side for pairs in found for pair in pairs or () for side in pair]
    cosines = _cosines(sides, embed)
    rows, at = [], 0
    for pairs in found:
        if not pairs:
            rows.append(dict.fromkeys(SCHEMA.names))
            continue
        rows.append(_row(pairs, cosines[at : at + len(pairs)], config))
        at += len(pairs)
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _pairs(text: str | None, meta: str | None) -> list[Sides] | None:
    """The pairs of a document, two lines each; None for other documents."""
    n_pairs = json.loads(meta).get("n_pairs") if meta and '"n_pairs"' in meta else None
    lines = (text or "").split("\n")
    if not isinstance(n_pairs, int) or n_pairs < 1 or len(lines) != 2 * n_pairs:
        return None
    return list(zip(lines[::2], lines[1::2], strict=True))


def _row(pairs: list[Sides], cosines: list[float | None], config: Config) -> dict[str, float | int | None]:
    scores, shares = [], []
    for sides, cosine in zip(pairs, cosines, strict=True):
        number = shared(*map(numbers, sides))
        name = contained(*names(sides))
        ratio = length_ratio(sides)
        scores.append(score(sides, cosine, ratio, number, name, config))
        shares.append((cosine, ratio, number, name))
    means = []
    for column in zip(*shares, strict=True):
        known = [value for value in column if value is not None]
        means.append(round(sum(known) / len(known), 3) if known else None)
    return {
        "n_pairs": len(pairs), "score": round(sum(scores) / len(scores), 3), "least_score": round(min(scores), 3),
        "similarity": means[0], "length_ratio": means[1], "number_share": means[2], "name_share": means[3],
    }  # fmt: skip


def _cosines(sides: list[str], embed: Annotate) -> list[float | None]:
    """Cosine of each two consecutive texts, None if one has no vector. Integer sums: the same on any machine."""
    if not sides:
        return []
    column = embed(pa.table({"text": pa.array(sides, pa.large_string())}))["vector"].combine_chunks()
    known = column.is_valid().to_numpy(zero_copy_only=False)
    width = column.type.list_size
    vectors = np.zeros((len(sides), width), np.int64)
    vectors[known] = column.drop_null().flatten().to_numpy().reshape(-1, width)
    left, right = vectors[::2], vectors[1::2]
    products = (left * right).sum(axis=1)
    lengths = (left**2).sum(axis=1) * (right**2).sum(axis=1)
    both = known[::2] & known[1::2]
    return [
        float(product) / float(length) ** 0.5 if ok and length else None
        for product, length, ok in zip(products.tolist(), lengths.tolist(), both.tolist(), strict=True)
    ]


def load(config: Config) -> Annotate:
    """Read the model of the embedding once."""
    embed = EMBEDDING.load(EmbeddingConfig(model=config.model, centroids=config.centroids))
    return partial(annotate, embed=embed, config=config)


STAGE = Stage(
    name="pairs",
    version=1,
    config=Config,
    reads=("text", "meta"),
    writes=SCHEMA,
    load=load,
    files=("model", "centroids"),
)
