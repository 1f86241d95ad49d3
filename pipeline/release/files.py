"""Files of a release: parts gathered from exchange files, token files, small pages; each with its digest."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np
import pyarrow as pa

from pipeline.mapreduce.exchange import Source
from pipeline.mapreduce.shuffle import read_sources
from pipeline.recipe import digest
from pipeline.release.parquet import write_release_file
from pipeline.runtime.engines import peak_rss_bytes
from pipeline.schema import TOKEN_IDS
from pipeline.storage.scratch import scratch
from pipeline.storage.store import Store


@dataclass(frozen=True)
class FileReport:
    """One file of a release."""

    key: str
    n_rows: int
    sha256: str
    n_bytes: int
    peak_rss: int = 0


@dataclass(frozen=True)
class PartTask:
    """Gathers one part of an output from exchange files. sources: files and batches."""

    store: Store
    sources: tuple[Source, ...]
    key: str


def write_part(task: PartTask) -> FileReport:
    """Gather one part, put it in order and write it."""
    table = gather(task.store, task.sources)
    return put_table(
        task.store, task.key, table.drop_columns([n for n in table.column_names if n == TOKEN_IDS])
    )


def gather(store: Store, sources: Sequence[Source]) -> pa.Table:
    """The documents of one part, in its order."""
    table = read_sources(store, sources)
    order = np.argsort(table["position"].to_numpy(), kind="stable")
    return table.drop_columns(["position"]).take(pa.array(order))


class TokenWriter(Protocol):
    """A module that writes token files. config: an instance of its own class `Config`."""

    def describe(self, config: Any) -> dict[str, Any]:  # Any: its own class; plain JSON
        """Return what a training job must know of the files."""

    def tokenise(self, texts: pa.Array, config: Any) -> pa.ChunkedArray:  # Any: as above
        """Tokenise texts for the column TOKEN_IDS: large_binary (n_docs,), in a form that write_part reads."""

    def write_part(
        self, documents: pa.Table, folder: str, name: str, config: Any
    ) -> dict[str, Any]:  # Any: as above
        """Write the files of one part, whose names begin with `name`, into a local folder.

        Args: documents, rows of the mix in training order, with TOKEN_IDS.
        Returns: plain JSON, with `tokens`, the number of tokens.
        """

    def overview(self, parts: Sequence[dict[str, Any]], config: Any) -> tuple[dict[str, Any], dict[str, str]]:
        """Return further keys of tokens.json and further text files of the mix by name, from what write_part returned
        for each part."""


def token_writer(module: str) -> TokenWriter:
    """Import the module that the section `tokens` of a run file names."""
    return cast(TokenWriter, importlib.import_module(module))


@dataclass(frozen=True)
class TokenTask:
    """Writes the token files of one part of a mix. module: its dotted name; prefix: of the files' keys."""

    store: Store
    sources: tuple[Source, ...]
    prefix: str
    module: str
    config: Any  # Any: the module's own config class


@dataclass(frozen=True)
class TokenReport:
    """The token files of one part. summary: what the writer returned."""

    prefix: str
    n_docs: int
    n_tokens: int
    files: list[FileReport]
    summary: dict[str, Any]  # Any: plain JSON


def write_tokens(task: TokenTask) -> TokenReport:
    """Gather one part, put it in order and write its token files."""
    writer = token_writer(task.module)
    table = gather(task.store, task.sources)
    folder, _, name = task.prefix.rpartition("/")
    with scratch() as local:
        summary = writer.write_part(table, local, name, task.config)
        files = []
        for file in sorted(os.listdir(local)):
            path, key = os.path.join(local, file), f"{folder}/{file}"
            files.append(
                FileReport(key, len(table), sha256_file(path), os.path.getsize(path), peak_rss_bytes())
            )
            task.store.put_file(key, path)
    return TokenReport(task.prefix, len(table), summary["tokens"], files, summary)


def put_table(store: Store, key: str, table: pa.Table) -> FileReport:
    """Write a table as one Parquet file and report its digest.

    The file is made in memory, where the table is, because a release has one such file for each shard.
    """
    sink = pa.BufferOutputStream()
    write_release_file(sink, table)
    data = sink.getvalue()
    store.put(key, data)
    return FileReport(key, table.num_rows, hashlib.sha256(data).hexdigest(), data.size, peak_rss_bytes())


def sha256_file(path: str) -> str:
    """SHA-256 of a file, in hex."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def put_text(store: Store, key: str, text: str) -> FileReport:
    """Write a small text file of a release."""
    data = text.encode()
    store.put(key, data)
    return FileReport(key, text.count("\n"), hashlib.sha256(data).hexdigest(), len(data))


def sha256(data: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(data).hexdigest()


def with_digest(page: dict[str, Any]) -> dict[str, Any]:  # Any: plain JSON
    """Return an object with `digest`, a digest of all its other members."""
    return {**page, "digest": digest({name: value for name, value in page.items() if name != "digest"})}


def to_json(value: object) -> str:
    """JSON in the form of a release's files: sorted and indented, the same bytes for the same value."""
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
