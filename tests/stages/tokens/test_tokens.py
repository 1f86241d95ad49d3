"""Token counts: known values, exactness, and what a tokenizer made for inference would spoil."""

from __future__ import annotations

import json
import pickle
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from pipeline.errors import ConfigError
from stages.tokens import STAGE, Config, count, encode, load_library

TOKENIZER = load_library(Config().tokenizer)
ANNOTATE = STAGE.load(Config())

MIXED = st.text(
    st.sampled_from(
        "我们的项目數據庫体、。「」 \n\r\t09aZé'`#<|>endoftext-\u3000\u00a0\u0301é한あア👍🏽\u200d𠮷"
    ),
    max_size=200,
)


def table(texts: Sequence[str | None]) -> pa.Table:
    """A batch with a text column."""
    return pa.table({"text": pa.array(texts, pa.large_string())})


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("我们的项目支持 MySQL 协议。", ["我们的", "项目", "支持", " MySQL", " ", "协议", "。"]),
        ("In 20241 it can't.", ["In", " ", "202", "41", " it", " can", "'t", "."]),
        ("def f(x):\n    return x\n", ["def", " f", "(x", "):\n", "   ", " return", " x", "\n"]),
    ],
)
def test_known_tokens(text: str, pieces: list[str]) -> None:
    """Han, Latin, digits and line breaks are cut where the tokenizer's card says."""
    assert [TOKENIZER.decode([token]) for token in encode(text, TOKENIZER)] == pieces
    assert count(text, TOKENIZER) == len(pieces)


@given(MIXED)
def test_tokens_spell_the_text(text: str) -> None:
    """Decoding the counted tokens gives the text back: nothing is added, cut off or normalised."""
    ids = encode(text, TOKENIZER)
    assert TOKENIZER.decode(ids, skip_special_tokens=False) == text
    assert len(ids) == count(text, TOKENIZER)


@settings(max_examples=40)
@given(st.lists(st.none() | MIXED, max_size=8), st.integers(0, 8))
def test_batch_boundaries_do_not_matter(texts: list[str | None], cut: int) -> None:
    """Annotating two parts gives the same rows as annotating the whole, and null texts get nulls."""
    whole = ANNOTATE(table(texts))
    parts = [ANNOTATE(table(texts[:cut])), ANNOTATE(table(texts[cut:]))]
    assert pa.concat_tables(parts).equals(whole)
    assert whole.schema == STAGE.writes
    assert [value is None for value in whole["n_tokens"].to_pylist()] == [text is None for text in texts]


def test_inference_settings_are_switched_off(tmp_path: Path) -> None:
    """Truncation, padding and a template with special tokens in a tokenizer.json do not change the count."""
    from tokenizers.processors import TemplateProcessing

    spoiled = Tokenizer.from_file(Config().tokenizer)
    end = "<|endoftext|>"
    spoiled.post_processor = TemplateProcessing(
        single=f"{end} $A {end}", special_tokens=[(end, spoiled.token_to_id(end))]
    )
    spoiled.enable_truncation(4)
    spoiled.enable_padding(length=64)
    path = tmp_path / "spoiled.json"
    spoiled.save(str(path))
    texts = ["一句普通的话，比四个词长得多。", "Short.", ""]
    expected = ANNOTATE(table(texts))
    assert STAGE.load(Config(tokenizer=str(path)))(table(texts)).equals(expected)
    assert expected["n_tokens"].to_pylist()[-1] == 0


def test_special_tokens_in_a_text_are_text() -> None:
    """A page that spells out the end-of-document token never contains that token."""
    end = TOKENIZER.token_to_id("<|endoftext|>")
    ids = encode("before <|endoftext|> after", TOKENIZER)
    assert end not in ids
    assert TOKENIZER.decode(ids) == "before <|endoftext|> after"


def test_han_does_not_explode() -> None:
    """Common Chinese takes less than one token a character, rare characters at most one a byte."""
    common = "市图书馆昨天宣布，从下个月起延长开放时间。工作日的闭馆时间推迟到晚上九点，周末则照旧。"
    assert count(common, TOKENIZER) < len(common)
    assert count("𠮷野家", TOKENIZER) <= len("𠮷野家".encode())


def test_long_text_without_blanks() -> None:
    """A long run of Han counts as its pieces of 16 characters do, and as much in front of Latin letters."""
    han, latin = "数据库系统概论" * 32_000, "abcdefgh" * 32_000
    assert count(han, TOKENIZER) == sum(count(han[i : i + 16], TOKENIZER) for i in range(0, len(han), 16))
    assert count(han + latin, TOKENIZER) == count(han, TOKENIZER) + count(latin, TOKENIZER)


def test_not_a_tokenizer(tmp_path: Path) -> None:
    """A file that is no tokenizer.json stops with its path and what to name instead."""
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"model": "x"}))
    with pytest.raises(ConfigError, match=r"config\.json.*name a tokenizer\.json"):
        STAGE.load(Config(tokenizer=str(path)))


def test_annotate_can_be_pickled() -> None:
    """Workers get the loaded stage by pickle and count the same."""
    texts = ["一句话 <|endoftext|>", "A sentence."]
    assert pickle.loads(pickle.dumps(ANNOTATE))(table(texts)).equals(ANNOTATE(table(texts)))


def test_shipped_file_is_small() -> None:
    """The shipped tokenizer stays a small part of the package, with every byte in its vocabulary."""
    path = Path(Config().tokenizer)
    assert path.stat().st_size < 1_500_000
    assert 16_000 <= TOKENIZER.get_vocab_size() <= 24_000
    assert TOKENIZER.decode(encode("".join(map(chr, range(0x80, 0x800))), TOKENIZER)) == "".join(
        map(chr, range(0x80, 0x800))
    )


def test_golden(golden) -> None:  # type: ignore[no-untyped-def]  # fixture of conftest
    """Known English and Chinese documents keep their known values."""
    golden.check(STAGE, Config())
