"""Hold repeated passages to an oracle on real text: every window of the least length, compared exactly.

The oracle knows no hash, anchor or partition: ranks of all texts of 2, 4, 8 … characters by prefix doubling (Karp,
Miller and Rosenberg, STOC 1972), and a window of any length is named by its length and the ranks of its first and its
last characters, which overlap.

Example: python -m scripts.bench.substring_oracle crawl.parquet --mb 10
"""

from __future__ import annotations

import sys
import time

import click
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.answers import answered, ordered
from pipeline.keyed import partition_of
from pipeline.stage import Global
from stages import anchors, equal_ranges, repeated_windows, shared_anchors, substring
from stages.kernels.anchors import wide_table
from stages.kernels.text import TextView, view

N_PARTITIONS = 5


def documents(paths: tuple[str, ...], column: str, n_bytes: int) -> pa.ChunkedArray:
    """Texts of some files in turn, a few of each at a time, up to so many bytes."""
    columns = [pq.read_table(path, columns=[column])[column].cast(pa.large_string()) for path in paths]
    chunks, total, start = [], 0, 0
    while total < n_bytes and any(start < len(found) for found in columns):
        for found in columns:
            chunks.append(found.slice(start, 20).combine_chunks())
            total += pc.sum(pc.binary_length(chunks[-1])).as_py() or 0
        start += 20
    return pa.chunked_array(chunks, pa.large_string())


def ours(text: pa.ChunkedArray, config: anchors.Config) -> pa.Table:
    """Rows of the step for some documents, through partitions as a build has them."""
    n_docs = len(text)
    table = pa.table({"text": text.combine_chunks(), "row": np.arange(n_docs, dtype=np.uint64)})
    columns = {
        "doc_id": pa.array([f"{i:08d}" for i in range(n_docs)]),
        "parent_id": pa.nulls(n_docs, pa.string()),
    }
    found = anchors.STAGE.load(config)(table)
    columns |= {f"anchors.{name}": found[name] for name in found.column_names}
    for name, values in columns.items():
        table = table.append_column(name, values)
    for step in (shared_anchors.GLOBAL, equal_ranges.GLOBAL, repeated_windows.GLOBAL):
        rows = in_partitions(step, table)
        place = np.full(n_docs, -1)
        place[rows["row"].to_numpy().astype(np.int64)] = np.arange(rows.num_rows)
        for field in step.writes:
            values = rows[field.name].take(pa.array(place, mask=place < 0))
            table = table.append_column(f"{step.name}.{field.name}", values)
    stage = substring.STAGE
    found = stage.load(stage.config())(table.select(stage.reads))
    for name in stage.writes.names:
        table = table.append_column(f"{stage.name}.{name}", found[name])
    return table


def in_partitions(step: Global, table: pa.Table) -> pa.Table:
    """Rows of a step that answers, mapped in two shards and compared in partitions."""
    assert step.answer is not None
    half, names = table.num_rows // 2, [*step.reads, "row"]
    shards = [part.select(names) for part in (table[:half], table[half:])]
    asked = [ordered(step.map(shard, step.config()))[0] for shard in shards]
    parts = [partition_of(questions["key"].to_numpy(), N_PARTITIONS) for questions in asked]
    said: list[list[pa.Table]] = [[], []]
    for i in range(N_PARTITIONS):
        mine = [q.filter(pa.array(part == i)) for q, part in zip(asked, parts, strict=True)]
        answers = answered(step, pa.concat_tables(mine), step.config())
        said[0].append(answers[: mine[0].num_rows])
        said[1].append(answers[mine[0].num_rows :])
    rows = [
        step.answer(shard.select([n for n in names if n != "text"]), pa.concat_tables(answers), step.config())
        for shard, answers in zip(shards, said, strict=True)
    ]
    return pa.concat_tables(rows)


def window_ends(text: TextView, wide_chars: int, narrow_chars: int) -> np.ndarray:
    """End of the window at each character, counted like the index of codes: int64 (n_codes,), -1 for none."""
    before = np.append(0, np.cumsum(np.where(wide_table()[text.codes], narrow_chars, wide_chars)))
    ends = np.searchsorted(before, before[:-1] + wide_chars * narrow_chars)
    limits = np.repeat(text.starts[1:], np.diff(text.starts))
    return np.where(ends <= limits, ends, -1)


def classes_of(codes: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """A number for what each window says, the same for equal ones: int64 (n_codes,), -1 where none begins."""
    windows = np.flatnonzero(ends >= 0)
    lengths = ends[windows] - windows
    power = np.frexp(lengths)[1] - 1  # of two, the largest that fits
    named = np.empty((len(windows), 3), np.int64)
    ranks, size = np.unique(codes, return_inverse=True)[1].astype(np.int64), 1
    for k in range(int(power.max(initial=0)) + 1):
        mine = power == k
        first = windows[mine]
        named[mine] = np.stack([lengths[mine], ranks[first], ranks[first + lengths[mine] - size]], axis=1)
        later = np.append(ranks[size:], np.full(min(size, len(ranks)), -1))[: len(ranks)]
        ranks = np.unique(ranks * (len(ranks) + 1) + later, return_inverse=True)[1].astype(np.int64)
        size *= 2
    found = np.full(len(codes), -1)
    found[windows] = np.unique(named, axis=0, return_inverse=True)[1].ravel() if len(windows) else 0
    return found


def passages(classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which windows are repeated, and which of them begin a passage: bool (n_codes,) each."""
    counts = np.bincount(classes[classes >= 0])
    repeated = (classes >= 0) & (counts[classes] > 1)
    after = np.append(np.where(repeated, classes, -1)[1:], -1)  # class of the next window
    least, most = np.full(len(counts), len(classes)), np.full(len(counts), -2)
    np.minimum.at(least, classes[repeated], after[repeated])
    np.maximum.at(most, classes[repeated], after[repeated])
    together = (least == most) & (most >= 0)  # all places of a class go on alike
    together &= counts[np.maximum(most, 0)] == counts
    goes_on = np.append(False, (repeated & together[classes])[:-1]) & repeated
    return repeated, repeated & ~goes_on


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False))
@click.option("--text", default="text", show_default=True, help="Column with the text.")
@click.option("--mb", default=10.0, show_default=True, help="Megabytes of text to compare.")
@click.option("--preset", default="equalised", show_default=True, help="Least length; see stages.anchors.")
def main(files: tuple[str, ...], text: str, mb: float, preset: str) -> None:
    """Compare the passages that the steps find in FILES with the oracle's, to the character."""
    texts, config = documents(files, text, int(mb * 1e6)), anchors.Config(preset=preset)
    begin = time.monotonic()
    table = ours(texts, config)
    took = time.monotonic() - begin
    decoded = view(table["text"])
    ends = window_ends(decoded, *config.least)
    repeated, begins = passages(classes_of(decoded.codes, decoded.starts, ends))
    lists = table["substring.passages"].combine_chunks()
    flat, base = pc.list_flatten(lists), decoded.starts[pc.list_parent_indices(lists).to_numpy()]
    start, end = (flat.field(name).to_numpy() + base for name in ("start", "end"))
    found, found_begins = np.zeros(len(ends), bool), np.zeros(len(ends), bool)
    found_begins[start] = True
    for low, high in zip(start, end, strict=True):
        n_windows = np.count_nonzero((ends[low:high] >= 0) & (ends[low:high] <= high))
        found[low : low + n_windows] = True
    n_bytes = pc.sum(pc.binary_length(table["text"])).as_py()
    click.echo(
        f"{n_bytes / 1e6:.1f} MB, {table.num_rows:,} documents: {np.count_nonzero(repeated):,} repeated windows in "
        f"{np.count_nonzero(begins):,} occurrences of passages; ours took {took:.1f} s"
    )
    wrong = np.count_nonzero(found != repeated), np.count_nonzero(found_begins != begins)
    click.echo(f"windows that differ: {wrong[0]:,}; beginnings of passages that differ: {wrong[1]:,}")
    sys.exit(any(wrong))


if __name__ == "__main__":
    main()
