"""Token files: every format, read back, holds the mix's documents in training order."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datatrove.pipeline.tokens.megatron_tokenizer import MegatronTokenizedFile
from datatrove.pipeline.tokens.tokenizer import TokenizedFile
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel

from pipeline.errors import ConfigError
from pipeline.inspect.verify import verify_files
from pipeline.schema import TOKEN_IDS
from pipeline.storage.store import open_store
from stages.tokens import Config as CountConfig
from stages.tokens import encode, fertility, load_tokenizer
from stages.tokens.files import FORMATS, Config, describe, overview, token_bytes, write_part
from stages.tokens.formats import DsFile, MegatronFile, Target
from stages.tokens.ids import id_column, id_rows
from stages.tokens.packing import METHODS, pack, whole
from tests.helpers.build import build, tiny, write_run
from tests.helpers.token_readers import read_ds, read_mds, read_megatron, read_parquet

TEXTS = ["春天来了，柳树发芽。", "Spring has come.", "<|endoftext|> is only text here", ""]
CONFIG = Config(tokenizer=CountConfig().tokenizer, formats=("megatron", "ds"))


def documents(texts: list[str], languages: list[str | None] | None = None) -> pa.Table:
    """Rows of a mix with these texts."""
    return pa.table(
        {
            "text": pa.array(texts, pa.large_string()),
            "language": pa.array(languages or [None] * len(texts), pa.string()),
        }
    )


def written(folder: Path, texts: list[str], config: Config) -> dict[str, Any]:
    """Write one part and the pages of its mix; returns the summary of the part."""
    summary = write_part(documents(texts), str(folder), "part", config)
    for name, text in overview([summary], config)[1].items():
        (folder / name).write_text(text)
    return summary


def tokens_of(texts: list[str], config: Config) -> list[list[int]]:
    """The tokens of each text and its end token."""
    tokenizer = load_tokenizer(config.tokenizer)
    return [[*encode(text, tokenizer), tokenizer.token_to_id("<|endoftext|>") or 0] for text in texts]


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Three tokenizers: ours, one of bytes, and one of bytes whose ids exceed 65,536."""
    folder = tmp_path_factory.mktemp("tokenizers")
    large = tokenizer_with(folder / "large.json", {"<|endoftext|>": 256}, first=70_000)
    small = tokenizer_with(folder / "bytes.json", {"<|endoftext|>": 256})
    return {"ours": CONFIG.tokenizer, "large": large, "bytes": small}


@pytest.mark.parametrize("name", ["ours", "large", "bytes"])
def test_every_format_holds_every_text_and_its_end(
    tmp_path: Path, tokenizers: dict[str, str], name: str
) -> None:
    """Each document is its tokens and one end token, in order; a text that spells the end token is text."""
    config = Config(tokenizer=tokenizers[name], formats=FORMATS)
    summary = written(tmp_path, TEXTS, config)
    expected = tokens_of(TEXTS, config)
    width = token_bytes(config)
    assert (max(map(max, expected)) > 65_536, width) == ((True, 4) if name == "large" else (False, 2))
    assert read_megatron(tmp_path / "part") == expected
    assert read_ds(tmp_path / "part", width) == expected
    assert [row["input_ids"] for row in read_parquet(tmp_path / "part")] == expected
    assert [sample["tokens"] for sample in read_mds(tmp_path)] == expected
    assert summary["tokens"] == sum(map(len, expected))


def test_megatron_and_ds_files_are_datatrove_s(tmp_path: Path) -> None:
    """The same bytes as datatrove's writers, for both widths."""
    for size in (2, 4):
        rows = [np.arange(n, dtype=np.int32) * 7 for n in (3, 1, 250)]
        target = Target(str(tmp_path), "ours", size)
        files: list[MegatronFile | DsFile] = [MegatronFile(target), DsFile(target)]
        theirs = [
            MegatronTokenizedFile(str(tmp_path), "theirs", token_size=size),
            TokenizedFile(str(tmp_path), "theirs.ds", token_size=size),
        ]
        for i, ids in enumerate(rows):
            for file in files:
                file.write(whole(i, ids))
            theirs[0].write(ids.tolist())
            theirs[1].write_bytes(ids.astype("<u2" if size == 2 else "<u4").tobytes())
        for file in (*files, *theirs):
            file.close()
        for ending in ("bin", "idx", "ds", "ds.index"):
            assert (tmp_path / f"ours.{ending}").read_bytes() == (tmp_path / f"theirs.{ending}").read_bytes()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 40), max_size=60), st.integers(1, 17), st.sampled_from(METHODS))
def test_packing_loses_and_repeats_no_token(lengths: list[int], length: int, method: str) -> None:
    """Every token is in one sequence, in the order of its document; sequences are full, or end in padding."""
    rows = [(i, np.arange(n) + 1000 * (i + 1)) for i, n in enumerate(lengths)]
    sequences = list(pack(rows, length, method, -1))
    parts: dict[int, list[int]] = {row: [] for row, _ in rows}
    for sequence in sequences:
        assert len(sequence.ids) == length
        assert (sequence.ids[sequence.n_tokens :] == -1).all() and (
            sequence.ids[: sequence.n_tokens] >= 0
        ).all()
        for row, first, last in zip(
            sequence.documents, sequence.bounds[:-1], sequence.bounds[1:], strict=True
        ):
            parts[row] += sequence.ids[first:last].tolist()
    if method == "stream":
        assert {row: part for row, part in parts.items()} == {row: ids.tolist() for row, ids in rows}
        assert len(sequences) == -(-sum(lengths) // length)
    else:
        assert {row: sorted(part) for row, part in parts.items()} == {row: ids.tolist() for row, ids in rows}
        whole_ones = [row for row, ids in rows if len(ids) <= length]
        for row in whole_ones:  # a document that fits is never cut
            assert sum(row in sequence.documents for sequence in sequences) == 1


def test_packed_files_have_the_boundaries_of_documents(tmp_path: Path) -> None:
    """Parquet and MDS hold the same packed sequences; boundaries and documents lead back to each text's tokens."""
    texts = TEXTS * 9
    for method in METHODS:
        config = Config(
            tokenizer=CONFIG.tokenizer, formats=FORMATS, pack=method, sequence_length=16, document_masks=True
        )
        folder = tmp_path / method
        folder.mkdir()
        summary = written(folder, texts, config)
        rows, samples = read_parquet(folder / "part"), read_mds(folder)
        expected = tokens_of(texts, config)
        assert read_megatron(folder / "part") == expected  # documents, never packed
        assert [row["input_ids"] for row in rows] == [sample["tokens"] for sample in samples]
        for name in ("cu_seqlens", "documents"):
            assert [row[name] for row in rows] == [sample[name] for sample in samples]
        assert [[row["n_tokens"]] for row in rows] == [sample["n_tokens"] for sample in samples]
        assert sum(row["n_tokens"] for row in rows) == summary["tokens"]
        found: dict[int, list[int]] = {}
        for row in rows:
            for document, first, last in zip(
                row["documents"], row["cu_seqlens"], row["cu_seqlens"][1:], strict=False
            ):
                found.setdefault(document, []).extend(row["input_ids"][first:last])
        if method == "stream":
            assert found == dict(enumerate(expected))
        assert sorted(itertools.chain(*found.values())) == sorted(itertools.chain(*expected))
    metadata = pq.read_schema(folder / "part.parquet").metadata
    assert metadata[b"bicorpus.tokenizer_sha256"].decode() == describe(config)["tokenizer_sha256"]


def test_fertility_by_language(tokenizers: dict[str, str]) -> None:
    """Tokens per character and the share of Han characters with a token of their own, from the texts alone."""
    config = Config(tokenizer=tokenizers["bytes"])
    table = documents(["汉字ab", "abcd", "字"], ["zho_Hans", "eng_Latn", "zho_Hans"])
    lengths = np.array([8, 4, 3])
    tally = fertility.tally(table["text"], table["language"], lengths, load_tokenizer(config.tokenizer))
    rows = fertility.summary([tally, {"eng_Latn": [1, 6, 6, 6, 0, 0]}])
    assert (rows["zho_Hans"]["tokens_per_char"], rows["zho_Hans"]["han_single_share"]) == (2.2, 0.0)
    assert (rows["eng_Latn"]["documents"], rows["eng_Latn"]["bytes_per_token"]) == (2, 1.0)
    assert rows["eng_Latn"]["han_single_share"] is None
    ours = fertility.coverage(load_tokenizer(CONFIG.tokenizer))
    assert set(fertility.coverage(load_tokenizer(config.tokenizer)).values()) == {0.0}
    assert ours["gb2312_level_1"] > 0.6 > ours["gb2312_level_2"]


def test_what_a_training_job_must_know() -> None:
    """The description names the tokenizer by digest, and the width of a token follows the vocabulary."""
    facts = describe(CONFIG)
    assert (facts["token_bytes"], facts["end_token_id"]) == (2, 0) == (token_bytes(CONFIG), 0)
    assert len(facts["tokenizer_sha256"]) == 64


def tokenizer_with(path: Path, ids: dict[str, int], added: tuple[str, ...] = (), first: int = 0) -> str:
    """A tokenizer.json of the 256 bytes from id `first` on, further tokens with these ids, and added special ones."""
    alphabet = sorted(ByteLevel.alphabet())
    tokenizer = Tokenizer(BPE({**{char: first + i for i, char in enumerate(alphabet)}, **ids}, []))
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
    write_part(documents(["ab", "字"]), str(tmp_path), "part", config)
    expected = tokens_of(["ab", "字"], config)
    assert read_megatron(tmp_path / "part") == expected
    assert read_ds(tmp_path / "part", width) == expected


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"formats": ("npy",)}, "expected some of"),
        ({"end_token": "<eos>"}, "has no token"),
        ({"pack": "first_fit", "sequence_length": 8}, "expected one of"),
        ({"pack": "stream"}, "set both, or neither"),
        ({"pack": "stream", "sequence_length": 8}, "cut sequences themselves"),
        ({"document_masks": True}, "cut sequences themselves"),
    ],
)
def test_bad_settings_are_refused(values: dict[str, Any], reason: str) -> None:
    """Settings that are unknown or do not go together are an error before any work."""
    with pytest.raises(ConfigError, match=reason):
        Config(tokenizer=CONFIG.tokenizer, **values)


def test_a_release_s_token_files_follow_its_mixes(tmp_path: Path) -> None:
    """Documents of the token files are those of each mix's parts, in order, with as many tokens as were counted; the
    ids that were exchanged are not written beside the texts."""
    mixes: dict[str, Any] = {"natural": {}, "again": {"materialise": True}}
    page = tiny(
        tmp_path,
        annotate=["stages.tokens"],
        mix={"mixes": mixes},
        tokens={
            "mixes": ["natural", "again"],
            "config": {
                "formats": list(FORMATS),
                "pack": "best_fit",
                "sequence_length": 64,
                "document_masks": True,
            },
        },
    )
    record = build(write_run(tmp_path, page), tmp_path / "store")
    release = tmp_path / "store" / record["release"]
    parts = sorted((release / "mixes/natural").glob("part-*.parquet"))
    assert len(parts) == len(list((release / "tokens/natural").glob("*.bin"))) > 0
    sequences = 0
    for part in parts:
        assert TOKEN_IDS not in pq.read_schema(part).names
        counts = pq.read_table(part, columns=["n_tokens"])["n_tokens"].to_pylist()
        rows = read_megatron(release / "tokens/natural" / part.stem)
        assert [len(row) - 1 for row in rows] == counts
        assert all(row[-1] == 0 for row in rows)
        sequences += len(read_parquet(release / "tokens/natural" / part.stem))
    assert len(read_mds(release / "tokens/natural")) == sequences
    for part in sorted((release / "mixes/again").glob("part-*.parquet")):
        rows = read_megatron(release / "tokens/again" / part.stem)
        assert [len(row) - 1 for row in rows] == pq.read_table(part)["n_tokens"].to_pylist()
    n_kept = json.loads((release / "lineage.json").read_text())["counts"]["kept"]
    page = json.loads((release / "tokens/natural/tokens.json").read_text())
    n_documents = sum(row["documents"] for row in page["languages"].values())
    assert n_documents == sum(row["documents"] for row in page["parts"]) == n_kept
    assert 0.6 < page["han_coverage"]["gb2312_level_1"] <= 1
    assert verify_files(open_store(release)).passed


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
