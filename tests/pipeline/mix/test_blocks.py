"""Mixes over blocks and ranges: the same copies and the same training order as with all documents at once."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.mix import blocks, cutoffs
from pipeline.mix.blocks import Decided, Documents, Sums
from pipeline.mix.config import Mix, parse_mix
from pipeline.mix.order import cell_index, copies, positions
from pipeline.mix.plan import MixPlan, count_tokens, plan_quotas
from pipeline.mix.strata import strata_of

SCHEDULE = [{"until": 0.6, "share": {"a": 3, "b": 1}}, {"until": 1.0, "share": {"a": 1, "b": 3}}]
MIXES: dict[str, dict[str, Any]] = {
    "natural": {},
    "share": {"by": "label", "share": {"a": 0.7, "b": 0.3}},
    "epochs": {"by": "label", "share": {"a": 0.2, "b": 0.8}, "max_epochs": 4, "tokens": 150},
    "few": {"by": "label", "share": {"a": 0.5, "b": 0.5}, "documents": 5},
    "bytes": {"by": "label", "alpha": 0.5, "bytes": 45},
    "schedule": {"by": "label", "schedule": SCHEDULE},
    "linear": {"by": "label", "schedule": [{"until": 1.0, "share": {"a": 9, "b": 1}, "to": {"a": 1, "b": 9}}]},
    "disjoint": {"by": "label", "schedule": SCHEDULE, "disjoint": True, "max_epochs": 2},
    "curve": {"by": "label", "share": {"a": 0.5, "b": 0.5}, "tokens": 60,
              "curve": {"column": "bucket", "discard": 0.3, "max": 3}},
}  # fmt: skip


def a_mix(name: str) -> Mix:
    """One of MIXES, parsed."""
    page = {"mixes": {"m": MIXES[name]}, "max_discard": 1.0}
    return parse_mix(page, "mix").mixes["m"]


def documents_of(
    plan: MixPlan, strata: pa.ChunkedArray, sizes: np.ndarray, seed: int, times: np.ndarray
) -> Documents:
    """Documents with random hashes."""
    hashes = np.random.default_rng(seed).integers(0, 2**64, len(sizes), dtype=np.uint64)
    rows = np.arange(len(sizes), dtype=np.int64) << 20
    return Documents(rows, cell_index(strata, plan), sizes, hashes, times)


def divided(documents: Documents, n_blocks: int) -> list[Documents]:
    """Consecutive blocks, the first of which is empty."""
    ends = np.append(0, np.linspace(0, len(documents.rows), n_blocks + 1).astype(int))
    names = ("rows", "cells", "sizes", "hashes", "times")
    return [
        Documents(*(getattr(documents, name)[low:high] for name in names))
        for low, high in pairwise(ends.tolist())
    ]


def ask(parts: list[cutoffs.Items], requests: list[cutoffs.Request]) -> list[pa.Table]:
    """Answers of all blocks, joined two by two."""
    tables = [cutoffs.answers(items.take(items.order()), requests) for items in parts]
    joined = tables[0]
    for more in tables[1:]:
        joined = [cutoffs.merged(r, pair) for r, *pair in zip(requests, joined, more, strict=True)]
    return [cutoffs.merged(r, [table]) for r, table in zip(requests, joined, strict=True)]


def by_ranges(
    documents: Documents, plan: MixPlan, n_blocks: int, n_ranges: int
) -> tuple[np.ndarray, pa.Table]:
    """Copies and training order as a release makes them, in memory: row, epoch and position."""
    parts = divided(documents, n_blocks)
    items = [blocks.walk(part, blocks.partial_cells(plan))[1] for part in parts]
    n_items = {i: sum(int((part.cell == i).sum()) for part in items) for i in blocks.partial_cells(plan)}
    found = cutoffs.search(blocks.choice_searches(plan, n_items), lambda requests: ask(items, list(requests)))
    decided = Decided(plan, {cell: choice for (cell, _), choice in found.items()})
    n_copies = [blocks.count_copies(decided, part) for part in parts]
    if len(plan.phases) > 1:
        items = [blocks.phase_items(plan, part, n)[1] for part, n in zip(parts, n_copies, strict=True)]
        joined = cutoffs.Items.joined(items)
        cells = range(len(plan.cells))
        sums = [int(joined.size[joined.cell == i].sum()) for i in cells]
        searches = blocks.cut_searches(plan, [int((joined.cell == i).sum()) for i in cells], sums)
        places = cutoffs.search(searches, lambda requests: ask(items, list(requests)))
        cuts = {i: tuple(places[key] for key in sorted(places) if key[0] == i) for i in cells}
        decided = Decided(plan, decided.choices, cuts)
    table = pa.concat_tables(
        [blocks.list_copies(decided, part, n)[1] for part, n in zip(parts, n_copies, strict=True)]
    )
    if plan.mix.curve:
        places_ = placed(table, "cell", "place", n_ranges, None)
        table = table.append_column("bucket_place", pa.array(places_))
        place = placed(table, "group", "bucket_place", n_ranges, plan)
    else:
        place = placed(table, "group", "place", n_ranges, plan)
    position = (table["phase"].to_numpy().astype(np.uint64) << np.uint64(56)) + place
    table = table.append_column("position", pa.array(position))
    ranges = blocks.range_of_position(position, plan, n_ranges)
    assert ranges.max(initial=0) < blocks.count_ranges(plan, n_ranges)
    ordered = []
    for i in range(blocks.count_ranges(plan, n_ranges)):
        mine = table.filter(pa.array(ranges == i))
        ordered.append(mine.take(pa.array(blocks.in_order(mine, mine["position"].to_numpy()))))
    return np.concatenate(n_copies), pa.concat_tables(ordered)


def placed(table: pa.Table, column: str, key: str, n_ranges: int, plan: MixPlan | None) -> np.ndarray:
    """Places of all copies, range by range, with sums of the ranges before."""
    ranges = blocks.range_of(table[key].to_numpy(), n_ranges)
    strata, sizes = blocks.strata_of_copies(table, column), table["size"].to_numpy()
    found = np.zeros(len(table), np.uint64)
    for i in range(n_ranges):
        sums = {}
        for stratum in np.unique(strata).tolist():
            mine = strata == stratum
            by_size = bool(sizes[mine].any())
            weights = sizes if by_size else np.ones_like(sizes)
            before = int(weights[mine & (ranges < i)].sum())
            sums[stratum] = Sums(before, int(weights[mine].sum()), by_size)
        rows = np.flatnonzero(ranges == i)
        found[rows] = blocks.places(table.take(pa.array(rows)), column, sums, plan)
    return found


sizes_ = st.lists(st.integers(0, 40), min_size=40, max_size=160)


@pytest.mark.parametrize("name", MIXES)
@settings(max_examples=4)
@given(sizes_, st.integers(0, 2**32), st.sampled_from([1, 4, 7, 64]), st.sampled_from([1, 300]))
def test_ranges_give_the_order_of_all_documents_at_once(
    name: str, drawn: list[int], seed: int, n_ranges: int, at_once: int
) -> None:
    """Copies, epochs and positions are those of `copies` and `positions`, also if few items are asked for in a turn."""
    rng = np.random.default_rng(seed)
    sizes = np.array([*drawn, 7, 9, 11, 13, 40, 38], np.int64)
    mix, n = a_mix(name), len(sizes)
    labels = rng.choice(["a", "b"], n).tolist()
    labels[-6:-2] = ["a", "b", "a", "b"]
    columns = {
        "label": pa.chunked_array([labels]),
        "bucket": pa.chunked_array([pa.array(rng.integers(1, 4, n))]),
    }
    strata = strata_of([columns[c] for c in mix.columns]) if mix.columns else pa.chunked_array([[""] * n])
    times = rng.integers(1, 4, n) if name in ("share", "epochs") else np.ones(n, np.int64)
    sizes = np.ones_like(sizes) if mix.unit == "documents" else sizes
    plan = plan_quotas(count_tokens(strata, sizes * times), mix, 1.0)
    documents = documents_of(plan, strata, sizes, seed, times)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cutoffs, "ITEMS_PER_TURN", at_once)
        patch.setattr(cutoffs, "ITEMS_AHEAD", at_once)
        patch.setattr(cutoffs, "BINS_PER_TURN", 8)
        n_copies, order = by_ranges(documents, plan, min(n_ranges, 5), n_ranges)
    expected = copies(documents.cells, sizes, documents.hashes, plan, times)
    assert n_copies.tolist() == expected.tolist()
    whole = positions(documents.hashes, expected, documents.cells, sizes, plan)
    assert order["row"].to_pylist() == documents.rows[whole["document"].to_numpy()].tolist()
    assert order["epoch"].to_pylist() == whole["epoch"].to_pylist()
    assert order["position"].to_pylist() == whole["position"].to_pylist()
