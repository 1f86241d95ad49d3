"""Read Parquet and MDS token files with the loaders that other environments have, and compare both with each other.

For environments whose pins conflict with ours: needs numpy, and pyarrow with mosaicml-streaming (MDS) or litdata and
polars (Parquet), and imports nothing of this repository, so it may be run as a file. The folder is `tokens/<mix>` of a
release with the formats parquet and mds, not packed; the ids of each document are written to a file by
one environment (--write) and compared by the others.

    mds/bin/python scripts/bench/read_token_files.py store/releases/v1/tokens/zh50 --ids ids.npz --write
    lit/bin/python scripts/bench/read_token_files.py store/releases/v1/tokens/zh50 --ids ids.npz
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np


def by_streaming(folder: Path) -> list[np.ndarray]:
    """Documents of the MDS files by MosaicML's StreamingDataset, unshuffled."""
    from streaming import StreamingDataset

    dataset = StreamingDataset(local=str(folder), shuffle=False, batch_size=1)
    return [np.asarray(dataset[i]["tokens"]) for i in range(len(dataset))]


def by_litdata(folder: Path) -> list[np.ndarray]:
    """Documents of the Parquet files by litdata's StreamingDataset, unshuffled; its index is written to a copy."""
    litdata: Any = importlib.import_module("litdata")  # of an environment of its own

    with tempfile.TemporaryDirectory() as copy:
        for path in sorted(folder.glob("part-*.parquet")):
            shutil.copy(path, copy)
        litdata.index_parquet_dataset(copy)
        index = (
            Path(copy) / "index.json"
        )  # its files are in the order of the directory: put them into that of the mix
        page = json.loads(index.read_text("utf-8"))
        page["chunks"].sort(key=lambda chunk: chunk["filename"])
        index.write_text(json.dumps(page), "utf-8")
        loader = litdata.streaming.item_loader.ParquetLoader()
        dataset = litdata.StreamingDataset(copy, item_loader=loader, shuffle=False)
        return [np.asarray(dataset[i]["input_ids"]) for i in range(len(dataset))]


def main() -> None:
    """Read with what is installed; write or compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--ids", type=Path, required=True)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    readers = {"streaming": by_streaming, "litdata": by_litdata}
    found = {name: read(options.folder) for name, read in readers.items() if importlib.util.find_spec(name)}
    if not found:
        parser.error("neither streaming nor litdata is installed")
    if options.write:
        rows = next(iter(found.values()))
        np.savez(options.ids, flat=np.concatenate(rows), lengths=[len(row) for row in rows])
    stored = np.load(options.ids)
    expected = np.split(stored["flat"], np.cumsum(stored["lengths"])[:-1])
    total = json.loads((options.folder / "tokens.json").read_text("utf-8"))["tokens"]
    for name, rows in found.items():
        same = len(rows) == len(expected) and all(map(np.array_equal, rows, expected))
        print(f"{name}: {len(rows):,} documents, {sum(map(len, rows)):,} of {total:,} tokens, equal: {same}")
        assert same and sum(map(len, rows)) == total


if __name__ == "__main__":
    main()
