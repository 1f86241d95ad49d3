"""Count the near copies of one text that deduplication keeps, by their number and their similarity to each other.

A text of 600 Chinese characters is copied, and some characters of each copy are replaced by others, as many in all
copies or between two numbers. For each family the script prints the median similarity of 300 pairs, how many copies
`bicorpus.dedup`'s algorithm keeps, the least similarity of 300 removed copies to their keeper, of the pairs at 0.8 or
above (their number is estimated from the 300 pairs) the share of which neither was removed, and CPU-seconds.

Example: python -m scripts.bench.near_copies --copies 2000 8000 --changed 3 4 5 6 2-9
"""

from __future__ import annotations

import argparse
import itertools
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
THRESHOLD = 0.8
MOST_KEPT = 400
"""Kept copies that are compared with each other; the share is of these if there are more."""


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


def both_kept(texts: list[str], kept: np.ndarray, similarities: np.ndarray) -> float:
    """Of the pairs at THRESHOLD or above, the share of which both are kept. similarities: of random pairs."""
    kept_pairs = sum(
        jaccard(texts[a], texts[b]) >= THRESHOLD
        for a, b in itertools.combinations(kept[:MOST_KEPT].tolist(), 2)
    )
    scale = len(kept) * (len(kept) - 1) / max(min(len(kept), MOST_KEPT) * (min(len(kept), MOST_KEPT) - 1), 1)
    n_pairs = (similarities >= THRESHOLD).mean() * len(texts) * (len(texts) - 1) / 2
    return float(kept_pairs * scale / n_pairs) if n_pairs else float("nan")


def row(n_copies: int, changed: str, seed: int) -> str:
    """Cluster a family and describe it as a row of the table."""
    fewest, _, most = changed.partition("-")
    texts = copies_of(n_copies, int(fewest), int(most or fewest), seed)
    start = time.process_time()
    keeper = cluster_texts(pa.array(texts, pa.large_string()))["keeper"].to_numpy()
    seconds = time.process_time() - start
    random_pairs = np.random.default_rng(seed).integers(0, n_copies, (SAMPLE, 2))
    similarities = np.array([jaccard(texts[a], texts[b]) for a, b in random_pairs if a != b])
    removed = np.flatnonzero(keeper != np.arange(n_copies))
    drawn = np.random.default_rng(seed).permutation(removed)[:SAMPLE]
    least = min((jaccard(texts[i], texts[keeper[i]]) for i in drawn), default=float("nan"))
    share = both_kept(texts, np.flatnonzero(keeper == np.arange(n_copies)), similarities)
    return (
        f"| {n_copies:,} | {changed} | {np.median(similarities):.3f} | {n_copies - len(removed):,} | {least:.3f} | "
        f"{share:.1e} | {seconds:.1f} |"
    )


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
        "| copies | characters replaced | similarity of pairs | kept | least similarity to the keeper | "
        "pairs both kept | CPU-s |"
    )
    print("|---:|---:|---:|---:|---:|---:|---:|")
    for n_copies in options.copies:
        for changed in options.changed:
            print(row(n_copies, changed, options.seed), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
