"""Read a mix of a release by position in training order: its texts, or fixed-length sequences of its tokens.

Needs PyArrow and NumPy only. Positions count from 0 and depend on the release alone, not on who reads.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

IDX_HEADER = np.dtype(
    [("magic", "S9"), ("version", "<u8"), ("dtype", "u1"), ("n_sequences", "<u8"), ("n_documents", "<u8")]
)


def share(n_items: int, start: int, rank: int, world_size: int) -> range:
    """Positions of one rank: every world_size-th one from `start`, as many for each rank.

    Up to world_size - 1 positions at the end are left out, so that all ranks take the same number of steps.
    """
    n_each = (n_items - start) // world_size
    return range(start + rank, start + n_each * world_size, world_size)


def of_worker(positions: range, batch_size: int, worker: int, n_workers: int) -> Iterator[int]:
    """The positions of a rank that one worker of its DataLoader reads: every n_workers-th batch.

    A DataLoader takes batches from its workers in turn, so the rank sees its positions in order.
    """
    for begin in range(worker * batch_size, len(positions), n_workers * batch_size):
        yield from positions[begin : begin + batch_size]


class Texts:
    """Documents of `mixes/<mix>/part-*.parquet`; position: the document's place in the training order."""

    def __init__(self, release: str | Path, mix: str, columns: tuple[str, ...] = ("doc_id", "text")) -> None:
        folder = Path(release, "mixes", mix)
        self.columns = list(columns)
        self.paths = sorted(folder.glob("part-*.parquet"))
        if not self.paths:
            raise FileNotFoundError(f"{folder}: no parts with text; build the mix with `materialise: true`")
        metas = [pq.read_metadata(path) for path in self.paths]
        self.groups = [(i, g) for i, meta in enumerate(metas) for g in range(meta.num_row_groups)]
        sizes = [metas[i].row_group(g).num_rows for i, g in self.groups]
        self.ends = np.cumsum(sizes)

    def __len__(self) -> int:
        return int(self.ends[-1])

    def read(self, positions: Iterator[int]) -> Iterator[dict[str, Any]]:  # Any: values of the columns
        """Yield the documents at ascending positions; each row group that holds one is read once."""
        current, begin, table = -1, 0, None
        for position in positions:
            group = int(np.searchsorted(self.ends, position, side="right"))
            if group != current:
                part, number = self.groups[group]
                with pq.ParquetFile(self.paths[part]) as file:
                    table = file.read_row_group(number, columns=self.columns)
                current, begin = group, int(self.ends[group]) - table.num_rows
            assert table is not None
            yield {"position": position, **table.slice(position - begin, 1).to_pylist()[0]}


class Tokens:
    """Sequences of `tokens/<mix>/part-*.bin`; sequence n holds the tokens [n * length, (n + 1) * length) of the mix.

    Documents follow each other in training order, each with its end token, across the files; the tokens after the last
    whole sequence are left out. `bicorpus locate --sequence-length` counts the same way.
    """

    def __init__(self, release: str | Path, mix: str, length: int) -> None:
        folder = Path(release, "tokens", mix)
        self.length = length
        facts = json.loads((folder / "tokens.json").read_text("utf-8"))
        self.dtype = np.dtype("<u2" if facts["token_bytes"] == 2 else "<i4")
        self.paths = sorted(folder.glob("part-*.bin"))
        self.starts = [_document_starts(path.with_suffix(".idx")) for path in self.paths]
        self.n_documents = np.array([0, *(len(starts) for starts in self.starts)]).cumsum()
        self.ends = np.cumsum([path.stat().st_size // self.dtype.itemsize for path in self.paths])

    def __len__(self) -> int:
        return int(self.ends[-1]) // self.length

    def read(self, positions: Iterator[int]) -> Iterator[dict[str, Any]]:  # Any: an int, and arrays
        """Yield `position`, `tokens` and `documents`, int64 (length,) each, of the sequences at these positions.

        documents: for each token, the position of its document in the training order.
        """
        files = [np.memmap(path, self.dtype, mode="r") for path in self.paths]
        for position in positions:
            first, last = position * self.length, (position + 1) * self.length
            tokens, documents = [], []
            part = int(np.searchsorted(self.ends, first, side="right"))
            while first < last:
                begin = int(self.ends[part]) - len(files[part])
                here = np.arange(first, min(last, int(self.ends[part]))) - begin
                tokens.append(files[part][here[0] : here[-1] + 1].astype(np.int64))
                offsets = here * self.dtype.itemsize
                number = np.searchsorted(self.starts[part], offsets, side="right") - 1
                documents.append(number + self.n_documents[part])
                first, part = first + len(here), part + 1
            yield {
                "position": position,
                "tokens": np.concatenate(tokens),
                "documents": np.concatenate(documents),
            }


def _document_starts(path: Path) -> np.ndarray:
    """Byte offsets in the .bin file at which its documents begin: int64 (n_documents,), from the .idx file."""
    header = np.fromfile(path, IDX_HEADER, count=1)[0]
    n = int(header["n_sequences"])
    if header["magic"] != b"MMIDIDX" or header["version"] != 1:
        raise ValueError(f"{path}: not an index of Megatron's version 1")
    return np.fromfile(path, "<i8", count=n, offset=IDX_HEADER.itemsize + 4 * n)  # after n lengths of 4 bytes
