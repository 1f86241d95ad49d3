"""Domains: the kernel against a plain reading of the model, and the shipped model on unseen texts."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers.domain import LABELS, MODEL_PATH, ODDS_STEPS, SHORT, STAGE, Config, Model, choose, load_model
from classifiers.domain.features import LEVELS, MAX_SUM, OFFSET, has_word, pack
from classifiers.linear.families import families_by_units
from classifiers.linear.train import Settings
from classifiers.linear.train_classes import fit_classes
from classifiers.quality.features import N_CELLS, list_features
from pipeline.errors import ConfigError
from stages.kernels.text.text import load_tables, view
from tests.helpers.paths import TESTS
from tests.helpers.strategies import texts

LINES = (TESTS / "domain_texts.tsv").read_text("utf-8").splitlines()
TEXTS = [tuple(line.split("\t")) for line in LINES]
"""Language, kind, domain and a text written for this test; domains that the model learned from little text, or from
dictionaries alone, are `rare`."""
COMMON = [(label, text) for _, kind, label, text in TEXTS if kind == "common"]
RARE = [(label, text) for _, kind, label, text in TEXTS if kind == "rare"]


def annotate(docs: Sequence[str | None], urls: Sequence[str | None] | None = None) -> list[dict[str, Any]]:
    """Domains by the shipped model; Any: a label, a number or None."""
    batch = pa.table(
        {
            "text": pa.array(docs, pa.large_string()),
            "url": pa.array(urls or [None] * len(docs), pa.string()),
        }
    )
    return STAGE.load(Config())(batch).to_pylist()


def features_of(text: str) -> tuple[int, Counter[int]]:
    """Family of a text, and its n-gram cells with their numbers, by the features of the quality models."""
    seen = view(pa.array([text], pa.large_string()))
    family = families_by_units(seen.classes, seen.starts, np.arange(1))
    cells, _, _ = list_features(seen.codes, seen.classes, seen.starts, load_tables().fold, family)
    if not has_word(seen.classes, 0, len(seen.classes)):
        return int(family[0]), Counter()
    return int(family[0]), Counter(cells.tolist())


def measure(text: str, model: Model) -> tuple[str, float] | None:
    """Label and score by the definition, one n-gram and label at a time."""
    family, cells = features_of(text)
    if not cells:
        return None
    length = math.sqrt(SHORT + sum(int(LEVELS[min(n, len(LEVELS) - 1)]) ** 2 for n in cells.values()))
    odds = []
    for k in range(len(LABELS)):
        total = 0
        for cell, n in cells.items():
            row = int(model.rows[family, cell])
            lane = (int(model.packed[family, row, k // 4]) >> (16 * (k % 4)) & 0xFFFF) - OFFSET if row else 0
            total += lane * int(LEVELS[min(n, len(LEVELS) - 1)])
        exact = total / length * float(model.steps[family]) + float(model.bias[family, k])
        odds.append(round(exact * ODDS_STEPS))
    powers = sum(math.exp((value - max(odds)) / ODDS_STEPS) for value in odds)
    return LABELS[odds.index(max(odds))], 1 / powers


@given(st.lists(texts(), min_size=1, max_size=4))
def test_scores_equal_the_plain_measure(docs: list[str]) -> None:
    """The kernel gives the labels and scores that the definition gives."""
    model = load_model(MODEL_PATH)
    for text, row in zip(docs, annotate(docs), strict=True):
        expected = measure(text, model)
        if expected is None:
            assert set(row.values()) == {None}
            continue
        assert row["label"] == expected[0]
        assert abs(row["score"] - expected[1]) < 0.001


@pytest.mark.parametrize("language", ["en", "zh"])
def test_long_texts_equal_the_plain_measure(language: str) -> None:
    """Sums over more n-grams than one packed sum can hold are correct."""
    text = "\n".join(text for code, _, _, text in TEXTS if code == language)
    expected = measure(text, load_model(MODEL_PATH))
    assert len(features_of(text)[1]) > 2 * MAX_SUM
    assert expected is not None
    (row,) = annotate([text])
    assert row["label"] == expected[0]
    assert abs(row["score"] - expected[1]) < 0.001


@pytest.mark.parametrize("label,text", COMMON, ids=[label for label, _ in COMMON])
def test_unseen_texts_get_their_domain(label: str, text: str) -> None:
    """Plain texts about one thing are labelled as that, with a score well above even odds among 26."""
    (row,) = annotate([text])
    assert row["label"] == label
    assert row["score"] > 0.15


def test_most_texts_of_rare_domains_get_theirs() -> None:
    """Of texts on domains that the model learned from little or from dictionaries, most are labelled right."""
    found = [
        row["label"] == label for (label, _), row in zip(RARE, annotate([t for _, t in RARE]), strict=True)
    ]
    assert sum(found) >= 0.7 * len(found), [RARE[i][0] for i, right in enumerate(found) if not right]


@pytest.mark.parametrize(
    "text", ["qwxz vlork brimf tass plonque zzyx", "the of and to it was", "的了在是", "ok ok"]
)
def test_texts_without_evidence_score_low(text: str) -> None:
    """Words of no domain leave all domains likely: the label is a guess with a low score."""
    (row,) = annotate([text])
    assert row["label"] in LABELS
    assert row["score"] < 0.35


def test_traditional_and_simplified_are_labelled_alike() -> None:
    """The same text in Traditional characters, or in full width, has the same label and score."""
    hans = "银行下调了贷款利率，股票市场应声上涨。 Stock market"
    hant = "銀行下調了貸款利率，股票市場應聲上漲。 Ｓｔｏｃｋ ｍａｒｋｅｔ"
    assert annotate([hant]) == annotate([hans])


def test_words_of_the_url_count_like_words_of_the_text() -> None:
    """Host and path are read; scheme, short words, file ending, query and fragment are not."""
    text = "He said that it was the best of them all"
    plain, told, same = annotate(
        [text] * 3,
        [
            None,
            "https://www.hockey-football.com/baseball/coach/players.html",
            "ftp://hockey.football.org/baseball/coach/players.physics?q=chemistry#biology",
        ],
    )
    assert told == same
    assert told["label"] == "Sports"
    assert told["score"] > plain["score"] or plain["label"] != "Sports"
    assert (
        annotate([None, "123"], ["https://sports.example.org/football"] * 2)
        == [{"label": None, "score": None}] * 2
    )


def test_texts_without_a_word_have_no_domain() -> None:
    """Null, blank and empty texts and those of marks and numbers get null, not a guess."""
    rows = annotate([None, "", " \t ", "12.5 %!", "足球"])
    assert [row["label"] is None for row in rows] == [True, True, True, True, False]
    assert [row["score"] is None for row in rows] == [True, True, True, True, False]


def test_the_likeliest_label_wins_and_probabilities_are_exact() -> None:
    """Ties go to the first label; a score is the share of the exponentials, in thousandths."""
    odds = np.zeros((3, len(LABELS)), np.int64)
    odds[1, 5] = round(3 * ODDS_STEPS)
    odds[2, 7] = 10**9
    best, scores = choose(odds)
    assert best.tolist() == [0, 5, 7]
    expected = [1 / 26, math.exp(3) / (math.exp(3) + 25), 1.0]
    assert np.abs(scores - expected).max() < 0.0006


def test_a_foreign_model_is_refused(tmp_path: Path) -> None:
    """A missing file, a file of another kind, other labels and another shape each stop with a sentence."""
    good = dict(np.load(MODEL_PATH))
    broken = {
        "labels": {**good, "labels": np.array(LABELS[::-1])},
        "shape": {**good, "weights": good["weights"][:, :, :5]},
        "cells": {**good, "cells": good["cells"] + np.uint32(N_CELLS)},
        "field": {name: value for name, value in good.items() if name != "steps"},
    }
    for name, arrays in broken.items():
        np.savez(tmp_path / f"{name}.npz", **arrays)
    (tmp_path / "other.npz").write_bytes(b"PK nothing of the kind")
    for name in (*broken, "other", "missing"):
        with pytest.raises(ConfigError, match="expected"):
            load_model(str(tmp_path / f"{name}.npz"))


def test_packing_keeps_every_weight() -> None:
    """Each lane contains its weight, and a cell without weights has row 0."""
    random = np.random.default_rng(0)
    weights = random.integers(-127, 128, (2, 50, 26)).astype(np.int8)
    cells = np.stack([random.permutation(N_CELLS)[:50] for _ in range(2)])
    rows, packed = pack(cells, weights)
    for family in range(2):
        for k in range(26):
            lane = packed[family, rows[family, cells[family]], k // 4] >> np.uint64(16 * (k % 4))
            assert ((lane & np.uint64(0xFFFF)).astype(np.int64) - OFFSET == weights[family, :, k]).all()
    assert np.count_nonzero(rows) == 100


def test_a_call_without_urls_equals_one_with_null() -> None:
    """The column url may be absent."""
    batch = pa.table({"text": pa.array([text for _, text in COMMON], pa.large_string())})
    assert STAGE.load(Config())(batch).to_pylist() == annotate([text for _, text in COMMON])


def test_training_finds_what_separates() -> None:
    """Each class gets weight from the feature that marks it, the same on every run, and doubt from shared targets."""
    random = np.random.default_rng(0)
    marks = np.arange(300) % 3
    cells = random.integers(10, 100, (300, 20)).astype(np.int32)
    cells[:, 0] = marks
    targets = np.eye(4)[marks]
    targets[marks == 2] = (0, 0, 0.5, 0.5)
    starts, importance = np.arange(0, 6001, 20), np.ones(300)
    settings = Settings(dropout=0.0, epochs=20, rate=0.3)
    weights, bias = fit_classes(cells.ravel(), starts, targets, importance, 100, settings)
    odds = weights[cells].sum(axis=1) / math.sqrt(20) + bias
    assert (odds.argmax(axis=1)[marks < 2] == marks[marks < 2]).mean() > 0.99
    assert weights[0, 0] > 1 and weights[1, 1] > 1
    assert abs(weights[2, 2] - weights[2, 3]) < 0.1
    again, _ = fit_classes(cells.ravel(), starts, targets, importance, 100, settings)
    assert (again == weights).all()
    ignored, _ = fit_classes(cells.ravel(), starts, targets, np.where(marks == 1, 0.0, 1.0), 100, settings)
    assert ignored[1, 1] == 0
