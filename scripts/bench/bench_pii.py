"""Personal data on marked pages: recall by kind, precision, look-alikes; and the speed of the stage, in CPU time.

    python -m scripts.bench.bench_pii marked.parquet [--texts docs.parquet] [--list]

`marked.parquet` has the columns text, spans (start, end, kind, private) and lookalikes (start, end), offsets in
code points.
A value counts as found if a span overlaps it; precision counts spans that overlap a marked value of any kind.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from stages import pii

OUTSIDE = ("postal_address", "person_name_with_contact", "telegram_or_other_handle")
"""Marked kinds that are optional or in part only; they are listed, and left out of the sums."""

Span = tuple[int, int, str]


def find(texts: pa.Array | pa.ChunkedArray) -> list[list[Span]]:
    """Spans of each text, by the stage with its default settings."""
    rows = pii.STAGE.load(pii.Config())(pa.table({"text": texts}))["spans"].to_pylist()
    return [[(span["start"], span["end"], span["kind"]) for span in row] for row in rows]


def overlaps(start: int, end: int, spans: list[Span]) -> bool:
    """Whether one of the spans overlaps a range."""
    return any(first < end and start < last for first, last, _ in spans)


def score(rows: list[dict[str, Any]], found: list[list[Span]]) -> Iterator[str]:
    """Lines of the table: kind, found, marked; then the sums."""
    marked, hit = Counter[str](), Counter[str]()
    n_right = n_spans = n_alike = n_lookalikes = 0
    for row, spans in zip(rows, found, strict=True):
        for value in row["spans"]:
            names = [value["kind"]]
            if value["kind"] not in OUTSIDE:
                names += ["all", *(["private"] if value["private"] else [])]
            is_found = overlaps(value["start"], value["end"], spans)
            marked.update(names)
            hit.update(names if is_found else ())
        values = [(value["start"], value["end"], "") for value in row["spans"]]
        n_spans += len(spans)
        n_right += sum(overlaps(start, end, values) for start, end, _ in spans)
        n_lookalikes += len(row["lookalikes"])
        n_alike += sum(overlaps(item["start"], item["end"], spans) for item in row["lookalikes"])
    for name in sorted(marked, key=lambda name: (name in ("all", "private"), name)):
        yield f"{name:<28}{hit[name]:>6}{marked[name]:>6}{hit[name] / marked[name]:>8.3f}"
    yield f"precision {n_right / max(n_spans, 1):.3f} of {n_spans} spans; look-alikes {n_alike} of {n_lookalikes}"


def speed(texts: pa.ChunkedArray) -> str:
    """Megabytes of text a second of CPU time, best of three."""
    annotate = pii.STAGE.load(pii.Config())
    annotate(pa.table({"text": texts.slice(0, 8)}))  # compiles
    best = float("inf")
    for _ in range(3):
        begin = time.process_time()
        n_spans = sum(
            len(row) for start in range(0, len(texts), 256)
            for row in annotate(pa.table({"text": texts.slice(start, 256)}))["spans"].to_pylist()
        )  # fmt: skip
        best = min(best, time.process_time() - begin)
    return f"{texts.nbytes / best / 1e6:,.0f} MB/s, {n_spans} spans in {texts.nbytes / 1e6:,.1f} MB"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("marked")
    parser.add_argument("--texts", help="Parquet file with a column text, to measure speed")
    arguments = parser.parse_args()
    table = pq.read_table(arguments.marked)
    print("\n".join(score(table.to_pylist(), find(table["text"].cast(pa.large_string())))))
    if arguments.texts:
        print(speed(pq.read_table(arguments.texts, columns=["text"])["text"].cast(pa.large_string())))


if __name__ == "__main__":
    main()
