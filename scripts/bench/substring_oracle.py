"""Check repeated passages against an exact oracle on real text: every window of the minimum length is compared.

The oracle uses no hashes, anchors or partitions: it ranks all substrings of 2, 4, 8 … characters by prefix doubling
(Karp, Miller and Rosenberg, STOC 1972); a window of any length is identified by its length and the ranks of two
overlapping substrings, at its start and at its end.

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

from pipeline.mapreduce.replies import answer_rows, sort_by_key
from pipeline.mapreduce.shuffle import partition_of
from pipeline.stage import Global
from stages.kernels.passages.anchors import wide_table
from stages.kernels.text.text import TextView, view
from stages.passages import anchors, equal_ranges, repeated_windows, shared_anchors, substring

N_PARTITIONS = 5


def documents(paths: tuple[str, ...], column: str, n_bytes: int) -> pa.ChunkedArray:
    """About n_bytes of texts, taken from the files in turn, 20 at a time."""
    columns = [pq.read_table(path, columns=[column])[column].cast(pa.large_string()) for path in paths]
    chunks, total, start = [], 0, 0
    while total < n_bytes and any(start < len(column_texts) for column_texts in columns):
        for column_texts in columns:
            chunks.append(column_texts.slice(start, 20).combine_chunks())
            total += pc.sum(pc.binary_length(chunks[-1])).as_py() or 0
        start += 20
    return pa.chunked_array(chunks, pa.large_string())


def ours(text: pa.ChunkedArray, config: anchors.Config) -> pa.Table:
    """The documents with the columns of all steps up to `substring`, computed in partitions as in a build."""
    n_docs = len(text)
    table = pa.table({"text": text.combine_chunks(), "row": np.arange(n_docs, dtype=np.uint64)})
    columns = {
        "doc_id": pa.array([f"{i:08d}" for i in range(n_docs)]),
        "parent_id": pa.nulls(n_docs, pa.string()),
        "provenance": pa.nulls(n_docs, pa.string()),
    }
    columns_added = anchors.STAGE.load(config)(table)
    columns |= {f"anchors.{name}": columns_added[name] for name in columns_added.column_names}
    for name, values in columns.items():
        table = table.append_column(name, values)
    for step in (shared_anchors.GLOBAL, equal_ranges.GLOBAL, repeated_windows.GLOBAL):
        rows = in_partitions(step, table)
        row_of = np.full(n_docs, -1)
        row_of[rows["row"].to_numpy().astype(np.int64)] = np.arange(rows.num_rows)
        for field in step.writes:
            values = rows[field.name].take(pa.array(row_of, mask=row_of < 0))
            table = table.append_column(f"{step.name}.{field.name}", values)
    stage = substring.STAGE
    columns_added = stage.load(stage.config())(table.select(stage.reads))
    for name in stage.writes.names:
        table = table.append_column(f"{stage.name}.{name}", columns_added[name])
    return table


def in_partitions(step: Global, table: pa.Table) -> pa.Table:
    """Rows of a global step with `answer`, mapped in two shards and reduced in N_PARTITIONS partitions."""
    assert step.answer is not None
    half, names = table.num_rows // 2, [*step.reads, "row"]
    shards = [partition.select(names) for partition in (table[:half], table[half:])]
    queries = [sort_by_key(step.map(shard, step.config()))[0] for shard in shards]
    partitions = [partition_of(query["key"].to_numpy(), N_PARTITIONS) for query in queries]
    answers_by_shard: list[list[pa.Table]] = [[], []]
    for i in range(N_PARTITIONS):
        in_partition = [
            q.filter(pa.array(partition == i)) for q, partition in zip(queries, partitions, strict=True)
        ]
        answers = answer_rows(step, pa.concat_tables(in_partition), step.config())
        answers_by_shard[0].append(answers[: in_partition[0].num_rows])
        answers_by_shard[1].append(answers[in_partition[0].num_rows :])
    rows = [
        step.answer(shard.select([n for n in names if n != "text"]), pa.concat_tables(answers), step.config())
        for shard, answers in zip(shards, answers_by_shard, strict=True)
    ]
    return pa.concat_tables(rows)


def window_ends(text: TextView, wide_chars: int, narrow_chars: int) -> np.ndarray:
    """End of the window that starts at each code point, as an index of codes: int64 (n_codes,), -1 for none."""
    before = np.append(0, np.cumsum(np.where(wide_table()[text.codes], narrow_chars, wide_chars)))
    ends = np.searchsorted(before, before[:-1] + wide_chars * narrow_chars)
    limits = np.repeat(text.starts[1:], np.diff(text.starts))
    return np.where(ends <= limits, ends, -1)


def classes_of(codes: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Class of the window at each code point, int64 (n_codes,), -1 for none; equal windows have the same class."""
    windows = np.flatnonzero(ends >= 0)
    lengths = ends[windows] - windows
    power = np.frexp(lengths)[1] - 1  # exponent of the largest power of two that fits
    names = np.empty((len(windows), 3), np.int64)
    ranks, size = np.unique(codes, return_inverse=True)[1].astype(np.int64), 1
    for k in range(int(power.max(initial=0)) + 1):
        of_length = power == k
        first_codes = windows[of_length]
        names[of_length] = np.stack(
            [lengths[of_length], ranks[first_codes], ranks[first_codes + lengths[of_length] - size]], axis=1
        )
        later = np.append(ranks[size:], np.full(min(size, len(ranks)), -1))[: len(ranks)]
        ranks = np.unique(ranks * (len(ranks) + 1) + later, return_inverse=True)[1].astype(np.int64)
        size *= 2
    classes = np.full(len(codes), -1)
    classes[windows] = np.unique(names, axis=0, return_inverse=True)[1].ravel() if len(windows) else 0
    return classes


def passages(classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whether each window is repeated, and whether it begins a passage: bool (n_codes,) each."""
    counts = np.bincount(classes[classes >= 0])
    repeated = (classes >= 0) & (counts[classes] > 1)
    after = np.append(np.where(repeated, classes, -1)[1:], -1)  # class of the next window
    least, most = np.full(len(counts), len(classes)), np.full(len(counts), -2)
    np.minimum.at(least, classes[repeated], after[repeated])
    np.maximum.at(most, classes[repeated], after[repeated])
    together = (least == most) & (most >= 0)  # all occurrences of a class continue with the same window
    together &= counts[np.maximum(most, 0)] == counts
    continues = np.append(False, (repeated & together[classes])[:-1]) & repeated
    return repeated, repeated & ~continues


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False))
@click.option("--text", default="text", show_default=True, help="Column with the text.")
@click.option("--mb", default=10.0, show_default=True, help="Megabytes of text to compare.")
@click.option(
    "--preset",
    default="equalised",
    show_default=True,
    help="Preset of stages.passages.anchors for the minimum length.",
)
def main(files: tuple[str, ...], text: str, mb: float, preset: str) -> None:
    """Compare the passages found in FILES with those of the oracle, character by character."""
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
