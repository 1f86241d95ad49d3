"""Count the near copies of one text that deduplication keeps, by their number and their similarity to each other.

A text of 600 Chinese characters is copied, and some characters of each copy are replaced by others, as many in all
copies or between two numbers. For each family the script prints the median similarity of 300 pairs, how many copies
`bicorpus.dedup`'s algorithm keeps, the least similarity of 300 removed copies to their keeper, and CPU-seconds.

Example: python -m scripts.bench.near_copies --copies 2000 8000 --changed 3 4 5 6 2-9
"""

from __future__ import annotations

import argparse
import random
import sys
import time

import numpy as np
import pyarrow as pa

from scripts.bench.bench_shapes import prose
from stages.dedup import cluster_texts

LENGTH = 600
SHINGLE = 5
SAMPLE = 300


def copies_of(n_copies: int, fewest: int, most: int, seed: int) -> list[str]:
    """Copies of a text with `fewest` to `most` characters replaced in each."""
    body, draw = list(prose(LENGTH, 2)), random.Random(seed)
    texts = []
    for _ in range(n_copies):
        copy = body[:]
        for place in draw.sample(range(LENGTH), draw.randint(fewest, most)):
            copy[place] = chr(0x4E00 + draw.randrange(4000))
        texts.append("".join(copy))
    return texts


def jaccard(a: str, b: str) -> float:
    """Jaccard index of the sets of shingles of two texts."""
    left, right = ({text[i : i + SHINGLE] for i in range(len(text) - SHINGLE + 1)} for text in (a, b))
    return len(left & right) / len(left | right)


def row(n_copies: int, changed: str, seed: int) -> str:
    """Cluster a family and describe it as a row of the table."""
    fewest, _, most = changed.partition("-")
    texts = copies_of(n_copies, int(fewest), int(most or fewest), seed)
    start = time.process_time()
    keeper = cluster_texts(pa.array(texts, pa.large_string()))["keeper"].to_numpy()
    seconds = time.process_time() - start
    random_pairs = np.random.default_rng(seed).integers(0, n_copies, (SAMPLE, 2))
    median = np.median([jaccard(texts[a], texts[b]) for a, b in random_pairs if a != b])
    removed = np.flatnonzero(keeper != np.arange(n_copies))
    drawn = np.random.default_rng(seed).permutation(removed)[:SAMPLE]
    least = min((jaccard(texts[i], texts[keeper[i]]) for i in drawn), default=float("nan"))
    return f"| {n_copies:,} | {changed} | {median:.3f} | {n_copies - len(removed):,} | {least:.3f} | {seconds:.1f} |"


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--copies", type=int, nargs="+", default=[2000, 8000])
    parser.add_argument(
        "--changed", nargs="+", default=["3", "4", "5", "6", "2-9"], help="a number, or FEWEST-MOST"
    )
    parser.add_argument("--seed", type=int, default=3)
    options = parser.parse_args()
    print(
        "| copies | characters replaced | similarity of pairs | kept | least similarity to the keeper | CPU-s |"
    )
    print("|---:|---:|---:|---:|---:|---:|")
    for n_copies in options.copies:
        for changed in options.changed:
            print(row(n_copies, changed, options.seed), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
