"""KenLM models in KenLM's own format: scores equal to the packages', with SentencePiece and without."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers.kenlm import SCHEMA, STAGE, Config
from classifiers.kenlm.text import normalize
from pipeline.errors import ConfigError
from tests.helpers.oracles.ngram import CORPUS, kneser_ney_of, write_arpa

TEXTS = (
    *CORPUS,
    "春天来了，\n孩子们在草地上放风筝。",
    "  The OLD man, Ünïcode １９９８ — “quoted”…  ",
    "未知的字词",
)


def annotate(config: Config, docs: list[str | None], label: str | None = "zho_Hans") -> pa.Table:
    """The stage on plain lists."""
    return STAGE.load(config)(
        pa.table({"text": pa.array(docs, pa.large_string()), "language.label": pa.array([label] * len(docs))})
    )


@pytest.fixture(scope="module")
def kenlm() -> Any:  # the package publishes no types
    """The package, of the wheel kenlm-ex or ufal-kenlm or of the source package kenlm."""
    return pytest.importorskip("kenlm", reason="KenLM is not installed: pip install bicorpus[kenlm]")


@pytest.fixture(scope="module")
def pieces(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A SentencePiece model of CORPUS."""
    package = pytest.importorskip(
        "sentencepiece", reason="SentencePiece is not installed: pip install bicorpus[kenlm]"
    )
    folder = tmp_path_factory.mktemp("pieces")
    (folder / "text").write_text("\n".join(map(normalize, CORPUS * 4)), "utf-8")
    package.SentencePieceTrainer.Train(
        input=str(folder / "text"), model_prefix=str(folder / "zh.sp"), vocab_size=80, minloglevel=2
    )
    return str(folder / "zh.sp.model")


def arpa(tokens: Callable[[str], list[str]], path: Path) -> str:
    """A trigram model of CORPUS in these tokens, with ends of sentences."""
    return write_arpa(kneser_ney_of([["<s>", *tokens(normalize(text)), "</s>"] for text in CORPUS], 3), path)


def characters(text: str) -> list[str]:
    """The characters of a text without its blanks."""
    return [char for char in text if not char.isspace()]


def ccnet_perplexity(model: Any, processor: Any, text: str) -> float | None:  # neither publishes types
    """The perplexity of a document as CCNet computes it, step by step."""
    tokenized = " ".join(processor.encode_as_pieces(normalize(text)))
    log_score, length = 0.0, 0
    for line in tokenized.split("\n"):
        log_score += model.score(line)
        length += len(line.split()) + 1
    return round(10.0 ** (-log_score / length), 1) if tokenized else None


def test_sentencepiece_models_are_scored_as_in_ccnet(kenlm: Any, pieces: str, tmp_path: Path) -> None:
    """The same perplexity to the last bit, and the number of pieces and the end of the line."""
    processor = pytest.importorskip("sentencepiece").SentencePieceProcessor(model_file=pieces)
    path = arpa(processor.encode_as_pieces, tmp_path / "zh.arpa")
    config = Config(models=(path,), labels=(("zho_Hans",),), sentencepiece=(pieces,))
    found = annotate(config, [*TEXTS])
    model = kenlm.Model(path)
    expected = [ccnet_perplexity(model, processor, text) for text in TEXTS]
    assert found["perplexity"].equals(pa.chunked_array([pa.array(expected, pa.float32())]))
    assert found["n_tokens"].to_pylist() == [
        len(processor.encode_as_pieces(normalize(text))) + 1 for text in TEXTS
    ]


def test_characters_and_words_by_line(kenlm: Any, tmp_path: Path) -> None:
    """Without normalising, each line is a sentence of its own; perplexity is that of the package."""
    path = arpa(characters, tmp_path / "zh.arpa")
    model = kenlm.Model(path)
    config = Config(models=(path,), labels=(("zho_Hans",),), tokens="characters", normalize="none")
    found = annotate(config, ["春 天来了\n\n小河边", "孩子们", "  \n"]).to_pylist()
    total = model.score("春 天 来 了") + model.score("小 河 边")
    assert found[0] == {"perplexity": pytest.approx(round(10 ** (-total / 9), 1)), "n_tokens": 9}
    assert found[1]["perplexity"] == pytest.approx(model.perplexity("孩 子 们"), abs=0.051)
    assert found[2] == {"perplexity": None, "n_tokens": 0}
    words = Config(models=(path,), labels=(("zho_Hans",),), tokens="words", normalize="none")
    assert annotate(words, ["孩 子 们"])["perplexity"].to_pylist() == [found[1]["perplexity"]]


@pytest.mark.parametrize("form", ["probing", "trie"])
def test_binary_models_are_scored(kenlm: Any, tmp_path: Path, form: str) -> None:
    """Binary files that build_binary wrote from the ARPA file of CORPUS have the scores of the package."""
    path = str(Path(__file__).with_name(f"chars.{form}.bin"))
    config = Config(models=(path,), labels=(("zho_Hans",),), tokens="characters")
    model = kenlm.Model(path)
    expected = [round(model.perplexity(" ".join(characters(normalize(text)))), 1) for text in TEXTS]
    assert annotate(config, [*TEXTS])["perplexity"].to_pylist() == pytest.approx(expected, abs=0.051)
    written = kenlm.Model(arpa(characters, tmp_path / "zh.arpa"))
    assert model.score("春 天 来 了") == pytest.approx(written.score("春 天 来 了"), abs=1e-5)


def test_languages_without_a_model_have_no_score(kenlm: Any, tmp_path: Path) -> None:
    """Other labels and none give two nulls, a null text has no tokens; without models all is null."""
    path = arpa(characters, tmp_path / "zh.arpa")
    config = Config(models=(path,), labels=(("zho_Hans",),), tokens="characters")
    assert annotate(config, ["text"], "eng_Latn").to_pylist() == [{"perplexity": None, "n_tokens": None}]
    assert annotate(config, ["text"], None).to_pylist() == [{"perplexity": None, "n_tokens": None}]
    assert annotate(config, [None]).to_pylist() == [{"perplexity": None, "n_tokens": 0}]
    assert annotate(Config(), ["text"]).to_pylist() == [{"perplexity": None, "n_tokens": None}]
    assert annotate(Config(), []).equals(SCHEMA.empty_table())


@given(st.text(max_size=40))
def test_normalizing_follows_its_steps(text: str) -> None:
    """Lower case, no accents, digits as 0, ASCII punctuation, no control characters; twice is once."""
    found = normalize(text)
    assert not any(unicodedata.category(char) in ("Mn", "Cc") or char in "，。“”【】" for char in found)
    assert not re.search(r"[1-9]", found)
    assert normalize("Ａb，Ça 12３。\n“x”—y…") == 'ａb,ca 000."x" - y...'


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"models": ("a",)}, "0 lists for 1 models"),
        ({"models": ("a", "b"), "labels": (("x",), ("x",))}, "twice"),
        ({"tokens": "bytes"}, "expected one of words"),
        ({"normalize": "nfc"}, "expected one of ccnet"),
        (
            {"models": ("a",), "labels": (("x",),)},
            "0 files for 1 models with tokens: sentencepiece; expected 1",
        ),
        ({"tokens": "words", "sentencepiece": ("a",)}, "expected 0"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, object], message: str) -> None:
    """The error names the setting that cannot work."""
    with pytest.raises(ConfigError, match=message):
        Config(**settings)  # type: ignore[arg-type]  # settings that must fail


def test_files_that_are_no_models_are_refused(kenlm: Any, pieces: str, tmp_path: Path) -> None:
    """The error names the file, for KenLM's model and for SentencePiece's."""
    bad = tmp_path / "bad.bin"
    bad.write_bytes(b"not a model")
    for path in (str(bad), str(tmp_path / "absent.bin")):
        with pytest.raises(ConfigError, match=re.escape(path)):
            STAGE.load(Config(models=(path,), labels=(("x",),), tokens="words"))
    with pytest.raises(ConfigError, match="name a SentencePiece model"):
        STAGE.load(Config(models=(str(bad),), labels=(("x",),), sentencepiece=(str(bad),)))


def test_golden(golden: Any) -> None:  # a fixture
    """Known documents keep their known values."""
    golden.check(STAGE, Config())


def test_perplexity_of_the_packages_is_ours(kenlm: Any, tmp_path: Path) -> None:
    """`kenlm.Model.perplexity` is the mean over the tokens and the end, as in `n_tokens`."""
    path = arpa(characters, tmp_path / "zh.arpa")
    model, text = kenlm.Model(path), " ".join("春天来了")
    assert math.log10(model.perplexity(text)) == pytest.approx(-model.score(text) / 5)
