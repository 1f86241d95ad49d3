"""Token files: datatrove's formats, read back, hold the mix's documents in training order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tokenizers import AddedToken, Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel

from pipeline.errors import ConfigError
from pipeline.schema import TOKEN_IDS
from stages.tokens import Config as CountConfig
from stages.tokens import encode, load_tokenizer
from stages.tokens.files import Config, describe, token_bytes, write_part
from stages.tokens.ids import id_column, id_rows
from tests.helpers.build import build, tiny, write_run

TEXTS = ["春天来了，柳树发芽。", "Spring has come.", "<|endoftext|> is only text here", ""]
CONFIG = Config(tokenizer=CountConfig().tokenizer, formats=("megatron", "ds"))


def read_megatron(path: Path) -> list[np.ndarray]:
    """Documents of a .bin/.idx pair, by the layout that Megatron-LM documents."""
    index = path.with_suffix(".idx").read_bytes()
    assert index[:9] == b"MMIDIDX\x00\x00"
    assert int.from_bytes(index[9:17], "little") == 1
    dtype = {8: np.uint16, 4: np.int32}[index[17]]
    n_docs = int.from_bytes(index[18:26], "little")
    lengths = np.frombuffer(index, np.int32, n_docs, 34)
    pointers = np.frombuffer(index, np.int64, n_docs, 34 + 4 * n_docs)
    data = path.with_suffix(".bin").read_bytes()
    return [np.frombuffer(data, dtype, n, p) for n, p in zip(lengths, pointers, strict=True)]


def test_both_formats_hold_every_text_and_its_end(tmp_path: Path) -> None:
    """Each document is its tokens and one end token, in order; a text that spells the end token is text."""
    documents = pa.table({"text": pa.array(TEXTS, pa.large_string())})
    n_tokens = write_part(documents, str(tmp_path), "part", CONFIG)
    tokenizer = load_tokenizer(CONFIG.tokenizer)
    expected = [[*encode(text, tokenizer), tokenizer.token_to_id("<|endoftext|>")] for text in TEXTS]
    assert [d.tolist() for d in read_megatron(tmp_path / "part")] == expected
    flat = np.frombuffer((tmp_path / "part.ds").read_bytes(), np.uint16)
    ends = np.frombuffer((tmp_path / "part.ds.index").read_bytes(), np.uint64)
    assert [d.tolist() for d in np.split(flat, ends[:-1].astype(int))] == expected
    assert n_tokens == len(flat) == ends[-1]


def test_what_a_training_job_must_know() -> None:
    """The description names the tokenizer by digest, and the width of a token follows the vocabulary."""
    facts = describe(CONFIG)
    assert (facts["token_bytes"], facts["end_token_id"]) == (2, 0) == (token_bytes(CONFIG), 0)
    assert len(facts["tokenizer_sha256"]) == 64


def tokenizer_with(path: Path, ids: dict[str, int], added: tuple[str, ...] = ()) -> str:
    """A tokenizer.json of the 256 bytes, further tokens with these ids, and added special tokens."""
    alphabet = sorted(ByteLevel.alphabet())
    tokenizer = Tokenizer(BPE({**{char: i for i, char in enumerate(alphabet)}, **ids}, []))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.add_special_tokens([*(AddedToken(name, special=True) for name in (*ids, *added))])
    tokenizer.save(str(path))
    return str(path)


@pytest.mark.parametrize(
    ("ids", "added", "width"),
    [
        ({"<|endoftext|>": 256}, (), 2),
        ({"<|endoftext|>": 65_535}, (), 2),
        ({"<|endoftext|>": 65_536}, (), 4),
        ({"<|endoftext|>": 70_000}, (), 4),
        ({"<|endoftext|>": 256, "<|pad|>": 100_000}, (), 4),
        ({"<|endoftext|>": 256, "字": 65_535}, ("<|im_end|>",), 2),
    ],
)
def test_the_width_of_a_token_follows_the_largest_id(
    tmp_path: Path, ids: dict[str, int], added: tuple[str, ...], width: int
) -> None:
    """A small vocabulary with a large special id takes 4 bytes, and its files hold every id."""
    config = Config(tokenizer=tokenizer_with(tmp_path / "t.json", ids, added), formats=("megatron", "ds"))
    facts = describe(config)
    assert (facts["token_bytes"], facts["largest_id"]) == (width, max(ids.values()))
    documents = pa.table({"text": pa.array(["ab", "字"], pa.large_string())})
    write_part(documents, str(tmp_path), "part", config)
    tokenizer = load_tokenizer(config.tokenizer)
    expected = [[*encode(text, tokenizer), ids["<|endoftext|>"]] for text in ("ab", "字")]
    assert [d.tolist() for d in read_megatron(tmp_path / "part")] == expected
    flat = np.frombuffer((tmp_path / "part.ds").read_bytes(), np.uint16 if width == 2 else np.uint32)
    assert flat.tolist() == [token for document in expected for token in document]


@pytest.mark.parametrize("settings", [{"formats": ("npy",)}, {"end_token": "<eos>"}])
def test_bad_settings_are_refused(settings: dict[str, Any]) -> None:
    """An unknown format or end token is an error before any work."""
    with pytest.raises(ConfigError, match=r"expected some of|has no token"):
        Config(tokenizer=CONFIG.tokenizer, **settings)


def test_a_release_s_token_files_follow_its_mixes(tmp_path: Path) -> None:
    """Documents of the token files are those of each mix's parts, in order, with as many tokens as were counted; the
    ids that were exchanged are not written beside the texts."""
    mixes: dict[str, Any] = {"natural": {}, "again": {"materialise": True}}
    page = tiny(
        tmp_path, annotate=["stages.tokens"], mix={"mixes": mixes}, tokens={"mixes": ["natural", "again"]}
    )
    record = build(write_run(tmp_path, page), tmp_path / "store")
    release = tmp_path / "store" / record["release"]
    for mix in mixes:
        parts = sorted((release / "mixes" / mix).glob("part-*.parquet"))
        assert len(parts) == len(list((release / "tokens" / mix).glob("*.bin"))) > 0
        for part in parts:
            table = pq.read_table(part)
            assert TOKEN_IDS not in table.column_names
            documents = read_megatron(release / "tokens" / mix / part.stem)
            assert [len(document) - 1 for document in documents] == table["n_tokens"].to_pylist()
            assert all(document[-1] == 0 for document in documents)


def test_ids_are_a_column_of_any_batching() -> None:
    """Ids of a column are those of the library, however the texts are grouped, and are read back as they are."""
    texts = pa.chunked_array(
        [pa.array(TEXTS, pa.large_string()), pa.array(["a" * 9, "", "b"], pa.large_string())]
    )
    column = id_column(texts.combine_chunks().slice(1), CONFIG.tokenizer)
    tokenizer = load_tokenizer(CONFIG.tokenizer)
    expected = [encode(text, tokenizer) for text in texts.to_pylist()]
    assert [ids.tolist() for ids in id_rows(pa.table({TOKEN_IDS: column}), "none")] == expected[1:]
    assert [ids.tolist() for ids in id_rows(pa.table({"text": texts}), CONFIG.tokenizer)] == expected
