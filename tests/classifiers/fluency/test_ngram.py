"""N-gram models: tokens, packing, ARPA files and backoff, against plain Python."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers.fluency import ngram
from pipeline.errors import ConfigError
from stages.kernels.text.ngrams import N_TOKENS, TOTAL, WORD, score_tokens
from tests.helpers.oracles.ngram import (
    CORPUS,
    kneser_ney,
    read,
    reference,
    scored,
    scores,
    write_arpa,
)
from tests.helpers.strategies import texts

OTHERS = (
    "孩子们坐在小河边，老人放风筝。",
    "The children froze in 2024 by the river!",
    "龍舟 zebra 7",
    "，。",
    "",
)


@pytest.fixture(scope="module")
def grams() -> ngram.Grams:
    """A trigram model of CORPUS."""
    return kneser_ney(CORPUS, 3)


@pytest.fixture(scope="module")
def model(grams: ngram.Grams, tmp_path_factory: pytest.TempPathFactory) -> ngram.Model:
    """The same model, read from an ARPA file."""
    return ngram.load(write_arpa(grams, tmp_path_factory.mktemp("arpa") / "model.arpa"))


def test_the_oracle_is_a_distribution(grams: ngram.Grams) -> None:
    """After any context the probabilities of all words add up to 1."""
    for context in [(), ("孩",), ("小", "河"), ("the", "old"), ("old", "zebra")]:
        total = sum(10 ** ngram.backed_off(grams, (*context, *word)) for word in grams[0])
        assert total == pytest.approx(1)


@pytest.mark.parametrize("text", [*CORPUS, *OTHERS])
def test_the_kernel_backs_off_like_the_reference(grams: ngram.Grams, model: ngram.Model, text: str) -> None:
    """Each token has the log probability that plain Python gives it, within 1e-5."""
    assert scores(model, text) == pytest.approx(reference(grams, ngram.spell(text)), abs=1e-5)


@given(
    st.lists(st.sampled_from([*"春天来了小河边，。", "the ", "old ", "man ", "zebra ", "12 "]), max_size=40)
)
def test_any_order_of_tokens_backs_off_like_the_reference(
    grams: ngram.Grams, model: ngram.Model, parts: list[str]
) -> None:
    """Texts of known and unknown tokens at random: the same sum within 1e-5 a token."""
    text = "".join(parts)
    expected = reference(grams, ngram.spell(text))
    keys, kinds, sizes, n = read(text)
    sums = np.zeros(5)
    score_tokens(keys, kinds, sizes, n, 0, model, sums)
    assert sums[N_TOKENS] == len(expected)
    assert sums[TOTAL] == pytest.approx(sum(expected), abs=1e-5 * max(len(expected), 1))


@given(texts())
def test_tokens_are_what_spell_says(text: str) -> None:
    """The kernel's keys are those of the words of `spell`, for any text."""
    keys, kinds, _, n = read(text)
    names = ngram.SPECIALS
    found = [
        ngram.token_key(names[kind]) if kind < WORD else key
        for key, kind in zip(keys[:n], kinds, strict=False)
    ]
    assert found == [ngram.token_key(word) for word in ngram.spell(text)]


def test_tokens_are_those_of_match_text() -> None:
    """Traditional, wide and capital forms are one token with their plain form; punctuation is one pause."""
    assert ngram.spell("「國語」 ＡＢＣ don't 3.14——完") == [
        "国", "语", "<pause>", "abc", "dont", "<num>", "<pause>", "<num>", "<pause>", "完",
    ]  # fmt: skip


def test_a_model_keeps_its_scores_when_saved(model: ngram.Model, tmp_path: Path) -> None:
    """Saving and loading, memory-mapped, changes no score."""
    path = str(tmp_path / "model.bin")
    ngram.save(model, path)
    again = ngram.load(path)
    assert again.order == model.order and not again.fingerprints.flags.owndata
    assert [scores(again, text) for text in CORPUS] == [scores(model, text) for text in CORPUS]


def test_arpa_may_be_compressed(grams: ngram.Grams, model: ngram.Model, tmp_path: Path) -> None:
    """A gzip file is read like a plain one."""
    packed = ngram.load(write_arpa(grams, tmp_path / "model.arpa.gz"))
    assert np.array_equal(packed.fingerprints, model.fingerprints)
    assert np.array_equal(packed.values[packed.slots], model.values[model.slots])


def test_suffixes_that_were_pruned_away_come_back(grams: ngram.Grams, tmp_path: Path) -> None:
    """A trigram is found though the bigram it ends in is not in the file, and nothing else changes."""
    fewer = [level.copy() for level in grams]
    del fewer[1]["河", "边"]
    model = ngram.load(write_arpa(fewer, tmp_path / "model.arpa"))
    for text in ("小河边", "河边", "大河边的"):
        assert scores(model, text) == pytest.approx(reference(fewer, ngram.spell(text)), abs=1e-5)


def test_models_without_classes_skip_and_back_off(grams: ngram.Grams, tmp_path: Path) -> None:
    """Without <pause> punctuation is no token; with <word> an unknown word is one, an unknown character is not."""
    fewer = [{g: v for g, v in level.items() if "<pause>" not in g} for level in grams]
    fewer[0][("<word>",)] = (-2.0, 0.0)
    model = ngram.load(write_arpa(fewer, tmp_path / "model.arpa"))
    for text in OTHERS:
        assert scores(model, text) == pytest.approx(reference(fewer, ngram.spell(text)), abs=1e-5)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", "expected 1 to 6"),
        ("\\data\\\nngram 1=1\n\n\\1-grams:\n-1.0\ta b 0.5\n", "is no 1-gram"),
        ("\\data\\\nngram 1=1\n\n\\1-grams:\n-1.0\ta\n", "has no <unk>"),
        (
            "\\data\\\nngram 1=3\n\n\\1-grams:\n-1.0\tThe\n-1.0\tthe\n-1.0\t<unk>\n",
            "'The' and 'the' are equal",
        ),
    ],
)
def test_bad_arpa_files_are_refused(tmp_path: Path, content: str, message: str) -> None:
    """The error names the file and the mistake."""
    path = tmp_path / "bad.arpa"
    path.write_text(content, "utf-8")
    with pytest.raises(ConfigError, match=rf"bad\.arpa: .*{message}"):
        ngram.load(str(path))


def test_bad_packed_files_are_refused(model: ngram.Model, tmp_path: Path) -> None:
    """A missing, foreign or cut file is an error that names it."""
    path = tmp_path / "model.bin"
    for data in (None, b"", b"x" * 100):
        if data is not None:
            path.write_bytes(data)
        with pytest.raises(ConfigError, match=r"model\.bin: "):
            ngram.load(str(path))
    ngram.save(model, str(path))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ConfigError, match="truncated"):
        ngram.load(str(path))
    for bad in (
        model._replace(fingerprints=model.fingerprints | 1),
        model._replace(slots=model.slots + 9999),
    ):
        ngram.save(bad, str(path))
        with pytest.raises(ConfigError, match="damaged"):
            ngram.load(str(path))


def test_scores_are_those_of_kenlm(grams: ngram.Grams, tmp_path: Path) -> None:
    """Token for token the same as KenLM gives with the same ARPA file, neither sentence end scored."""
    kenlm = pytest.importorskip("kenlm", reason="KenLM is not installed: pip install bicorpus[kenlm]")
    with_end = [{**grams[0], ("</s>",): (-9.0, 0.0)}, *grams[1:]]  # which KenLM insists on
    path = write_arpa(with_end, tmp_path / "model.arpa")
    ours, theirs = ngram.load(path), kenlm.Model(path)
    for text in (*CORPUS, "他们昨天没有来。", "The unknown zebra ate 12 apples, slowly."):
        tokens = [token for token in ngram.spell(text) if ("<pause>",) in grams[0] or token != "<pause>"]
        found = theirs.full_scores(" ".join(tokens), bos=False, eos=False)
        expected = [s[0] * math.log(10) for s, own in zip(found, scored(grams, tokens), strict=True) if own]
        assert scores(ours, text) == pytest.approx(expected, abs=2e-5)
