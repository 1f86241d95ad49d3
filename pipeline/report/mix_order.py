"""Shares of a mix over its training order: what a model reads first, and what last."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.mix.config import Mix

STRETCHES = 40
"""Consecutive stretches of equal size, in tokens, into which a training order is divided."""


def add_orders(
    reports: Mapping[str, Any], mixes: Mapping[str, Mix], facts: pa.Table, orders: Mapping[str, pa.Table]
) -> None:
    """Add `order` to the report of every mix of several groups; see release_numbers.MixOrder.

    Args: reports, by mix, changed in place (Any: plain JSON); facts, doc_id, n_tokens and the columns that mixes go by,
    of each kept document; orders, doc_id in training order.
    """
    for name, report in reports.items():
        mix = mixes[name]
        if mix.by is None or len(report["groups"]) < 2 or not len(orders[name]):
            continue
        names = [group["group"] for group in report["groups"]]
        group_of = {stratum: names.index(group) for group, strata in mix.groups.items() for stratum in strata}
        group_of = group_of or {group: i for i, group in enumerate(names)}
        place = pc.index_in(orders[name]["doc_id"], facts["doc_id"].combine_chunks())
        strata = facts[mix.by].cast(pa.string()).take(place).combine_chunks().dictionary_encode()
        codes = np.array(
            [*(group_of.get(value, -1) for value in strata.dictionary.to_pylist()), -1], np.int64
        )
        groups = codes[pc.fill_null(strata.indices, len(codes) - 1).to_numpy()]
        tokens = pc.fill_null(facts["n_tokens"].take(place), 0).to_numpy().astype(np.int64)
        report["order"] = {"groups": names, "shares": stretches(groups, tokens, len(names))}


def stretches(groups: np.ndarray, tokens: np.ndarray, n_groups: int) -> list[list[float]]:
    """Share of each group in each stretch, rounded to 4 decimals; fewer stretches than STRETCHES for few documents.

    Args: groups, index of the group of each document, -1 for none; tokens; both int64 (n_docs,), in training order.
    """
    before = np.cumsum(tokens) - tokens
    n = max(min(STRETCHES, len(tokens) // 4), 1)
    place = np.minimum(before * n // max(int(tokens.sum()), 1), n - 1)
    inside = groups >= 0
    counts = np.zeros((n, n_groups), np.int64)
    np.add.at(counts, (place[inside], groups[inside]), tokens[inside])
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    rounded: list[list[float]] = np.round(shares, 4).tolist()
    return rounded
