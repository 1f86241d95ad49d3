"""Domains: the kernel against a plain reading of the model, and the shipped model on unseen texts."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers.domain import LABELS, MODEL_PATH, ODDS_STEPS, STAGE, Config, Model, choose, load_model
from classifiers.domain.features import HASH_BITS, MAX_SUM, N_CELLS, OFFSET, STEM_LETTERS, pack
from classifiers.linear.train import Settings
from classifiers.linear.train_classes import fit_classes
from pipeline.errors import ConfigError
from stages.kernels.text.tables import load_tables
from tests.helpers.paths import TESTS
from tests.helpers.strategies import texts

MASK = (1 << 64) - 1
ODD_A, ODD_B, STEM = 0x9E3779B97F4A7C15, 0xD1342543DE82EF95, 0x5DEECE66D
CLASS_LETTERS = "osnpym0LlhHKU"  # one letter for each class, in the order of kernels.text.tables
TOKEN = re.compile(
    r"(?P<single>[HKU][mo]*)|(?P<word>[0Llh](?:[0Llhmo]|(?<=[Ll])'(?=[Ll]))*)|(?P<end>[onpym'])"
)

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


def mix(value: int) -> int:
    """SplitMix64's finaliser on Python integers."""
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & MASK
    return value ^ (value >> 31)


def unit_key(codes: list[int]) -> int:
    """Hash of a unit's match text."""
    fold, state = load_tables().fold, ODD_B
    for code in codes:
        if fold[code]:
            state = ((state ^ int(fold[code])) * ODD_A) & MASK
            state ^= state >> 32
    return mix(state) | 1


def cells_of(text: str) -> list[int]:
    """Cells of a text's n-grams by the definition, from a spelling of the text with a letter for each class."""
    classes = load_tables().classes
    spelled = "".join("'" if c in "'\u2019" else CLASS_LETTERS[classes[ord(c)]] for c in text)
    runs: list[list[tuple[int, bool]]] = [[]]
    hashes = []
    for match in TOKEN.finditer(spelled):
        if match["end"] or match.group()[0] == "0":
            runs.append([])
            continue
        codes = [ord(char) for char in text[match.start() : match.end()]]
        runs[-1].append((unit_key(codes), match["single"] is not None))
        hashes.append(mix(unit_key(codes)))
        if len(codes) > STEM_LETTERS:
            hashes.append(mix(unit_key(codes[:STEM_LETTERS]) ^ STEM))
    for run in runs:
        pairs = [mix((a * ODD_A + b) & MASK) for (a, _), (b, _) in itertools.pairwise(run)]
        hashes += pairs
        for i, pair in enumerate(pairs[:-1]):
            if all(single for _, single in run[i : i + 3]):
                hashes.append(mix((pair * ODD_A + run[i + 2][0]) & MASK))
    return [value >> (64 - HASH_BITS) for value in hashes]


def measure(text: str, model: Model) -> tuple[str, float] | None:
    """Label and score by the definition."""
    cells = cells_of(text)
    if not cells:
        return None
    rows = [int(model.rows[cell]) for cell in cells]
    odds = []
    for k in range(len(LABELS)):
        lane = [(int(model.packed[row, k // 4]) >> (16 * (k % 4)) & 0xFFFF) - OFFSET for row in rows if row]
        odds.append(
            round((sum(lane) / math.sqrt(len(cells)) * model.step + float(model.bias[k])) * ODDS_STEPS)
        )
    total = sum(math.exp((value - max(odds)) / ODDS_STEPS) for value in odds)
    return LABELS[odds.index(max(odds))], 1 / total


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
    assert len(cells_of(text)) > 2 * MAX_SUM
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
        "shape": {**good, "weights": good["weights"][:, :5]},
        "cells": {**good, "cells": good["cells"] + np.uint32(N_CELLS)},
        "field": {name: value for name, value in good.items() if name != "step"},
    }
    for name, arrays in broken.items():
        np.savez(tmp_path / f"{name}.npz", **arrays)
    (tmp_path / "other.npz").write_bytes(b"PK nothing of the kind")
    for name in (*broken, "other", "missing"):
        with pytest.raises(ConfigError, match="expected"):
            load_model(str(tmp_path / f"{name}.npz"))


def test_a_call_without_urls_equals_one_with_null() -> None:
    """The column url may be absent."""
    docs = [text for _, text in COMMON]
    assert STAGE.load(Config())(
        pa.table({"text": pa.array(docs, pa.large_string())})
    ).to_pylist() == annotate(docs)


def test_packing_keeps_every_weight() -> None:
    """Each lane contains its weight, and a cell without weights has row 0."""
    random = np.random.default_rng(0)
    weights, cells = random.integers(-127, 128, (50, 26)).astype(np.int8), random.permutation(N_CELLS)[:50]
    rows, packed = pack(cells, weights)
    for k in range(26):
        lane = (packed[rows[cells], k // 4] >> np.uint64(16 * (k % 4))) & np.uint64(0xFFFF)
        assert (lane.astype(np.int64) - OFFSET == weights[:, k]).all()
    assert np.count_nonzero(rows) == 50


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
