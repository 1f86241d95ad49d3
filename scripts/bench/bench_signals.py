"""Compare the speed of all signals with datatrove's Gopher quality, Gopher repetition and FineWeb filters; Markdown.

Both read the same texts in one process, in turn, and the best of several rounds counts, in CPU seconds of this process:
ratios then depend least on other load. datatrove gets a small sample of the texts, because it takes minutes for what
takes us a second; it tokenizes once per filter, as in a pipeline. Needs the extra `datatrove`.

Example: python -m scripts.bench.bench_signals docs-*.parquet --mb 50 --peer-mb 1
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import partial

import click
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from classifiers import language
from pipeline import __version__
from scripts.bench.bench_stages import machine
from stages import signals
from stages.kernels.text import text as text_module
from stages.web import line_rules

LANGUAGES = {"zh": ("zho_Hans", "zho_Hant"), "en": ("eng_Latn",)}
CODES = {"zh": "cmn_Hani", "en": "eng"}
BATCH_ROWS = 1000


def cpu_seconds(work: Callable[[], object], rounds: int) -> float:
    """CPU seconds of the fastest round."""
    times = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def n_bytes(texts: Iterable[str]) -> int:
    """Size of the texts in UTF-8 bytes."""
    return sum(len(text.encode()) for text in texts)


def chosen(files: Iterable[str], labels: tuple[str, ...], limit: float) -> pa.Table:
    """Documents with one of the labels, evenly spaced over the files, about `limit` bytes in total."""
    table = pa.concat_tables([pq.read_table(file, columns=["text"]) for file in files])
    texts = table["text"].cast(pa.large_string())
    label_column = language.STAGE.load(language.Config())(pa.table({"text": texts}))["label"]
    rows = np.flatnonzero(np.isin(label_column.to_pylist(), labels))
    sizes = np.array([len(text.encode()) for text in texts.take(rows).to_pylist()])
    step = max(1, int(sizes.sum() // limit))
    rows = rows[::step]
    return pa.table({"text": texts.take(rows), "language.label": label_column.take(rows)}).combine_chunks()


def without_view(work: Callable[[pa.Table], object], table: pa.Table) -> Callable[[], None]:
    """Run a stage over batches without the shared text view, so that each batch decodes its text again."""
    batches = [table.slice(start, BATCH_ROWS) for start in range(0, len(table), BATCH_ROWS)]

    def run() -> None:
        for batch in batches:
            text_module._Last.entry = None
            work(batch)

    return run


def filters(code: str) -> Callable[[list[str]], None]:
    """A function that runs datatrove's three filters over all texts."""
    from datatrove.data import Document
    from datatrove.pipeline.filters import FineWebQualityFilter, GopherQualityFilter, GopherRepetitionFilter

    instances = [
        cls(language=code) for cls in (GopherQualityFilter, GopherRepetitionFilter, FineWebQualityFilter)
    ]

    def run(texts: list[str]) -> None:
        for text in texts:
            for instance in instances:
                instance.filter(Document(text=text, id=""))

    return run


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False))
@click.option("--mb", default=50.0, show_default=True, help="Megabytes of text per language for our signals.")
@click.option("--peer-mb", default=1.0, show_default=True, help="Megabytes for datatrove.")
@click.option("--rounds", default=3, show_default=True, help="Rounds of each measurement.")
def bench(files: tuple[str, ...], mb: float, peer_mb: float, rounds: int) -> None:
    """Measure on FILES, Parquet with a column text.

    Example: python -m scripts.bench.bench_signals docs-*.parquet
    """
    click.echo(f"{machine()}; {datetime.now(UTC):%Y-%m-%d}, bicorpus {__version__}.\n")
    click.echo(
        "| language | what | MB | CPU-ms per MB | MB/s per core | times datatrove |\n|---|---|---:|---:|---:|---:|"
    )
    for name, labels in LANGUAGES.items():
        table = chosen(files, labels, mb * 1e6)
        texts = table["text"].to_pylist()
        part = texts[:: max(1, int(n_bytes(texts) // (peer_mb * 1e6)))]
        theirs = filters(CODES[name])
        theirs(part[:2])  # loads the tokenizer
        all_signals, lines = signals.STAGE.load(signals.Config()), line_rules.STAGE.load(line_rules.Config())
        jobs: dict[str, tuple[Callable[[], object], int]] = {
            f"all {len(signals.SCHEMA)} signals": (without_view(all_signals, table), n_bytes(texts)),
            "line rules (refinedweb)": (without_view(lines, table), n_bytes(texts)),
            "datatrove: Gopher, repetition, FineWeb": (
                partial(theirs, part),
                n_bytes(part),
            ),
        }
        jobs[next(iter(jobs))][0]()  # compiles the kernels
        peer = None
        for what, (work, size) in reversed(jobs.items()):
            cost = 1000 * cpu_seconds(work, 1 if peer is None else rounds) / (size / 1e6)
            peer = peer or cost
            click.echo(
                f"| {name} | {what} | {size / 1e6:.1f} | {cost:,.1f} | {1000 / cost:.2f} | {peer / cost:,.0f} |"
            )


if __name__ == "__main__":
    bench()
