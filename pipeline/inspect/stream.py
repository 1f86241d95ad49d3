"""A mix as one plain text, in training order, by a convention for paragraphs and documents that can be parsed back."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator

import pyarrow.parquet as pq

from pipeline.errors import UsageError
from pipeline.inspect.release_files import read_order
from pipeline.names import nearest
from pipeline.storage.store import Store

FORMATS = {"xglm": ("\n", "\n\n"), "blank-lines": ("\n\n", "\n\n\n")}
"""What separates paragraphs, and documents.

xglm: a paragraph is a line, a document ends with a blank line (Lin et al. 2022, arXiv:2112.10668). blank-lines:
paragraphs are separated by a blank line and may have several lines, documents by two.
"""


def formatted(text: str, name: str) -> str:
    """Return a text in a format: its paragraphs, without blank ones, and without blanks at the ends of lines."""
    lines = [line.rstrip() for line in text.splitlines()]
    if name == "xglm":
        return "\n".join(line for line in lines if line)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines).strip("\n"))


def parsed(stream: str, name: str) -> list[str]:
    """Return the documents of a stream: the inverse of writing `formatted` texts."""
    end = FORMATS[name][1]
    return stream.removesuffix(end).split(end) if stream else []


def write_stream(release: Store, mix: str, name: str, target: str | None) -> int:
    """Write the documents of a mix to a file, each followed by the separator of documents; return their number.

    Without a target they are only counted.

    Documents without text, once blank lines are removed, are left out.

    Raises: UsageError for an unknown mix or format, or a mix without text files.
    """
    if name not in FORMATS:
        raise UsageError(f"--format {name!r}{nearest(name, FORMATS)}")
    end, n_written, parts = FORMATS[name][1], 0, parts_of(release, mix)
    with open(target or os.devnull, "w", encoding="utf-8", newline="") as stream:
        for text in texts_of(release, parts):
            if shown := formatted(text, name):
                stream.write(shown + end)
                n_written += 1
    return n_written


def parts_of(release: Store, mix: str) -> list[str]:
    """The files with the text of a mix, in training order."""
    known = json.loads(release.get("lineage.json"))["mixes"]
    if mix not in known:
        raise UsageError(f"{release.url}: no mix {mix!r}{nearest(mix, known)}")
    parts = sorted(
        key for key, _ in release.list(f"mixes/{mix}") if key.endswith(".parquet") and "/part-" in key
    )
    if not parts and read_order(release, mix).num_rows:
        raise UsageError(
            f"{release.url}: mix {mix!r} has no text of its own, as it was written with `materialise: false`; "
            "write a release with `materialise: true`"
        )
    return parts


def texts_of(release: Store, parts: Iterable[str]) -> Iterator[str]:
    """Yield the texts of some files."""
    for key in parts:
        with release.open(key) as stream:
            for batch in pq.ParquetFile(stream).iter_batches(columns=["text"]):
                yield from _texts(batch["text"].to_pylist())


def _texts(values: Iterable[str | None]) -> Iterator[str]:
    return (value for value in values if value)
