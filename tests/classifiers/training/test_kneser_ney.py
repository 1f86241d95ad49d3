"""Kneser-Ney models: equal to those of KenLM's lmplz, and proper distributions."""

from __future__ import annotations

import gzip
import io
import itertools
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers.training.kneser_ney import (
    FALLBACK,
    MARKS,
    Grams,
    Level,
    count_grams,
    discounts,
    estimate,
    kept_grams,
    number,
    write_arpa,
)
from pipeline.errors import UsageError

Entries = dict[str, tuple[float, float]]


def corpus(n: int = 400) -> list[list[str]]:
    """Sentences of a small language whose words follow each other with habits; one holds a mark."""
    rng = random.Random(1)
    words = [f"w{i}" for i in range(60)]
    follow = {word: rng.sample(words, 4) for word in words}
    sentences = []
    for _ in range(n):
        word, sentence = rng.choice(words[:10]), []
        for _ in range(rng.randrange(1, 9)):
            sentence.append(word)
            word = rng.choice(follow[word] if rng.random() < 0.8 else words)
        sentences.append(sentence)
    return [*sentences, ["w1", "<s>", "w2"]]


def model(
    sentences: list[list[str]], order: int, prune: tuple[int, ...] = (0,)
) -> tuple[list[str], list[Level], list[Grams], list[np.ndarray]]:
    """A model of sentences: its words, levels, probabilities, masks."""
    tokens, words = number(sentences)
    levels = count_grams(tokens, len(words), order, MARKS.index("<s>"))
    kept = kept_grams(levels, prune)
    return words, levels, estimate(levels, kept, FALLBACK), kept


def entries(arpa: str) -> Entries:
    """Log10 probability and backoff by n-gram."""
    rows = [line.split("\t") for line in arpa.split("\n") if "\t" in line]
    return {row[1]: (float(row[0]), float(row[2]) if len(row) > 2 else 0.0) for row in rows}


def written(sentences: list[list[str]], order: int, prune: tuple[int, ...] = (0,)) -> str:
    """The ARPA file of a model."""
    stream = io.StringIO()
    write_arpa(stream, *model(sentences, order, prune))
    return stream.getvalue()


@pytest.mark.parametrize("prune", [(0,), (0, 1, 2)], ids=["whole", "pruned"])
def test_models_equal_those_of_lmplz(prune: tuple[int, ...]) -> None:
    """lmplz (kpu/kenlm 4cb443e) wrote the references from the same corpus: lmplz -o 3 --skip_symbols --prune ..."""
    name = f"lmplz{''.join(map(str, prune))}.arpa.gz"
    reference = entries(gzip.decompress((Path(__file__).parent / name).read_bytes()).decode())
    own = entries(written(corpus(), 3, prune))
    assert own.keys() == reference.keys()
    gram = sorted(reference)
    np.testing.assert_allclose([own[g] for g in gram], [reference[g] for g in gram], rtol=0, atol=1e-6)


@given(
    st.lists(st.lists(st.sampled_from("abcd"), max_size=6), min_size=1, max_size=12),
    st.integers(2, 4),
    st.sampled_from([(0,), (0, 1), (0, 0, 1)]),
)
def test_probabilities_after_any_context_sum_to_one(
    sentences: list[list[str]], order: int, prune: tuple[int, ...]
) -> None:
    """Over all words that may follow, <unk> and </s> among them, with backoff, for kept contexts and others."""
    if not any(sentences):
        return
    found = entries(written(sentences, order, prune))
    words = [gram for gram in found if " " not in gram and gram != "<s>"]

    def log_prob(context: tuple[str, ...], word: str) -> float:
        gram = " ".join((*context, word))
        if gram in found:
            return found[gram][0]
        return found.get(" ".join(context), (0.0, 0.0))[1] + log_prob(context[1:], word)

    for n in range(order):
        for context in itertools.product(["<s>", *"abcd"], repeat=n):
            assert sum(10 ** log_prob(context, word) for word in words) == pytest.approx(1, abs=2e-6)


@pytest.mark.parametrize("prune", [(1,), (0, 2, 1), (0, -1)])
def test_other_thresholds_are_refused(prune: tuple[int, ...]) -> None:
    """Words are never pruned, and longer n-grams no less than shorter ones."""
    with pytest.raises(UsageError, match="expected 0 first"):
        model(corpus(), 3, prune)


def test_discounts_of_too_little_text_are_an_error_or_the_fallback() -> None:
    """Three n-grams that occur once say nothing about the others."""
    count = np.array([0.0, 1.0, 1.0, 1.0])
    with pytest.raises(UsageError, match="3 occur once, 0 twice"):
        discounts(count)
    assert discounts(count, FALLBACK).tolist() == [0.0, *FALLBACK]
