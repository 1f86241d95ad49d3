"""Token files in the formats of training frameworks, written one sequence at a time.

A document is written whole to Megatron's and datatrove's files, whose loaders cut sequences themselves. Parquet and MDS
files contain documents, or packed sequences of one length (`packing.py`). Token ids are little-endian.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stages.tokens.packing import Sequence as Packed

MEGATRON_MAGIC = b"MMIDIDX\x00\x00"
MEGATRON_DTYPES = {2: 8, 4: 4}
"""Code of the element type in the .idx file: 8 is uint16, 4 is int32 (DType of Megatron's indexed_dataset)."""

ROW_GROUP_TOKENS = 1 << 20
MDS_SHARD_BYTES = 1 << 26
"""64 MiB, the default of MosaicML's writer; offsets inside a shard are uint32."""


def token_dtype(token_bytes: int) -> np.dtype[Any]:
    """The element type of ids in files: uint16, or int32 as PyTorch and Megatron read it."""
    return np.dtype("<u2" if token_bytes == 2 else "<i4")


class SequenceFile(Protocol):
    """A file that is being written."""

    def write(self, sequence: Packed) -> None:
        """Append one document, or one packed sequence."""

    def close(self) -> dict[str, Any]:  # Any: plain JSON
        """Finish the file and return what the page of the mix needs of it."""


@dataclass(frozen=True)
class Target:
    """Where and how to write. token_bytes: 2 or 4; length: of packed sequences, 0 for documents; masks: whether the
    boundaries of documents are written; facts: strings for the files' own metadata."""

    folder: str
    name: str
    token_bytes: int
    length: int = 0
    masks: bool = False
    facts: tuple[tuple[str, str], ...] = ()

    def path(self, ending: str) -> str:
        """The path of a file of this part."""
        return os.path.join(self.folder, f"{self.name}.{ending}")


class MegatronFile:
    """`.bin`: the ids of all documents; `.idx`: their lengths and offsets.

    Source: the layout of megatron/core/datasets/indexed_dataset.py, version 1.
    """

    def __init__(self, target: Target) -> None:
        self.target, self.lengths = target, list[int]()
        self.dtype = token_dtype(target.token_bytes)
        self.stream = open(target.path("bin"), "wb")

    def write(self, sequence: Packed) -> None:
        """Append a document."""
        self.stream.write(sequence.ids.astype(self.dtype).tobytes())
        self.lengths.append(len(sequence.ids))

    def close(self) -> dict[str, Any]:
        """Write the index: each document is one sequence, and its own document."""
        self.stream.close()
        n, size = len(self.lengths), self.target.token_bytes
        lengths = np.array(self.lengths, "<i4")
        ends = np.cumsum(lengths, dtype=np.int64) * size
        header = struct.pack("<9sQBQQ", MEGATRON_MAGIC, 1, MEGATRON_DTYPES[size], n, n + 1)
        with open(self.target.path("idx"), "wb") as stream:
            for block in (
                lengths,
                (ends - lengths.astype(np.int64) * size).astype("<i8"),
                np.arange(n + 1, dtype="<i8"),
            ):
                stream.write(header + block.tobytes())
                header = b""
        return {}


class DsFile:
    """datatrove's `.ds`, the ids of all documents, and `.ds.index`, the position after each document as uint64."""

    def __init__(self, target: Target) -> None:
        self.target, self.lengths = target, list[int]()
        self.dtype = token_dtype(target.token_bytes)
        self.stream = open(target.path("ds"), "wb")

    def write(self, sequence: Packed) -> None:
        """Append a document."""
        self.stream.write(sequence.ids.astype(self.dtype).tobytes())
        self.lengths.append(len(sequence.ids))

    def close(self) -> dict[str, Any]:
        """Write the index."""
        self.stream.close()
        with open(self.target.path("ds.index"), "wb") as stream:
            stream.write(np.cumsum(np.array(self.lengths, "<u8"), dtype="<u8").tobytes())
        return {}


class ParquetFile:
    """`.parquet`: a row per document or packed sequence, `input_ids` as int32; `n_tokens` without padding if packed.

    With masks: `cu_seqlens`, the boundaries of documents inside the row from 0, and `documents`, the row of each in the
    part of the mix.
    """

    def __init__(self, target: Target) -> None:
        self.target, self.rows, self.n_tokens = target, list[Packed](), 0
        ids = pa.list_(pa.int32())
        columns = {"input_ids": ids}
        if target.length:
            columns["n_tokens"] = pa.int32()
        if target.masks:
            columns |= {"cu_seqlens": ids, "documents": ids}
        facts = {f"bicorpus.{name}": value for name, value in target.facts}
        self.schema = pa.schema(columns, metadata=facts)
        self.writer = pq.ParquetWriter(
            target.path("parquet"), self.schema, compression="zstd", compression_level=3, write_statistics=False,
            use_dictionary=False,
        )  # fmt: skip

    def write(self, sequence: Packed) -> None:
        """Append a row."""
        self.rows.append(sequence)
        self.n_tokens += len(sequence.ids)
        if self.n_tokens >= ROW_GROUP_TOKENS:
            self.flush()

    def flush(self) -> None:
        """Write the rows so far as one row group."""
        columns: dict[str, pa.Array] = {"input_ids": _lists([row.ids for row in self.rows])}
        if self.target.length:
            columns["n_tokens"] = pa.array([row.n_tokens for row in self.rows], pa.int32())
        if self.target.masks:
            columns["cu_seqlens"] = _lists([row.bounds for row in self.rows])
            columns["documents"] = _lists([row.documents for row in self.rows])
        self.writer.write_table(pa.table(columns, schema=self.schema))
        self.rows, self.n_tokens = [], 0

    def close(self) -> dict[str, Any]:
        """Write the last row group."""
        if self.rows:
            self.flush()
        self.writer.close()
        return {}


def _lists(arrays: Sequence[np.ndarray]) -> pa.ListArray:
    offsets = np.cumsum([0, *map(len, arrays)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(np.concatenate(arrays).astype(np.int32)))


class MdsFile:
    """MosaicML's MDS: `<name>.NNN.mds`, samples with `tokens`, and with masks `cu_seqlens` and `documents`.

    A shard is: number of samples and offsets as uint32, its configuration as JSON, the samples. `index.json` of the
    mix lists the shards of all parts, see `mds_index`.

    Source: the reader and writer of mosaicml-streaming 0.13, format `mds`, version 2.
    """

    def __init__(self, target: Target) -> None:
        self.target, self.samples, self.n_bytes = target, list[bytes](), 0
        self.shards: list[dict[str, Any]] = []
        self.dtype = token_dtype(target.token_bytes)
        self.columns = mds_columns(target.token_bytes, target.length, target.masks)

    def write(self, sequence: Packed) -> None:
        """Append a sample."""
        arrays = {"tokens": sequence.ids.astype(self.dtype)}
        if self.target.length:
            arrays["n_tokens"] = np.array([sequence.n_tokens], "<i4")
        if self.target.masks:
            arrays |= {
                "cu_seqlens": sequence.bounds.astype("<i4"),
                "documents": sequence.documents.astype("<i4"),
            }
        sizes, data = [], []
        for name, (_, size) in self.columns.items():
            value = arrays[name].tobytes()
            if (
                size is None
            ):  # of a dynamic shape: code of its type (2 is uint32) and number of dimensions, then the shape
                value = struct.pack("<BI", 1 << 2 | 2, len(arrays[name])) + value
                sizes.append(len(value))
            data.append(value)
        sample = np.array(sizes, "<u4").tobytes() + b"".join(data)
        if self.samples and self.n_bytes + len(sample) > MDS_SHARD_BYTES:
            self.flush()
        self.samples.append(sample)
        self.n_bytes += len(sample) + 4

    def flush(self) -> None:
        """Write the samples so far as one shard."""
        config = json.dumps(_mds_config(self.columns), sort_keys=True).encode()
        n = len(self.samples)
        offsets = np.cumsum([8 + 4 * n + len(config), *map(len, self.samples)]).astype("<u4")
        name = f"{self.target.name}.{len(self.shards):03d}.mds"
        data = struct.pack("<I", n) + offsets.tobytes() + config + b"".join(self.samples)
        with open(os.path.join(self.target.folder, name), "wb") as stream:
            stream.write(data)
        self.shards.append({"name": name, "bytes": len(data), "samples": n})
        self.samples, self.n_bytes = [], 0

    def close(self) -> dict[str, Any]:
        """Write the last shard and list all of them."""
        if self.samples:
            self.flush()
        return {"mds": self.shards}


def mds_columns(token_bytes: int, length: int, masks: bool) -> dict[str, tuple[str, int | None]]:
    """Encoding and size in bytes (None: it varies) of each column, in the order of their names."""
    dtype = token_dtype(token_bytes).name
    columns: dict[str, tuple[str, int | None]] = {
        "tokens": (f"ndarray:{dtype}:{length}", token_bytes * length)
        if length
        else (f"ndarray:{dtype}", None)
    }
    if length:
        columns["n_tokens"] = ("ndarray:int32:1", 4)
    if masks:
        columns |= {"cu_seqlens": ("ndarray:int32", None), "documents": ("ndarray:int32", None)}
    return dict(sorted(columns.items()))


def _mds_config(columns: dict[str, tuple[str, int | None]]) -> dict[str, Any]:
    return {
        "version": 2, "format": "mds", "compression": None, "hashes": [], "size_limit": MDS_SHARD_BYTES,
        "column_names": list(columns), "column_encodings": [encoding for encoding, _ in columns.values()],
        "column_sizes": [size for _, size in columns.values()],
    }  # fmt: skip


def mds_index(shards: Sequence[dict[str, Any]], token_bytes: int, length: int, masks: bool) -> str:
    """The index.json of a folder of MDS shards, for StreamingDataset. shards: of MdsFile.close, of all parts."""
    config = _mds_config(mds_columns(token_bytes, length, masks))
    rows = [
        {
            **config,
            "raw_data": {"basename": shard["name"], "bytes": shard["bytes"], "hashes": {}},
            "samples": shard["samples"],
            "zip_data": None,
        }
        for shard in shards
    ]
    return json.dumps({"version": 2, "shards": rows}, sort_keys=True) + "\n"


WRITERS: dict[str, Callable[[Target], SequenceFile]] = {
    "megatron": MegatronFile,
    "ds": DsFile,
    "parquet": ParquetFile,
    "mds": MdsFile,
}
PACKED = ("parquet", "mds")
"""Formats whose items are packed if the run file asks for it; the loaders of the others cut sequences themselves."""
