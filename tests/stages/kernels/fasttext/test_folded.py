"""Folded fastText models: equal to the C++ library, alone and united with others, on any text."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.kernels.fasttext import folded, model
from tests.helpers.fasttext_model import MODELS, TEXTS, WORDS, model_bytes

FORMS: dict[str, dict[str, Any]] = {  # Any: arguments of model_bytes
    **{name: form for name, form in MODELS.items() if form["loss"] != 1},
    "two_labels": {"loss": 3, "minn": 0, "maxn": 0, "word_ngrams": 2, "labels": ["pos", "neg"]},
    "two_labels_other_words": {
        "loss": 3, "minn": 0, "maxn": 0, "word_ngrams": 2, "labels": ["hq", "cc"],
        "words": ["</s>", "cat", "a", "的", "hello"], "seed": 3,
    },
    "two_labels_no_end": {
        "loss": 3, "minn": 0, "maxn": 0, "word_ngrams": 2, "labels": ["1", "0"], "words": WORDS[1:4], "seed": 4,
    },
    "two_leaves": {"loss": 1, "minn": 0, "maxn": 0, "word_ngrams": 2, "labels": ["pos", "neg"], "seed": 5},
    "one_against_all": {"loss": 4, "minn": 0, "maxn": 0, "word_ngrams": 2, "labels": ["pos", "neg"], "seed": 6},
    "two_labels_characters": {"loss": 3, "minn": 2, "maxn": 4, "word_ngrams": 2, "labels": ["pos", "neg"]},
    "more_characters": {"loss": 3, "minn": 2, "maxn": 4, "word_ngrams": 2, "labels": ["a", "b"], "seed": 8},
    "two_labels_pruned": {
        "loss": 3, "minn": 2, "maxn": 3, "word_ngrams": 2, "labels": ["pos", "neg"], "quantised": True, "kept": 0.5,
    },
    "more_pruned": {
        "loss": 3, "minn": 2, "maxn": 3, "word_ngrams": 2, "labels": ["a", "b"], "quantised": True, "kept": 0.3,
        "seed": 9,
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, folded.Scorer, Any]]:
    """Each form of model with its last label, loaded by us and by the library, whose objects have no types."""
    library = pytest.importorskip("fasttext", reason="fasttext-predict is the oracle")
    folder, loaded = tmp_path_factory.mktemp("models"), []
    for name, form in FORMS.items():
        path = folder / f"{name}.bin"
        path.write_bytes(model_bytes(**form))
        read = model.load(path, mapped=True)
        loaded.append((name, folded.Scorer(read, read.labels[-1]), library.load_model(str(path)).f))
    return loaded


def score(scorers: list[folded.Scorer], texts: list[str]) -> np.ndarray:
    """Scores of texts, which lie one after another: (n_texts, n_scorers)."""
    pieces = [text.encode() for text in texts]
    ends = np.cumsum([len(piece) for piece in pieces], dtype=np.int64)
    data = np.frombuffer(b"".join(pieces), np.uint8)
    return folded.score(folded.unite(scorers), data, ends - [len(piece) for piece in pieces], ends)


def library_score(library: Any, label: str, text: str) -> float:
    """Probability of a label by the library, at most 1; NaN without any. Any: it has no types."""
    found = library.predict(text.replace("\n", " ") + "\n", -1, 0.0, "strict")
    named = {name.removeprefix("__label__"): p for p, name in found}
    return min(named[label], 1.0) if found else math.nan


def check(models: list[tuple[str, folded.Scorer, Any]], texts: list[str], tolerance: float = 2e-5) -> None:
    """All models together have the library's score for each text."""
    scores = score([scorer for _, scorer, _ in models], texts)
    for column, (name, scorer, library) in enumerate(models):
        expected = [library_score(library, scorer.label, text) for text in texts]
        # The library looks sigmoids up in steps of 1/32, so next to a step rounding may choose either.
        atol = 8e-3 if scorer.model.tables.loss in (2, 4) else tolerance
        np.testing.assert_allclose(scores[:, column], expected, rtol=0, atol=atol, err_msg=name)


@given(texts=st.lists(TEXTS, min_size=1, max_size=4))
@settings(max_examples=40)
def test_united_models_equal_the_library(
    models: list[tuple[str, folded.Scorer, Any]], texts: list[str]
) -> None:
    """Every loss, n-gram range, dictionary and pruning, all in one call."""
    check(models, texts)


def test_long_texts_and_words_equal_the_library(models: list[tuple[str, folded.Scorer, Any]]) -> None:
    """Documents with more features than are collected at once, a literal end token, labels in the text, no text."""
    texts = [
        "数据" * 3000,
        "hello the world " * 2000,
        "abcdefgh" * 2000 + " the",
        "a </s> hello",
        "",
        "__label__x",
    ]
    check(models, texts, 1e-3)  # the library sums tens of thousands of large random numbers in float32


def test_models_of_one_tokenisation_share_a_pass(models: list[tuple[str, folded.Scorer, Any]]) -> None:
    """Two-label models with equal n-grams and buckets are one group, whatever their words, labels and loss are."""
    shared = [scorer for name, scorer, _ in models if name.startswith("two_l") and "_c" not in name]
    shared = [scorer for scorer in shared if not len(scorer.model.tables.kept)]
    (group,) = folded.unite(shared)
    assert group.members == tuple(range(len(shared)))
    assert group.ngrams.shape == (200, len(shared))


def test_exp_is_that_of_the_maths_library() -> None:
    """Up to the last two bits over the whole range, and at its ends."""
    for x in [*np.linspace(-690, 690, 4001), 0.0, -1e-300, 1e-9]:
        assert folded.exp(float(x)) == pytest.approx(math.exp(x), rel=1e-13)
    assert folded.exp(-1e9) == 0
    assert folded.exp(1e9) == math.inf


def test_labels_that_cannot_be_folded(tmp_path: Path) -> None:
    """Hierarchical softmax over many labels is a tree of decisions, not one number a row."""
    (tmp_path / "tree.bin").write_bytes(model_bytes(**MODELS["hierarchical"]))
    read = model.load(tmp_path / "tree.bin")
    with pytest.raises(ValueError, match="hierarchical softmax"):
        folded.unite([folded.Scorer(read, read.labels[0])])
