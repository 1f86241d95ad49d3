"""SentencePiece models: counts and ids of the sentencepiece package, in stage, token files and pickles."""

from __future__ import annotations

import itertools
import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigError
from stages.tokens import STAGE, Config, load_encoder, load_tokenizer
from stages.tokens.files import Config as FilesConfig
from stages.tokens.files import describe, overview, write_part
from stages.tokens.ids import id_column
from tests.helpers.paths import SAMPLE
from tests.helpers.token_readers import read_megatron

sentencepiece = pytest.importorskip("sentencepiece")

KINDS = ("unigram", "bpe")


def sample_texts() -> list[str]:
    """Chinese and English texts of the sample."""
    paths = sorted(SAMPLE.rglob("*.parquet"))
    tables = [pq.read_table(path) for path in paths if "text" in pq.read_schema(path).names]
    return [text for table in tables for text in table["text"].to_pylist() if text][:300]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A model of each kind, trained on the sample."""
    folder = tmp_path_factory.mktemp("pieces")
    lines = [line for text in sample_texts() for line in text.split("\n") if line.strip()]
    for kind in KINDS:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines), model_prefix=str(folder / kind), vocab_size=5000, model_type=kind,
            byte_fallback=True, character_coverage=0.99, num_threads=1, minloglevel=2, hard_vocab_limit=False,
        )  # fmt: skip
    return {kind: str(folder / f"{kind}.model") for kind in KINDS}


EDGES = [
    "",
    " ",
    "a  b\n\n c",
    "</s> <s> <unk> <|endoftext|>",
    "￥１２３ ﬁ ①",
    "👩‍👩‍👧 𠮷",
    "﻿x\u200by\x00z",
    "好" * 5000,
    "▁ _",
]


@pytest.mark.parametrize("kind", KINDS)
def test_counts_and_ids_are_those_of_the_package(models: dict[str, str], kind: str) -> None:
    """Whole documents and hard texts; symbols spelled out are ordinary characters; null has none."""
    package = sentencepiece.SentencePieceProcessor(model_file=models[kind])
    texts = [*sample_texts(), *EDGES]
    expected = [package.encode(text) for text in texts]
    column = pa.chunked_array(
        [pa.array(texts[:50], pa.large_string()), pa.array(texts[50:], pa.large_string())]
    )
    ids, starts = load_encoder(models[kind]).encode(column)
    assert [ids[a:b].tolist() for a, b in itertools.pairwise(starts)] == expected
    counted = STAGE.load(Config(tokenizer=models[kind]))(
        pa.table({"text": pa.array([*texts, None], pa.large_string())})
    )
    assert counted["n_tokens"].to_pylist() == [*map(len, expected), None]
    assert package.eos_id() not in {i for own in expected for i in own}
    stored = [np.frombuffer(value.as_buffer(), "<u4").tolist() for value in id_column(column, models[kind])]
    assert stored == expected


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=60), max_size=4))
def test_any_texts(models: dict[str, str], texts: list[str]) -> None:
    """Of any characters, and after pickling, as when it is sent to a worker."""
    texts = [text.encode("utf-8", "ignore").decode() for text in texts]
    for path in models.values():
        package = sentencepiece.SentencePieceProcessor(model_file=path)
        encoder = pickle.loads(pickle.dumps(load_encoder(path)))
        expected = [len(package.encode(text)) for text in texts]
        assert encoder.count(pa.array(texts, pa.large_string())).tolist() == expected


@pytest.mark.parametrize("kind", KINDS)
def test_token_files_are_read_back(models: dict[str, str], kind: str, tmp_path: Path) -> None:
    """Megatron's files have each document with the end symbol; the overview has coverage and fertility."""
    config = FilesConfig(tokenizer=models[kind], end_token="</s>", formats=("megatron",))
    texts = sample_texts()[:40]
    documents = pa.table(
        {"text": pa.array(texts, pa.large_string()), "language": pa.nulls(len(texts), pa.string())}
    )
    part = write_part(documents, str(tmp_path), "part-00000", config)
    package = sentencepiece.SentencePieceProcessor(model_file=models[kind])
    expected = [[*package.encode(text), package.eos_id()] for text in texts]
    assert [list(map(int, own)) for own in read_megatron(tmp_path / "part-00000")] == expected
    assert part["tokens"] == sum(map(len, expected))
    facts = describe(config)
    assert facts["vocabulary"] == package.get_piece_size() == facts["largest_id"] + 1
    assert 0 < overview([part], config)[0]["han_coverage"]["gb2312_level_1"] <= 1


def test_other_files_are_refused(tmp_path: Path) -> None:
    """A file of another format, a missing one and an unknown end token, in one line."""
    (tmp_path / "x.model").write_bytes(b'{"version": "1.0"}')
    with pytest.raises(ConfigError, match="name a SentencePiece model"):
        load_tokenizer(str(tmp_path / "x.model"))
    with pytest.raises(ConfigError, match="name a SentencePiece model"):
        load_tokenizer(str(tmp_path / "missing.model"))
