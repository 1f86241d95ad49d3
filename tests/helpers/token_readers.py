"""Readers of token files, written from the descriptions of the formats and independent of the code that writes them."""

from __future__ import annotations

import itertools
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

MEGATRON_DTYPES = {
    1: np.uint8, 2: np.int8, 3: np.int16, 4: np.int32, 5: np.int64, 6: np.float64, 7: np.float32, 8: np.uint16,
}  # fmt: skip


def read_megatron(path: Path) -> list[list[int]]:
    """Documents of `<path>.bin` and `.idx`: the sequences between consecutive document indices, joined."""
    index = path.with_suffix(".idx").read_bytes()
    magic, version, code, n_sequences, n_indices = struct.unpack_from("<9sQBQQ", index)
    assert (magic, version) == (b"MMIDIDX\x00\x00", 1)
    dtype = MEGATRON_DTYPES[code]
    at = 34
    lengths = np.frombuffer(index, "<i4", n_sequences, at)
    at += lengths.nbytes
    pointers = np.frombuffer(index, "<i8", n_sequences, at)
    at += pointers.nbytes
    documents = np.frombuffer(index, "<i8", n_indices, at)
    assert at + documents.nbytes == len(index)
    assert lengths.shape[0] == documents[-1]  # Megatron asserts this when it loads an index
    data = path.with_suffix(".bin").read_bytes()
    rows = [np.frombuffer(data, dtype, n, p).tolist() for n, p in zip(lengths, pointers, strict=True)]
    joined = [list(itertools.chain(*rows[a:b])) for a, b in itertools.pairwise(documents.tolist())]
    assert sum(map(len, joined)) * np.dtype(dtype).itemsize == len(data)
    return joined


def read_ds(path: Path, token_bytes: int) -> list[list[int]]:
    """Documents of `<path>.ds`, cut at the ends that `.ds.index` lists."""
    flat = np.fromfile(f"{path}.ds", "<u2" if token_bytes == 2 else "<u4")
    ends = np.fromfile(f"{path}.ds.index", "<u8").astype(int)
    assert ends[-1] == len(flat)
    return [part.tolist() for part in np.split(flat, ends[:-1])]


def read_mds(folder: Path) -> list[dict[str, Any]]:
    """Samples of all shards that `index.json` lists, in order."""
    samples = []
    for shard in json.loads((folder / "index.json").read_text())["shards"]:
        data = (folder / shard["raw_data"]["basename"]).read_bytes()
        assert len(data) == shard["raw_data"]["bytes"]
        (n,) = struct.unpack_from("<I", data)
        assert n == shard["samples"]
        offsets = np.frombuffer(data, "<u4", n + 1, 4)
        config = json.loads(data[8 + 4 * n : offsets[0]])
        assert config == {key: shard[key] for key in config}
        for first, last in itertools.pairwise(offsets.tolist()):
            samples.append(_mds_sample(data[first:last], config))
    return samples


def _mds_sample(data: bytes, config: dict[str, Any]) -> dict[str, Any]:
    sizes, at = [], 0
    for size in config["column_sizes"]:
        if size is None:
            (size,) = struct.unpack_from("<I", data, at)
            at += 4
        sizes.append(size)
    sample = {}
    for name, encoding, size in zip(config["column_names"], config["column_encodings"], sizes, strict=True):
        _, dtype, *shape = encoding.split(":")
        value, at = data[at : at + size], at + size
        if not shape:  # number of dimensions and type of the shape in one byte, then the shape
            assert value[0] >> 2 == 1
            width = 1 << (value[0] & 3)
            assert (
                int.from_bytes(value[1 : 1 + width], "little") * np.dtype(dtype).itemsize == size - 1 - width
            )
            value = value[1 + width :]
        sample[name] = np.frombuffer(value, dtype).tolist()
    assert at == len(data)
    return sample


def read_parquet(path: Path) -> list[dict[str, Any]]:
    """Rows of `<path>.parquet`."""
    return pq.read_table(f"{path}.parquet").to_pylist()
