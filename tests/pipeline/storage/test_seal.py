"""Files of a store carry digests: every damaged byte is seen where it is read, and other programs read the files."""

from __future__ import annotations

import pickle
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash

from pipeline.dataset.shard import parquet_writer
from pipeline.errors import DamagedError
from pipeline.mapreduce.shuffle import read_exchange, write_exchange
from pipeline.storage import seal
from pipeline.storage.catalog import Catalog
from pipeline.storage.local import FolderStore
from pipeline.storage.seal import SealedFile, parse_sealed, sealed_json

KEY = "annotations/step/v1-0123abcd/shard-00000.parquet"


def table_of(n_rows: int) -> pa.Table:
    """Rows that do not compress."""
    draw = random.Random(n_rows)
    return pa.table({"a": list(range(n_rows)), "b": [f"{draw.getrandbits(200):x}" for _ in range(n_rows)]})


def put(store: FolderStore, key: str, table: pa.Table) -> Path:
    """Store a table; returns the path of its file."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, row_group_size=1000)
    store.put(key, sink.getvalue())
    return store.path / key


def read(store: FolderStore, key: str = KEY) -> pa.Table:
    """All of a file, as the code of a build reads it."""
    with store.open(key) as stream:
        return pq.read_table(stream)


def test_every_program_reads_a_sealed_file(tmp_path: Path) -> None:
    """The file is a Parquet file for others, and ours checks it: whole, by column, by row group, from a local file."""
    store, table = FolderStore(tmp_path), table_of(40_000)
    path = put(store, KEY, table)
    assert seal.START in path.read_bytes()
    assert pq.read_table(path).equals(table) and read(store).equals(table)
    with store.open(KEY) as stream:
        assert isinstance(stream, SealedFile)
        stream.check()
        assert pq.ParquetFile(stream).read_row_group(3, ["b"]).equals(table.slice(3000, 1000).select(["b"]))
    local = str(tmp_path / "local.parquet")
    with parquet_writer(local, table.schema) as writer:
        writer.write_table(table)
    store.put_file("shards/s-00000.parquet", local)
    assert read(store, "shards/s-00000.parquet").equals(table)
    write_exchange(store, "exchange/s/map.arrow", table.slice(0, 0), table["a"].slice(0, 0).to_numpy(), 3)
    assert read_exchange(store, ["exchange/s/map.arrow"], 2).num_rows == 0


@pytest.mark.parametrize("n_rows", [0, 20, 4000])
def test_any_flipped_byte_is_seen(tmp_path: Path, n_rows: int) -> None:
    """A byte changed anywhere, in pages, digests or footer, or missing at the end, is damage that names the key."""
    store = FolderStore(tmp_path)
    path = put(store, KEY, table_of(n_rows))
    data = path.read_bytes()
    draw = random.Random(n_rows)
    places = {*range(12), *range(len(data) - 250, len(data)), *draw.choices(range(len(data)), k=60)}
    for place in places & set(range(len(data))):
        changed = bytearray(data)
        changed[place] ^= 1 << draw.randrange(8)
        path.write_bytes(changed)
        with pytest.raises(DamagedError) as caught, store.open(KEY) as stream:
            stream.read()
        assert caught.value.key == KEY == pickle.loads(pickle.dumps(caught.value)).key
    for n_bytes in (0, 1, 8, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:n_bytes])
        with pytest.raises(DamagedError):
            read(store)


def test_an_overwritten_seal_is_seen(tmp_path: Path) -> None:
    """Zeros over the digests are no file without digests: the gap is left. A file that never had any is read."""
    store, table = FolderStore(tmp_path), table_of(3000)
    path = put(store, KEY, table)
    data = path.read_bytes()
    start, end = data.index(seal.START), data.index(seal.END) + len(seal.END)
    for low, high in ((start, end), (start - 40, end), (start, end - 8)):
        path.write_bytes(data[:low] + bytes(high - low) + data[high:])
        with pytest.raises(DamagedError, match="digests are missing or damaged"):
            read(store)
    path.write_bytes(data[:start] + data[end:])
    assert read(store).equals(table)
    write_exchange(store, "exchange/s/map.arrow", table, table["a"].to_numpy() % 2, 2)
    path = tmp_path / "exchange/s/map.arrow"
    data = path.read_bytes()
    start, end = data.index(seal.START), data.index(seal.END) + len(seal.END)
    path.write_bytes(data[:start] + bytes(end - start) + data[end:])
    with pytest.raises(DamagedError):
        read_exchange(store, ["exchange/s/map.arrow"], 0)


def test_a_file_under_another_key_is_refused(tmp_path: Path) -> None:
    """The copy of another file is damage, although each of its bytes is sound."""
    store = FolderStore(tmp_path)
    path = put(store, KEY, table_of(10))
    (tmp_path / "annotations/step/v1-0123abcd/other.parquet").write_bytes(path.read_bytes())
    with pytest.raises(DamagedError, match="the copy of another file"):
        read(store, "annotations/step/v1-0123abcd/other.parquet")


def test_catalogs_have_digests(tmp_path: Path) -> None:
    """A changed character of a catalog is seen; a catalog of an earlier version is read."""
    store = FolderStore(tmp_path)
    Catalog.load(store, "shards/catalog.json").update({"a": {"rows": 10}, "b": {"rows": 20}})
    path = tmp_path / "shards/catalog.json"
    data = path.read_bytes()
    for place in range(len(data)):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        with pytest.raises(DamagedError):
            Catalog.load(store, "shards/catalog.json")
    path.write_bytes(b'{"entries":{"a":{"rows":10}},"header":{}}')
    assert Catalog.load(store, "shards/catalog.json").entries == {"a": {"rows": 10}}
    assert parse_sealed(sealed_json(b"{}", "k"), "k", "k") == {}


def test_json_under_another_key_is_refused() -> None:
    """The copy of another JSON object is damage; a digest without a key is of an earlier version."""
    data = sealed_json(b'{"a":1}', "runs/a.json")
    with pytest.raises(DamagedError, match="digest"):
        parse_sealed(data, "runs/b.json", "")
    before = b'{"a":1,"digest":"' + xxhash.xxh3_128_hexdigest(b'{"a":1}').encode() + b'"}'
    assert parse_sealed(before, "runs/b.json", "") == parse_sealed(data, "runs/a.json", "") == {"a": 1}
