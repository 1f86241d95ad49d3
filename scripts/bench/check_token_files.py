"""Read the token files of a release with the readers of the frameworks, and compare them with its texts.

Every format is read by its own library where it is installed (torch for datatrove's dataset, mosaicml-streaming for
MDS, whose pins conflict with ours: use an environment of its own), and by the independent readers of the tests. The
texts of the mix are tokenised by the tokenizers library.

Example: python -m scripts.bench.check_token_files store/releases/v1 zh50 --tokenizer tokenizer.json
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from stages.tokens import Config as CountConfig
from stages.tokens import encode, load_tokenizer
from stages.tokens.files import FORMATS, Config, describe, overview, write_part
from tests.helpers.token_readers import read_ds, read_mds, read_megatron, read_parquet


def expected_tokens(mix: Path, tokenizer_path: str, end: int) -> list[list[int]]:
    """Tokens of each document of a mix in training order, by the tokenizers library, each with the end token."""
    tokenizer = load_tokenizer(tokenizer_path)
    return [
        [*encode(text, tokenizer), end]
        for part in sorted(mix.glob("part-*.parquet"))
        for text in texts_of(part)
    ]


def texts_of(part: Path) -> Iterator[str]:
    """Texts of one file of a mix."""
    for value in pq.read_table(part, columns=["text"])["text"]:
        yield value.as_py()


def write_again(mix: Path, folder: Path, config: Config) -> None:
    """Write the token files of a mix anew, with another tokenizer or packing than those of the release."""
    folder.mkdir(parents=True)
    summaries = []
    for part in sorted(mix.glob("part-*.parquet")):
        documents = pq.read_table(part, columns=["text", "language"])
        summaries.append(write_part(documents, str(folder), part.stem, config))
    facts, pages = overview(summaries, config)
    page = {**describe(config), **facts, "parts": [part.stem for part in sorted(mix.glob("part-*.parquet"))]}
    for name, text in {**pages, "tokens.json": json.dumps(page, indent=1, ensure_ascii=False)}.items():
        (folder / name).write_text(text, "utf-8")


def check(folder: Path, expected: list[list[int]]) -> dict[str, Any]:
    """Compare every format in a folder with the expected documents; returns what was read, by reader.

    Raises: AssertionError for the first that differs.
    """
    page = json.loads((folder / "tokens.json").read_text("utf-8"))
    names = [part if isinstance(part, str) else part["part"] for part in page["parts"]]
    packed, read = bool(page["pack"]), dict[str, Any]()
    flat = [token for document in expected for token in document]
    if "megatron" in page["formats"]:
        assert [row for name in names for row in read_megatron(folder / name)] == expected
        read["megatron, independent reader"] = len(expected)
    if "ds" in page["formats"]:
        assert [row for name in names for row in read_ds(folder / name, page["token_bytes"])] == expected
        read["ds, independent reader"] = len(expected)
        if importlib.util.find_spec("torch"):
            read["ds, DatatroveFolderDataset"] = check_datatrove(folder, names, page["token_bytes"])
    for format_ in {"parquet", "mds"} & set(page["formats"]):
        if format_ == "parquet":
            rows = [row for name in names for row in read_parquet(folder / name)]
            items = [row["input_ids"][: row.get("n_tokens")] for row in rows]
        else:
            items = [row["tokens"][: row["n_tokens"][0] if packed else None] for row in read_mds(folder)]
        if not packed:
            assert items == expected
        elif page["pack"] == "stream":
            assert [token for item in items for token in item] == flat
        else:
            assert sorted(token for item in items for token in item) == sorted(flat)
        read[f"{format_}, independent reader"] = len(items)
        if format_ == "mds" and importlib.util.find_spec("streaming"):
            read["mds, StreamingDataset"] = check_streaming(folder, items)
    return read


def check_datatrove(folder: Path, names: list[str], token_bytes: int, length: int = 511) -> int:
    """Compare datatrove's own dataset with the files; returns its number of sequences."""
    from datatrove.utils.dataset import DatatroveFileDataset

    n = 0
    for name in names:
        flat = np.fromfile(folder / f"{name}.ds", "<u2" if token_bytes == 2 else "<u4").astype(np.int64)
        dataset = DatatroveFileDataset(str(folder / f"{name}.ds"), length, token_bytes)
        for i in range(len(dataset)):
            assert np.array_equal(
                dataset[i]["input_ids"].numpy(), flat[i * (length + 1) : (i + 1) * (length + 1)]
            )
        n += len(dataset)
    return n


def check_streaming(folder: Path, items: list[list[int]]) -> int:
    """Compare MosaicML's StreamingDataset, unshuffled, with the samples; returns their number."""
    from streaming import StreamingDataset

    dataset = StreamingDataset(local=str(folder), shuffle=False, batch_size=1)
    assert len(dataset) == len(items)
    for i, item in enumerate(items):
        assert dataset[i]["tokens"][: len(item)].tolist() == item
    return len(items)


def main() -> None:
    """Check a release as it is, or its mix written anew with each tokenizer given."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("release", type=Path)
    parser.add_argument("mix")
    parser.add_argument("--tokenizer", nargs="*", default=[CountConfig().tokenizer])
    parser.add_argument("--end-token", nargs="*", default=["<|endoftext|>"])
    parser.add_argument("--out", type=Path, required=True, help="folder to write into; must not exist")
    options = parser.parse_args()
    mix = options.release / "mixes" / options.mix
    for number, (path, end_token) in enumerate(zip(options.tokenizer, options.end_token, strict=True)):
        started = time.process_time()
        end = load_tokenizer(path).token_to_id(end_token)
        if end is None:
            parser.error(f"{path} has no token {end_token!r}")
        expected = expected_tokens(mix, path, end)
        for pack in ("", "stream", "best_fit"):
            folder = options.out / f"{number}-{pack or 'documents'}"
            config = Config(
                tokenizer=path, end_token=end_token, formats=FORMATS if not pack else ("parquet", "mds"), pack=pack,
                sequence_length=2048 if pack else 0, document_masks=bool(pack),
            )  # fmt: skip
            write_again(mix, folder, config)
            read = check(folder, expected)
            page = json.loads((folder / "tokens.json").read_text("utf-8"))
            print(
                path,
                f"largest id {page['largest_id']:,}",
                pack or "documents",
                f"{sum(map(len, expected)):,} tokens",
            )
            print("  equal:", ", ".join(f"{name} {n:,}" for name, n in sorted(read.items())))
            if not pack:
                print("  languages:", json.dumps(page["languages"], ensure_ascii=False))
                print("  Han:", page["han_coverage"])
        print(f"  {time.process_time() - started:.0f} s CPU")


if __name__ == "__main__":
    main()
