"""Compare counts and ids of stages.tokens with the tokenizers library: equal documents, speed, memory.

Prints for each tokenizer how many documents have other ids, by language; MB of text per second of CPU time, the
library, counts and ids by turns in one process; peak memory and seconds of texts without blanks.

Example: python -m scripts.bench.bench_tokens docs.parquet --tokenizer qwen3.json --tokenizer llama3.json
"""

from __future__ import annotations

import json
import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import click
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stages.tokens import Config, load_library
from stages.tokens.encoder import Encoder

LANGUAGES = {"zh": ("zh", "lzh"), "en": ("en",)}
OF_LANGUAGE, OF_TEXT = ("lang_hint", "lang", "language"), ("text", "good", "question", "content")
ROUNDS = 3
NO_BLANKS = {"letters": "abcdefghij", "Han": "数据库系统概论第二章", "one letter": "a", "dashes": "-"}


def read(paths: Sequence[str], cut: int) -> dict[str, list[str]]:
    """Texts by language, `other` for all but LANGUAGES, each cut after some characters (0: whole)."""
    found: dict[str, list[str]] = {"zh": [], "en": [], "other": []}
    for path in paths:
        names = pq.read_schema(path).names
        text, language = (next(n for n in known if n in names) for known in (OF_TEXT, OF_LANGUAGE))
        table = pq.read_table(path, columns=[text, language])
        for value, of in zip(table[text].to_pylist(), table[language].to_pylist(), strict=True):
            kind = next((k for k, starts in LANGUAGES.items() if (of or "").startswith(starts)), "other")
            if value:
                found[kind].append(value[: cut or None])
    return found


def n_different(encoder: Encoder, texts: list[str]) -> int:
    """Documents whose ids or counts differ from the library's."""
    column = pa.array(texts, pa.large_string())
    ids, starts = encoder.encode(column)
    counts = encoder.count(column)
    different = 0
    for i, text in enumerate(texts):
        expected = encoder.by_library(text)
        same = np.array_equal(ids[starts[i] : starts[i + 1]], expected) and counts[i] == len(expected)
        different += not same
    return different


def speeds(encoder: Encoder, texts: list[str]) -> tuple[float, float, float]:
    """MB per second of CPU time: the library, counts, ids; medians of rounds by turns, after a first one."""
    column = pa.array(texts, pa.large_string())
    n_bytes = pc.sum(pc.binary_length(column)).as_py()
    jobs: list[Callable[[], object]] = [
        lambda: [encoder.by_library(text) for text in texts],
        lambda: encoder.count(column),
        lambda: encoder.encode(column),
    ]
    seconds: list[list[float]] = [[] for _ in jobs]
    for _ in range(ROUNDS):
        for job, times in zip(jobs, seconds, strict=True):
            start = time.process_time()
            job()
            times.append(time.process_time() - start)
    library, counts, ids = (n_bytes / statistics.median(times) / 1e6 for times in seconds)
    return library, counts, ids


def first(texts: list[str], n_bytes: float) -> list[str]:
    """As many of the first texts as have some bytes together, spread over the whole list."""
    step = max(1, int(sum(map(len, texts)) * 2 / n_bytes))
    sizes = np.cumsum([len(text.encode()) for text in texts[::step]])
    return texts[::step][: int(np.searchsorted(sizes, n_bytes)) + 1]


def memory(path: str, unit: str, n_bytes: int) -> tuple[float, float, bool]:
    """Peak memory that a text of n_bytes adds to a process, bytes a byte; seconds; in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_memory, (path, unit, n_bytes))


def _memory(path: str, unit: str, n_bytes: int) -> tuple[float, float, bool]:
    encoder = Encoder(load_library(path))
    column = pa.array(
        [(unit * (n_bytes // len(unit.encode()) + 1))[: n_bytes // len(unit[0].encode())]], pa.large_string()
    )
    encoder.count(pa.array(["warm up", unit * 3_000]))
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    encoder.count(column)
    seconds = time.process_time() - start
    return (
        (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / n_bytes,
        seconds,
        encoder.exact,
    )


@click.command()
@click.argument("paths", nargs=-1, required=True)
@click.option(
    "--tokenizer", "tokenizers", multiple=True, help="A tokenizer.json; the one that is shipped comes first."
)
@click.option("--cut", default=0, help="Characters of a document that are compared (0: all).")
@click.option("--mb", default=4.0, help="MB of text to measure the speed on, for each language (0: do not).")
@click.option("--memory-mb", default=0, help="MB of texts without blanks (0: none).")
@click.option("--equal/--no-equal", default=True, help="Compare the ids of all documents.")
def main(
    paths: tuple[str, ...], tokenizers: tuple[str, ...], cut: int, mb: float, memory_mb: int, equal: bool
) -> None:
    """PATHS: Parquet files with texts and their language."""
    texts = read(paths, cut)
    for path in (Config().tokenizer, *tokenizers):
        encoder = Encoder(load_library(path))
        size = len(json.loads(Path(path).read_bytes())["model"]["vocab"])
        click.echo(f"\n{Path(path).stem}, {size:,} tokens, {'kernel' if encoder.exact else 'library'}")
        if equal:
            different = {name: n_different(encoder, own) for name, own in texts.items() if own}
            shown = ", ".join(f"{name} {n:,} of {len(texts[name]):,}" for name, n in different.items())
            click.echo(f"documents that differ: {shown}", nl=True)
        for name in LANGUAGES if mb else ():
            library, counts, ids = speeds(encoder, first(texts[name], mb * 1e6))
            click.echo(
                f"| {name} | {library:.2f} | {counts:.1f} | {ids:.1f} | {counts / library:.1f} | {ids / library:.1f} |"
            )
        for name, unit in NO_BLANKS.items() if memory_mb else ():
            for size in (memory_mb // 4, memory_mb):
                share, seconds, _ = memory(path, unit, size * 1_000_000)
                click.echo(f"| {name} | {size} MB | {share:.1f} bytes a byte | {seconds:.2f} s |")


if __name__ == "__main__":
    main()
