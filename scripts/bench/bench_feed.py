"""Tokens per second that a feed hands out in one process, beside slices of the mapped file.

CPU time of this process, several passes over the mix; files are in the page cache after the first.

Example: python -m scripts.bench.bench_feed store/releases/v1 zh50 --sequence-length 2048
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable

import numpy as np

from pipeline.feed.reader import Reader, Share
from pipeline.feed.sources import Sequences, Source, Texts

SECONDS = 3.0


def rate(n_each: int, one_pass: Callable[[], Iterable[object]]) -> float:
    """Tokens per CPU second. n_each: tokens of a pass."""
    n, started = 0, time.process_time()
    while time.process_time() - started < SECONDS:
        for _ in one_pass():
            pass
        n += n_each
    return n / (time.process_time() - started)


def main() -> None:
    """Print a line per way of reading."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("release")
    parser.add_argument("mix")
    parser.add_argument("--sequence-length", type=int, default=2048)
    options = parser.parse_args()
    length = options.sequence_length
    sequences = Sequences(options.release, options.mix, length)
    n_tokens = len(sequences) * length

    def slices() -> Iterable[object]:
        for array in sequences.arrays:
            for start in range(0, len(array) - length, length):
                yield np.array(array[start : start + length + 1], np.int64)

    print(
        f"{n_tokens:,} tokens in {len(sequences):,} sequences of {length:,}; million tokens per CPU second:"
    )
    print(f"  slices of the mapped files {rate(n_tokens, slices) / 1e6:10.1f}")
    masked = Sequences(options.release, options.mix, length, masks=True)
    texts = Texts(options.release, options.mix)
    ways: tuple[tuple[str, Source, int, int], ...] = (
        ("sequences", sequences, 0, n_tokens),
        ("sequences, read ahead", sequences, 256, n_tokens),
        ("sequences with document masks", masked, 0, n_tokens),
        ("texts", texts, 0, int(sequences.starts[-1])),
    )
    for name, source, prefetch, n in ways:
        reader = Reader(source, Share(), prefetch)
        print(f"  {name:30} {rate(n, lambda reader=reader: iter(reader)) / 1e6:10.1f}")  # type: ignore[misc]


if __name__ == "__main__":
    main()
