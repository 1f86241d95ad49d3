"""Embedding: the kernel against a plain reading of the model, and the shipped model on texts written for this test."""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers.embedding import (
    CENTROIDS_PATH,
    MODEL_PATH,
    STAGE,
    Config,
    annotate,
    load_model,
)
from classifiers.embedding.features import (
    LOG_STEP,
    LOGS,
    MAX_ROWS,
    N_DIMENSIONS,
    STEM_LETTERS,
    TOP,
    embed,
    list_features,
    make_slots,
)
from pipeline.errors import ConfigError
from stages.kernels.text.tables import load_tables
from stages.kernels.text.text import view
from tests.helpers.ngrams import CLASS_LETTERS, MASK, ODD_A, mix, unit_key
from tests.helpers.strategies import texts
from tests.helpers.translated_texts import PAIRS

STEM = 0x5DEECE66D
TOKEN = re.compile(
    r"(?P<single>[HKU][mo]*)|(?P<word>[0Llh](?:[0Llhmo]|(?<=[Ll])'(?=[Ll]))*)|(?P<end>[onpym'])"
)


def run(docs: Sequence[str | None]) -> list[dict[str, Any]]:
    """Vectors and clusters by the shipped model; Any: a list, a number or None."""
    return STAGE.load(Config())(pa.table({"text": pa.array(docs, pa.large_string())})).to_pylist()


def cosine(one: Sequence[int], other: Sequence[int]) -> float:
    """Cosine of two vectors."""
    return float(np.dot(one, other) / math.sqrt(np.dot(one, one) * np.dot(other, other)))


def features_of(text: str) -> list[int]:
    """Hashes of a text's features by the definition, from a spelling of the text with a letter for each class."""
    classes = load_tables().classes
    spelled = "".join("'" if c in "'\u2019" else CLASS_LETTERS[classes[ord(c)]] for c in text)
    found, last = [], None
    for match in TOKEN.finditer(spelled):
        if match["end"] or match.group()[0] == "0":
            last = last if match["end"] == "s" else None
            continue
        codes = [ord(char) for char in text[match.start() : match.end()]]
        key = unit_key(codes)
        found.append(mix(key))
        if match["single"]:
            if last is not None:
                found.append(mix((last * ODD_A + key) & MASK))
            last = key
        else:
            last = None
            if len(codes) > STEM_LETTERS:
                found.append(mix(unit_key(codes[:STEM_LETTERS]) ^ STEM))
    return [value >> 32 for value in found]


def measure(text: str, rows: dict[int, list[int]], centroids: list[list[int]]) -> dict[str, Any]:
    """Vector and cluster by the definition; Any: a list, a number or None."""
    counts = Counter(feature for feature in features_of(text) if feature in rows)
    sums = [0] * N_DIMENSIONS
    for feature, n in counts.items():
        weight = round(LOG_STEP * math.log1p(min(n, len(LOGS) - 1)))
        sums = [total + weight * entry for total, entry in zip(sums, rows[feature], strict=True)]
    top = max(map(abs, sums))
    if not top:
        return {"vector": None, "cluster": None}
    vector = [math.floor(TOP * total / top + 0.5) for total in sums]
    near = [sum(a * b for a, b in zip(vector, centroid, strict=True)) for centroid in centroids]
    return {"vector": vector, "cluster": near.index(max(near))}


@pytest.fixture(scope="module")
def plain() -> tuple[dict[int, list[int]], list[list[int]]]:
    """Rows of the shipped matrix by hash, and the centroids."""
    with np.load(MODEL_PATH) as stored:
        rows = dict(zip(stored["hashes"].tolist(), stored["matrix"].tolist(), strict=True))
    with np.load(CENTROIDS_PATH) as stored:
        return rows, stored["centroids"].tolist()


@given(docs=st.lists(texts(), min_size=1, max_size=4))
def test_vectors_equal_the_plain_measure(
    docs: list[str], plain: tuple[dict[int, list[int]], list[list[int]]]
) -> None:
    """The kernel gives the vectors and clusters that the definition gives."""
    for text, row in zip(docs, run(docs), strict=True):
        assert row == measure(text, *plain)


def test_long_texts_equal_the_plain_measure(plain: tuple[dict[int, list[int]], list[list[int]]]) -> None:
    """Words that occur many times, and in many documents of a batch, are counted for each document."""
    docs = ["\n".join([zh * k, en * (50 - k)]) for k, (zh, en) in enumerate(PAIRS, 3)]
    for text, row in zip(docs, run(docs), strict=True):
        assert row == measure(text, *plain)


def test_sums_cannot_overflow() -> None:
    """A document with every row of a full matrix, each as often as counts, stays within 31 bits."""
    assert MAX_ROWS * TOP * int(LOGS[-1]) < 1 << 31


def test_full_tables_find_every_feature() -> None:
    """A table of MAX_ROWS features finds each, also those whose hashes share their first bits."""
    text = view(pa.array(["".join(chr(0x4E00 + i % 20000) for i in range(60000))], pa.large_string()))
    fold = load_tables().fold
    found = list_features(text.codes, text.classes, text.starts, fold)[0]
    rng = np.random.default_rng(1)
    others = rng.integers(0, 1 << 20, MAX_ROWS, dtype=np.uint32)  # crowded slots at the beginning
    wanted = np.sort(rng.choice(np.unique(found), 5, replace=False))
    hashes = np.unique(np.append(others[: MAX_ROWS - len(wanted)], wanted))  # fewer, as some are drawn twice
    slots = make_slots(hashes)
    for hashed in wanted:
        matrix = np.zeros((len(hashes), N_DIMENSIONS), np.int8)
        matrix[np.searchsorted(hashes, hashed), 0] = 1
        vectors = embed(text.codes, text.classes, text.starts, fold, slots, matrix)
        assert vectors[0, 0] == TOP


def test_translations_are_nearest_to_each_other() -> None:
    """Each passage is nearer to its translation than to any other passage in that language."""
    chinese, english = (run(side) for side in zip(*PAIRS, strict=True))
    near = np.array([[cosine(a["vector"], b["vector"]) for b in english] for a in chinese])
    assert (near.argmax(axis=1) == np.arange(len(PAIRS))).all()
    assert (near.argmax(axis=0) == np.arange(len(PAIRS))).all()


def test_most_translations_share_a_cluster() -> None:
    """An article in two languages has one cluster id more often than not; different articles seldom do."""
    chinese, english = (run(side) for side in zip(*PAIRS, strict=True))
    same = [a["cluster"] == b["cluster"] for a, b in zip(chinese, english, strict=True)]
    other = [a["cluster"] == b["cluster"] for a, b in itertools.permutations(chinese, 2)]
    assert np.mean(same) >= 0.6
    assert np.mean(other) <= 0.1


def test_scripts_and_widths_are_embedded_alike() -> None:
    """The same text in Traditional characters, or in full width, has the same vector."""
    assert run(["银行下调了贷款利率。 Stock market"]) == run(["銀行下調了貸款利率。 Ｓｔｏｃｋ ｍａｒｋｅｔ"])


def test_texts_without_a_known_word_have_no_vector() -> None:
    """Null, blank and empty texts and those of marks and numbers get null, not a direction."""
    rows = run([None, "", " \t ", "12.5 %!", "足球"])
    assert [row["vector"] is None for row in rows] == [True, True, True, True, False]
    assert [row["cluster"] is None for row in rows] == [True, True, True, True, False]


def test_centroids_of_ones_own_give_the_clusters(tmp_path: Path) -> None:
    """The number of a cluster is the place of its centroid in the file; the first of equals is taken."""
    with np.load(CENTROIDS_PATH) as stored:
        centroids = stored["centroids"]
    path = tmp_path / "mine.npz"
    np.savez(path, centroids=np.concatenate([centroids[::-1], centroids]))
    docs = pa.table({"text": pa.array([en for _, en in PAIRS], pa.large_string())})
    found = annotate(docs, load_model(MODEL_PATH, str(path)))["cluster"].to_pylist()
    shipped = annotate(docs, load_model(MODEL_PATH, CENTROIDS_PATH))["cluster"].to_pylist()
    assert found == [len(centroids) - 1 - cluster for cluster in shipped]


@pytest.mark.parametrize(
    "arrays,setting",
    [
        ({"hashes": np.zeros(3, np.uint32), "matrix": np.zeros((3, 64), np.int8)}, "model"),
        ({"hashes": np.zeros(3, np.uint64), "matrix": np.zeros((3, 128), np.int8)}, "model"),
        ({"hashes": np.zeros(3, np.uint32)}, "model"),
        ({"centroids": np.zeros((2, 128), np.int16)}, "centroids"),
        ({"centroids": np.zeros((0, 128), np.int16)}, "centroids"),
        ({"centroids": np.ones((2, 128), np.float32)}, "centroids"),
    ],
)
def test_files_of_another_form_are_refused(
    tmp_path: Path, arrays: dict[str, np.ndarray], setting: str
) -> None:
    """A file that is not a model, or holds no centroids of the right length, is named in the error."""
    path = tmp_path / "model.npz"
    np.savez(path, **arrays)  # type: ignore[arg-type]  # arrays, by name
    paths = (str(path), CENTROIDS_PATH) if setting == "model" else (MODEL_PATH, str(path))
    with pytest.raises(ConfigError, match=rf"embedding\.{setting}.*model\.npz"):
        load_model(*paths)
