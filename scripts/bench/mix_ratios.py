"""Errors of mixes: of shares as a whole, in every window of the training order, and of budgets; and their cost.

On synthetic documents of log-normal lengths, or on token counts of real ones (`--documents`, Parquet files with `text`
and a column of labels). Mixes are planned, chosen and ordered by the code of a release; errors are computed here, from
the order alone. A window has 1,000 documents and 1 M tokens at least. A document is not divided, so that one of 20,000
tokens is 2 % of such a window.

Example: python -m scripts.bench.mix_ratios --rows 10000000
Example: python -m scripts.bench.mix_ratios --documents data/docs-*.parquet --labels lang_hint
"""

from __future__ import annotations

import argparse
import resource
import time
from typing import Any  # settings of mixes, as in a run file

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.keyed_hash import scramble
from pipeline.mix.config import parse_mix
from pipeline.mix.order import cell_index, copies, positions
from pipeline.mix.plan import MixPlan, count_tokens, plan_quotas
from pipeline.mix.strata import strata_of

WINDOW_DOCUMENTS, WINDOW_TOKENS = 1_000, 1_000_000


def mixes(names: list[str], total: int, two: list[str]) -> dict[str, dict[str, Any]]:
    """Mixes over the labels `names`: ratios, exponents, UniMax, steps, linear, epochs, curve, two columns."""
    first, second = two
    steps = [
        {"until": 0.7, "share": {first: 0.9, second: 0.1}},
        {"until": 1.0, "share": {first: 0.4, second: 0.6}},
    ]
    rising = [{"until": 1.0, "share": {first: 0.95, second: 0.05}, "to": {first: 0.5, second: 0.5}}]
    budget = total // 10
    return {
        "9 to 1": {"by": "label", "share": {first: 0.9, second: 0.1}},
        "1 to 1, 3.5 epochs": {"by": "label", "share": {first: 1, second: 1}, "max_epochs": 3.5},
        "alpha 0.3": {"by": "label", "alpha": 0.3},
        "unimax": {"by": "label", "preset": "unimax", "tokens": budget, "max_epochs": 4},
        "steps": {"by": "label", "schedule": steps, "tokens": budget},
        "linear": {"by": "label", "schedule": rising, "tokens": budget},
        "curve": {"by": "label", "share": {first: 0.7, second: 0.3}, "curve": {"column": "bucket"}, "tokens": budget},
        "label × bucket": {
            "groups": {
                "best": {"label": first, "bucket": {"min": 16}}, "other": {"label": first, "bucket": {"max": 15}},
                "second": {"label": second},
            },
            "share": {"best": 0.2, "other": 0.5, "second": 0.3}, "tokens": budget,
        },
    }  # fmt: skip


def measure(
    name: str, settings: dict[str, Any], columns: dict[str, pa.ChunkedArray], tokens: np.ndarray
) -> str:
    """One row of the table: name, copies, errors in percentage points and per cent, CPU seconds."""
    mix = parse_mix({"mixes": {"m": settings}}, "mix").mixes["m"]
    hashes = scramble(np.arange(len(tokens), dtype=np.uint64))
    started = time.process_time()
    strata = strata_of([columns[column] for column in mix.columns])
    plan = plan_quotas(count_tokens(strata, tokens), mix, 1.0)
    cells = cell_index(strata, plan)
    n_copies = copies(cells, tokens, hashes, plan)
    order = positions(hashes, n_copies, cells, tokens, plan)
    seconds = time.process_time() - started
    rows = order["document"].to_numpy()
    groups = np.array([*(cell.group for cell in plan.cells), -1])[cells[rows]]
    sizes = tokens[rows]
    taken = int(sizes.sum())
    whole = max(abs(int(sizes[groups == i].sum()) / taken - g.share) for i, g in enumerate(plan.groups))
    window = worst_window(sizes, groups, order["position"].to_numpy(), plan)
    budget = abs(taken - plan.total) / plan.total
    return f"| {name} | {len(rows):,} | {100 * whole:.4f} | {100 * window:.3f} | {100 * budget:.5f} | {seconds:.1f} |"


def worst_window(sizes: np.ndarray, groups: np.ndarray, position: np.ndarray, plan: MixPlan) -> float:
    """The largest difference between the share of a group in a window and the requested one at its middle.

    Windows start at every tenth copy and stay inside a phase.
    """
    before = np.append(0, np.cumsum(sizes))
    phase = (position >> np.uint64(56)).astype(np.int64)
    worst = 0.0
    for number in np.unique(phase):
        low, high = np.searchsorted(phase, [number, number + 1])
        starts = np.arange(low, high, 10)
        ends = np.maximum(np.searchsorted(before, before[starts] + WINDOW_TOKENS), starts + WINDOW_DOCUMENTS)
        starts, ends = starts[ends <= high], ends[ends <= high]
        middle = ((before[starts] + before[ends]) / 2 - before[low]) / (before[high] - before[low])
        shares = plan.phases[int(number)]
        for i, name in enumerate(plan.group_keys):
            inside = np.append(0, np.cumsum(np.where(groups == i, sizes, 0)))
            found = (inside[ends] - inside[starts]) / (before[ends] - before[starts])
            a, b = (float(side.get(name, 0)) for side in (shares.start, shares.end))
            worst = max(worst, float(np.abs(found - a - (b - a) * middle).max(initial=0.0)))
    return worst


def synthetic(n: int, seed: int, longest: int) -> tuple[dict[str, pa.ChunkedArray], np.ndarray]:
    """Labels of three languages (62, 35 and 3 %), quality buckets, and lengths."""
    rng = np.random.default_rng(seed)
    codes = rng.choice(3, n, p=[0.62, 0.35, 0.03]).astype(np.int32)
    labels = pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(["eng_Latn", "zho_Hans", "deu_Latn"]))
    tokens = np.minimum(np.ceil(rng.lognormal(6, 1.1, n)), longest).astype(np.int64)
    bucket = pa.array(rng.integers(1, 21, n, dtype=np.int32))
    return {"label": pa.chunked_array([labels]), "bucket": pa.chunked_array([bucket])}, tokens


def real(paths: list[str], label: str) -> tuple[dict[str, pa.ChunkedArray], np.ndarray]:
    """Labels and tokens of documents, counted by stages.tokens; buckets are twentieths of their length."""
    from stages import tokens as counter

    table = pa.concat_tables([pq.read_table(path, columns=["text", label]) for path in paths])
    count = counter.STAGE.load(counter.Config())
    texts = table["text"].cast(pa.large_string())
    counted = [
        count(pa.table({"text": texts.slice(start, 500)}))["n_tokens"] for start in range(0, len(table), 500)
    ]
    tokens = pa.concat_arrays([a for c in counted for a in c.chunks]).to_numpy().astype(np.int64)
    bucket = 1 + 20 * np.argsort(np.argsort(tokens, kind="stable")) // len(tokens)
    labels = table[label].cast(pa.string())
    return {"label": labels, "bucket": pa.chunked_array([pa.array(bucket.astype(np.int32))])}, tokens


def main() -> None:
    """Read the command line and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rows", type=int, default=1_000_000, help="synthetic documents")
    parser.add_argument(
        "--longest", type=int, default=8_192, help="longer documents count as this many tokens"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the synthetic documents")
    parser.add_argument(
        "--documents", nargs="+", default=[], metavar="PARQUET", help="real documents instead"
    )
    parser.add_argument("--labels", default="language", help="their column of labels")
    arguments = parser.parse_args()
    columns, tokens = (
        real(arguments.documents, arguments.labels)
        if arguments.documents
        else synthetic(arguments.rows, arguments.seed, arguments.longest)
    )
    tokens = np.minimum(tokens, arguments.longest)
    sums = count_tokens(columns["label"], tokens)
    names = sorted((name for name in sums if name), key=lambda name: -sums[name])
    print(f"{len(tokens):,} documents, {int(tokens.sum()):,} tokens, the longest {int(tokens.max()):,}")
    print("| mix | copies | share, points | window, points | budget, % | CPU s |\n|---|---|---|---|---|---|")
    for name, settings in mixes(names, int(tokens.sum()), names[:2]).items():
        print(measure(name, settings, columns, tokens), flush=True)
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")


if __name__ == "__main__":
    main()
