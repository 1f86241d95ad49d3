"""How much of a release has to be uploaded after a corpus grew by 1 %: the chunks that the release before did not have.

Builds a release over real documents, adds new ones as another input file, builds again, and cuts the files of both into
chunks as a store of chunks does. Both orders of data/ are measured, and the same tables as a plain writer makes them
(row groups of 1,024 rows, pages at fixed sizes).

Chunks: gear hash, 64 KiB on average, 8 to 128 KiB, as in the hub's storage (Xet protocol specification). New chunks are
counted with their size; the hub compresses them once more and deduplicates against all repositories, so its own figure
may be lower.

Example: python -m scripts.bench.bench_upload DOCS.parquet... --folder /tmp/upload
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numba as nb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from pipeline.keyed_hash import scramble
from pipeline.operate.push import OWNED

LEAST, MEAN_BITS, MOST = 8 << 10, 16, 128 << 10
MASK = np.uint64(((1 << MEAN_BITS) - 1) << (64 - MEAN_BITS))
GEAR = scramble(np.arange(1, 257, dtype=np.uint64))


@nb.njit(cache=True)
def borders(data: np.ndarray, gear: np.ndarray, mask: np.uint64) -> np.ndarray:
    """End of each chunk of a file, int64 (n_chunks,). data: uint8 (n_bytes,)."""
    ends = np.empty(len(data) // LEAST + 2, np.int64)
    n, start, i = 0, 0, 0
    value = np.uint64(0)
    while i < len(data):
        value = (value << np.uint64(1)) + gear[data[i]]
        i += 1
        if (i - start >= LEAST and (value & mask) == 0) or i - start == MOST:
            ends[n] = i
            n += 1
            start, value = i, np.uint64(0)
    if start < len(data):
        ends[n] = len(data)
        n += 1
    return ends[:n]


def chunks(data: bytes) -> Iterator[tuple[bytes, int]]:
    """Digest and size of each chunk of a file."""
    start = 0
    for end in borders(np.frombuffer(data, np.uint8), GEAR, MASK).tolist():
        yield hashlib.blake2b(data[start:end], digest_size=16).digest(), end - start
        start = end


def files_of(release: Path, is_plain: bool) -> Iterator[tuple[str, bytes]]:
    """Name and content of the files of a release; is_plain: Parquet as a plain writer makes it."""
    for path in sorted(p for p in release.rglob("*") if p.is_file()):
        name = path.relative_to(release).as_posix()
        if is_plain and name.endswith(".parquet"):
            sink = pa.BufferOutputStream()
            pq.write_table(
                pq.read_table(path), sink, row_group_size=1024, compression="zstd", compression_level=3
            )
            yield name, sink.getvalue().to_pybytes()
        else:
            yield name, path.read_bytes()


def measure(old: Path, new: Path, is_plain: bool) -> dict[str, list[int]]:
    """Bytes of all chunks and of new ones of a release after another, by folder."""
    known = {digest for _, data in files_of(old, is_plain) for digest, _ in chunks(data)}
    found: dict[str, list[int]] = {}
    for name, data in files_of(new, is_plain):
        folder = name.split("/")[0] if name.startswith(OWNED) else "pages"
        row = found.setdefault(folder, [0, 0])
        for digest, size in chunks(data):
            row[0] += size
            row[1] += size * (digest not in known)
            known.add(digest)
    return found


def write_inputs(paths: tuple[str, ...], folder: Path, share: float) -> tuple[int, int]:
    """Write all but a share of the documents as inputs of 4 MB, and the share, drawn evenly, as one more; counts."""
    columns = [name for name in ("text", "url", "license") if name in pq.read_schema(paths[0]).names]
    table = pa.concat_tables(pq.read_table(path, columns=columns) for path in paths)
    every = round(1 / share)
    is_new = np.arange(len(table)) % every == every - 1
    old = table.filter(pa.array(~is_new))
    folder.mkdir(parents=True)
    step = max(len(old) * (4 << 20) // old.nbytes, 1)
    for i in range(0, len(old), step):
        pq.write_table(old.slice(i, step), folder / f"{i // step:04d}.parquet")
    pq.write_table(table.filter(pa.array(is_new)), folder.parent / "new.parquet")
    return len(old), int(is_new.sum())


def build(folder: Path, order: str, name: str) -> Path:
    """Build a release of the inputs and return its folder."""
    from click.testing import CliRunner

    from pipeline.cli import main

    page: dict[str, Any] = {
        "corpus": "upload",
        "sources": [{"name": "docs", "reader": "stages.readers.parquet", "files": "inputs/*.parquet"}],
        "ingest": {"shard_bytes": "8MiB"},
        "annotate": ["classifiers.language", "stages.tokens", "stages.dedup.exact"],
        "release": {"name": name, "order": order, "part_bytes": "32MiB"},
        "mix": {"default": "natural", "mixes": {"natural": {"materialise": False}}},
    }
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(page))
    options = [
        "run",
        str(path),
        "--store",
        str(folder / "store"),
        "--engine",
        "local",
        "--workers",
        "1",
        "--json",
    ]
    result = CliRunner().invoke(main, options)
    assert result.exit_code == 0, result.output
    return folder / "store" / "releases" / name


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True))
@click.option("--folder", required=True, type=click.Path(), help="Working folder; must not exist.")
@click.option("--share", default=0.01, show_default=True, help="Share of the documents that are new.")
def main(paths: tuple[str, ...], folder: str, share: float) -> None:
    """Measure the upload share of a release of documents PATHS after 1 % new ones."""
    root = Path(folder)
    counts = write_inputs(paths, root / "inputs", share)
    old = {order: build(root, order, f"{order}-1") for order in ("hash", "input")}
    shutil.move(root / "new.parquet", root / "inputs" / "new.parquet")
    new = {order: build(root, order, f"{order}-2") for order in ("hash", "input")}
    click.echo(json.dumps({"documents": counts[0], "new": counts[1]}))
    for order in ("hash", "input"):
        for is_plain in (True, False):
            found = measure(old[order], new[order], is_plain)
            total, sent = (sum(row[i] for row in found.values()) for i in (0, 1))
            folders = {name: f"{row[1] / max(row[0], 1):.1%}" for name, row in sorted(found.items())}
            writer = "plain" if is_plain else "release"
            row = {
                "order": order,
                "writer": writer,
                "bytes": total,
                "sent": sent,
                "share": f"{sent / total:.1%}",
            }
            click.echo(json.dumps({**row, "folders": folders}))


if __name__ == "__main__":
    main()
