"""Neighbours against brute force, and translations of the embedding's own test texts, through a build."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from classifiers import neighbours, translations
from classifiers.neighbours.cells import search
from classifiers.neighbours.nearest import NONE, nearest_in_cell
from pipeline.checking.in_memory import run_global
from pipeline.errors import ConfigError
from tests.helpers.build import build, cli, tiny, write_run
from tests.helpers.translated_texts import PAIRS

N = 3


def brute_force(vectors: np.ndarray, content: np.ndarray, languages: np.ndarray) -> list[list[list[int]]]:
    """Positions of the nearest of the own language and of others, by the definition."""
    listed = []
    lengths = np.sqrt((vectors.astype(np.int64) ** 2).sum(axis=1))
    for i in range(len(vectors)):
        sides: list[list[int]] = [[], []]
        dots = vectors.astype(np.int64) @ vectors[i].astype(np.int64)
        cosines = (dots / (lengths[i] * lengths)).astype(np.float32)
        for j in sorted(range(len(vectors)), key=lambda j: (-cosines[j], j)):
            side = sides[bool(languages[i] and languages[j] and languages[i] != languages[j])]
            if content[j] not in {content[i], *(content[k] for k in side)}:
                side.append(j)
        listed.append([side[:N] for side in sides])
    return listed


@given(
    vectors=arrays.arrays(
        np.int8, st.tuples(st.integers(1, 40), st.just(128)), elements=st.integers(-127, 127)
    ),
    seed=st.integers(0, 9),
)
@settings(max_examples=25)
def test_a_cell_is_searched_as_by_brute_force(vectors: np.ndarray, seed: int) -> None:
    """Same documents in the same order, with copies, equal cosines and unknown languages."""
    rng = np.random.default_rng(seed)
    vectors[:, 0] = np.where(vectors.any(axis=1), vectors[:, 0], 1)
    content = rng.integers(0, len(vectors), len(vectors)).astype(np.uint64)
    vectors = vectors[content]  # copies have equal vectors
    languages = rng.integers(0, 3, len(vectors)).astype(np.uint64)
    found, cosines = nearest_in_cell(vectors, content, languages, N)
    assert [[[int(j) for j in side if j >= 0] for side in doc] for doc in found] == brute_force(
        vectors, content, languages
    )
    assert ((cosines == NONE) == (found < 0)).all()


def test_a_divided_cell_finds_nearly_all_of_what_an_undivided_one_finds() -> None:
    """Of 3,000 vectors around 60 centres in cells of at most 256, 0.95 of the nearest are found."""
    rng = np.random.default_rng(7)
    centres = rng.normal(size=(60, 128))
    points = centres[rng.integers(0, 60, 3000)] + 0.5 * rng.normal(size=(3000, 128))
    vectors = np.clip(np.rint(points * 127 / np.abs(points).max(axis=1, keepdims=True)), -127, 127).astype(
        np.int8
    )
    content, languages = np.arange(3000, dtype=np.uint64), np.arange(3000, dtype=np.uint64) % 2 + 1
    whole, _ = search(vectors, content, languages, N, 2, 8192)
    parts, cosines = search(vectors, content, languages, N, 2, 256)
    assert (whole[..., 0] == parts[..., 0]).mean() > 0.95
    assert (np.diff(cosines, axis=-1) <= 0).all()


def test_equal_vectors_are_searched_though_no_cell_divides_them() -> None:
    """A thousand equal vectors with different texts end in lists of others at cosine 1."""
    vectors = np.ones((1000, 128), np.int8)
    found, cosines = search(vectors, np.arange(1000, dtype=np.uint64), np.ones(1000, np.uint64), N, 2, 64)
    assert (cosines[:, 0] == 1).all() and (found[:, 1] == -1).all()


@pytest.mark.parametrize(
    ("step", "name", "value"),
    [(neighbours, "probes", 0), (neighbours, "max_cell", 10), (translations, "min_cosine", 2.0),
     (translations, "max_length_ratio", 0.5)],
)  # fmt: skip
def test_bad_settings_are_named(step: Any, name: str, value: float) -> None:
    """A value outside the range is an error with the setting's name."""
    with pytest.raises(ConfigError, match=rf"{step.GLOBAL.name}\.{name} is {value}"):
        step.Config(**{name: value})


def test_a_pair_needs_both_sides_and_a_like_length() -> None:
    """Three documents: one names another that prefers a third; a pair of unlike length is none."""
    table = pa.table(
        {
            "row": pa.array([0, 1, 2, 3, 4], pa.uint64()),
            "neighbours.other_rows": pa.array([[1], [2], [1], [4], [3]], pa.list_(pa.uint64())),
            "neighbours.other_cosines": pa.array(
                [[0.8], [0.9], [0.9], [0.95], [0.95]], pa.list_(pa.float32())
            ),
            "text_bytes": pa.array([100, 100, 120, 100, 400], pa.int64()),
        }
    )
    rows = run_global(translations.GLOBAL, [table], translations.Config(), 3).rows
    assert rows is not None
    assert sorted((row["row"], row["other"], row["id"]) for row in rows.to_pylist()) == [(1, 2, 1), (2, 1, 1)]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A build of texts and their translations: the run file and the store."""
    folder = tmp_path_factory.mktemp("neighbours")
    rows = [
        {"id": f"{name}{i}", "text": side}
        for i, pair in enumerate(PAIRS)
        for name, side in zip(("zh", "en"), pair, strict=True)
    ]
    steps = ["classifiers.language", "stages.dedup.exact", "classifiers.embedding"]
    page = tiny(
        folder, rows, annotate=steps, **{"global": ["classifiers.neighbours", "classifiers.translations"]}
    )
    run_path = write_run(folder, page)
    build(run_path, folder / "store")
    return run_path, folder / "store"


def test_translations_get_one_id(built: tuple[Path, Path], tmp_path: Path) -> None:
    """Most of the pairs are found, and none with a text of another pair."""
    run_path, store = built
    to = tmp_path / "found.parquet"
    cli("export", run_path, "--store", store, "--columns", "source_id,translations.id", "--to", to).ok()
    ids: dict[int, list[str]] = {}
    for row in pq.read_table(to).to_pylist():
        if row["translations.id"] is not None:
            ids.setdefault(row["translations.id"], []).append(row["source_id"][2:])
    assert len(ids) >= 0.6 * len(PAIRS)  # sentences of one line; pages do better, see docs/embedding.md
    assert all(len(pair) == 2 and pair[0] == pair[1] for pair in ids.values())


def test_explain_lists_neighbours(built: tuple[Path, Path]) -> None:
    """`explain` names the translation of a document, with cosine and beginning."""
    run_path, store = built
    command = ("explain", run_path, "--store", store, "--input", "docs.jsonl:0")
    ended = cli(*command, "--json").ok()
    found = {row["relation"]: row for row in ended.json["neighbours"]}
    assert (
        found["translation"]["excerpt"] == PAIRS[0][1][:120] and 0.75 <= found["translation"]["cosine"] <= 1
    )
    assert found["other language"]["doc_id"] == found["translation"]["doc_id"]
    shown = cli(*command).ok().out
    assert "translation" in shown and PAIRS[0][1][:12] in shown
