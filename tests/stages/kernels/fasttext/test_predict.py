"""fastText inference: equal to the C++ library on real and on random models, for any text."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigError
from stages.kernels.fasttext import predict
from tests.helpers.fasttext_model import MODELS, TEXTS, model_bytes
from tests.helpers.paths import ROOT

LID = ROOT / "classifiers" / "models" / "lid.176.ftz"
Pair = tuple[predict.FastText, Any]
"""A model and the library's own, which has no types."""


@pytest.fixture(scope="module", params=MODELS)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """A random model, loaded by us and by the library."""
    library = pytest.importorskip("fasttext", reason="fasttext-predict is the oracle")
    path = tmp_path_factory.mktemp("models") / f"{request.param}.bin"
    path.write_bytes(model_bytes(**MODELS[request.param]))
    return predict.load(path), library.load_model(str(path)).f


def predict_one(model: predict.FastText, text: str, k: int) -> list[tuple[str, float]]:
    """The best k labels of a text and their probabilities, by the kernel."""
    labels, probabilities = predict.predict(model, pa.array([text]), k)
    return [(model.labels[i], float(p)) for i, p in zip(labels[0], probabilities[0], strict=True) if i >= 0]


def library_predict(library: Any, text: str, k: int) -> list[tuple[str, float]]:
    """The best k labels of a text and their probabilities, by the library. Any: it has no types."""
    found = library.predict(text.replace("\n", " ") + "\n", k, 0.0, "strict")
    return [(label.removeprefix("__label__"), p) for p, label in found]


def assert_same(ours: list[tuple[str, float]], theirs: list[tuple[str, float]]) -> None:
    """Equal probabilities at every rank, and equal labels but for those that a rounding may put either way."""
    assert [p for _, p in ours] == pytest.approx([p for _, p in theirs], abs=1e-5)
    assert len(ours) == len(theirs)
    for label, p in ours:
        close = [name for name, q in theirs if abs(p - q) <= 1e-5]
        assert label in close or abs(p - theirs[-1][1]) <= 1e-5


def test_ties_are_those_of_the_library(tmp_path: Path) -> None:
    """Labels with equal scores come in the library's order, for any number of labels."""
    library = pytest.importorskip("fasttext", reason="fasttext-predict is the oracle")
    labels, words = [f"l{i}" for i in range(9)], ["</s>", "a", "b"]
    for values in ([0] * 9, [3, 3, 1, 3, 1, 1, 0, 3, 0], [1, 2, 2, 2, 3, 3, 1, 1, 1]):
        outputs, vectors = np.zeros((9, 2), np.float32), np.ones((3, 2), np.float32)
        outputs[:, 0] = values
        for loss in (3, 4):
            path = tmp_path / "ties.bin"
            path.write_bytes(
                model_bytes(
                    loss=loss,
                    minn=0,
                    maxn=0,
                    dim=2,
                    bucket=0,
                    words=words,
                    labels=labels,
                    vectors=vectors,
                    outputs=outputs,
                )
            )
            theirs, ours = library.load_model(str(path)).f, predict.load(path)
            for k in range(1, 11):
                expected = [label for label, _ in library_predict(theirs, "a b", k)]
                assert [label for label, _ in predict_one(ours, "a b", k)] == expected


@given(text=TEXTS, k=st.sampled_from([1, 3, 8]))
@settings(max_examples=60)
def test_random_models_equal_the_library(pair: Pair, text: str, k: int) -> None:
    """Every loss, n-gram range and matrix form gives the library's labels and probabilities."""
    model, library = pair
    assert_same(predict_one(model, text, k), library_predict(library, text, k))


def test_long_words_and_many_features_equal_the_library(pair: Pair) -> None:
    """Documents with more features than are noted at once, and words longer than those remembered."""
    model, library = pair
    for text in ("数据" * 3000, "hello the world " * 2000, "abcdefgh" * 2000 + " the"):
        assert_same(predict_one(model, text, 6), library_predict(library, text, 6))


def test_batches_of_many_words_equal_the_library(pair: Pair) -> None:
    """Words remembered, forgotten for others and met again, of 1 to 24 characters of 1 to 4 bytes, in one batch."""
    model, library = pair
    rng = np.random.default_rng(3)
    letters = np.array([*"abcdez09é中文。😀<>"])
    words = ["".join(rng.choice(letters, size)) for size in rng.integers(1, 24, 3000)]
    alike = " ".join(f"abcdefgh{i}" for i in range(600))
    for batch in (
        [" ".join(words[i % 3000] for i in row) for row in rng.zipf(1.3, (60, 400))],
        ["a b </s> c", "b </s> a", alike, alike, "", "a"],
    ):
        labels, probabilities = predict.predict(model, pa.array(batch), 6)
        for i, text in enumerate(batch):
            rows = zip(labels[i], probabilities[i], strict=True)
            assert_same(
                [(model.labels[j], float(p)) for j, p in rows if j >= 0], library_predict(library, text, 6)
            )


@given(st.lists(TEXTS, min_size=1, max_size=8))
@settings(max_examples=30)
def test_language_model_equals_the_library(texts: list[str]) -> None:
    """The shipped model gives the library's three best labels in order."""
    library = pytest.importorskip("fasttext", reason="fasttext-predict is the oracle").load_model(str(LID)).f
    for text in texts:
        ours, theirs = predict_one(lid(), text, 3), library_predict(library, text, 3)
        assert [label for label, _ in ours] == [label for label, _ in theirs]
        assert [p for _, p in ours] == pytest.approx([p for _, p in theirs], abs=1e-6)


@functools.cache
def lid() -> predict.FastText:
    """The shipped model."""
    return predict.load(LID)


@pytest.mark.parametrize(
    ("text", "label", "probability"),
    [
        ("", "en", 0.124504),
        ("The committee will publish its report in March.", "en", 0.963520),
        ("委员会将于三月发布报告。", "zh", 0.891748),
        ("委員會將於三月\n發布報告。", "zh", 0.996851),
        ("委員会は３月に報告書を公表する。", "ja", 1.000049),
    ],
)
def test_known_predictions(text: str, label: str, probability: float) -> None:
    """The shipped model keeps the library's values."""
    [(predicted, value)] = predict_one(lid(), text, 1)
    assert predicted == label and value == pytest.approx(probability, abs=1e-6)


def test_newlines_are_blanks() -> None:
    """A document is one line: only the blanks of fastText count, and a literal end token cuts it off."""
    same = ["one two three four", "one\ntwo\nthree\nfour\n", "one\t two\r\nthree\v\f\0four"]
    for text in same[1:]:
        assert predict_one(lid(), text, 3) == predict_one(lid(), same[0], 3)
    assert predict_one(lid(), "one\u3000two", 3) != predict_one(lid(), "one two", 3)
    assert predict_one(lid(), "one two </s> 中文", 3) == predict_one(lid(), "one two", 3)
    assert predict_one(lid(), "one __label__x __label__en two", 3) == predict_one(lid(), "one two", 3)


@given(st.lists(TEXTS, max_size=12), st.integers(0, 12))
@settings(max_examples=30)
def test_batches_and_array_types_do_not_matter(texts: list[str], cut: int) -> None:
    """Slices, chunks, offsets and string types give the rows that the whole gives."""
    whole = predict.predict(lid(), pa.array(texts, pa.large_string()), 2)
    array = pa.array(["first", *texts], pa.string())[1:]
    parts = [predict.predict(lid(), array[:cut], 2), predict.predict(lid(), array[cut:], 2)]
    chunked = predict.predict(lid(), pa.chunked_array([array[:cut], array[cut:]]), 2)
    for i in range(2):
        np.testing.assert_array_equal(whole[i], np.concatenate([part[i] for part in parts]))
        np.testing.assert_array_equal(whole[i], chunked[i])


def test_null_is_an_empty_document() -> None:
    """A null row is predicted like the empty text, and rows around it keep their place."""
    labels, _ = predict.predict(lid(), pa.array(["委员会", None, "hello world"]), 1)
    np.testing.assert_array_equal(
        labels, predict.predict(lid(), pa.array(["委员会", "", "hello world"]), 1)[0]
    )


def test_no_features_no_prediction(tmp_path: Path) -> None:
    """Without an end-of-line token in the dictionary, a text of unknown words has no prediction."""
    path = tmp_path / "model.bin"
    path.write_bytes(model_bytes(**MODELS["no_end_token"]))
    labels, probabilities = predict.predict(predict.load(path), pa.array(["unknown words", "the"]), 2)
    assert labels[0].tolist() == [-1, -1]
    assert probabilities[0].tolist() == [0, 0]
    assert (labels[1] >= 0).all()


def test_bad_files_are_refused(tmp_path: Path) -> None:
    """A missing, foreign, cut or unsupervised file is a ConfigError that names it."""
    good = model_bytes(**MODELS["softmax"])
    cases = {"empty": b"", "foreign": b"PK\3\4" * 50, "cut": good[:-100], "head": good[:200]}
    cases["vectors"] = model_bytes(loss=2, minn=2, maxn=3, kind=2)
    for name, data in cases.items():
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(ConfigError, match=name):
            predict.load(path)
    with pytest.raises(ConfigError, match="no-such"):
        predict.load(tmp_path / "no-such")
