"""The profile of a release: exact counts over kept and dropped documents, which add up across shards.

Every number is an integer sum, so that a corpus has one profile however it was cut into shards. Memory is bounded:
values fall into log-linear bins, and a column with more than MAX_GROUPS different values is left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.rules.rules import Condition
from pipeline.select.verdicts import Decision, Kept

if TYPE_CHECKING:
    from pipeline.config.release_columns import Layout
    from pipeline.dataset.shard import Columns

Profile = dict[str, Any]
"""Plain JSON: groups nested by name, with a list of integers for each, as in release_numbers.Profile."""

READS = frozenset({"doc_id", "source", "snapshot", "provenance", "license", "text_bytes"})
"""Canonical columns that a profile counts by, besides those of the release."""

MAX_GROUPS = 1000
LIMITED = ("snapshots", "domains", "provenances", "licenses", "buckets", "tiers")
"""Counts of a profile that are grouped by arbitrary values of a column."""

OCTAVE = 16
"""Bins of a histogram between one power of two and the next."""

LEAST, MOST = -10, 31
"""Values below 2**(LEAST - 1) share the first bin, those above 2**MOST the last one."""


def bin_of(values: np.ndarray) -> np.ndarray:
    """The bin of each finite value; int64, 0 for zero and the negative of its mirror image for a negative one.

    A bin holds its upper edge and not its lower one; its edges are exact in binary, so no rounding can move a value.
    """
    mantissa, exponent = np.frexp(np.abs(values.astype(np.float64)))
    place = exponent.astype(np.int64) * OCTAVE + np.ceil(mantissa * 2 * OCTAVE).astype(np.int64) - OCTAVE - 1
    code = np.clip(place, LEAST * OCTAVE, (MOST + 1) * OCTAVE) - LEAST * OCTAVE + 1
    return np.where(values == 0, 0, np.sign(values).astype(np.int64) * code)


def edges_of(code: int) -> tuple[float, float]:
    """Lower and upper edge of a bin above zero; mirrored, upper first, below it."""
    if code == 0:
        return 0.0, 0.0
    exponent, place = divmod(abs(code) - 1 + LEAST * OCTAVE, OCTAVE)
    low, high = (float(np.ldexp((OCTAVE + k) / (2 * OCTAVE), exponent)) for k in (place, place + 1))
    return (low, high) if code > 0 else (-high, -low)


def profile_shard(
    layout: Layout, columns: Columns, language: pa.ChunkedArray, n_tokens: pa.ChunkedArray, kept: Kept
) -> Profile:
    """Count a shard's documents by the columns of the release; columns that the run lacks are left out.

    Args: columns, READS and `layout.sources()`; language, of each row, never null; n_tokens, of each row as it is
    released, null for not counted.
    """
    size, keep = columns["text_bytes"].to_numpy().astype(np.int64), kept.keep.astype(np.int64)
    copies = (kept.rule == len(kept.failed)).astype(np.int64)
    named = {name: columns[column] for name, column in layout.columns.items() if column}
    tokens = pc.fill_null(n_tokens, 0).to_numpy().astype(np.int64)
    tally = [np.ones_like(keep), keep, copies, size, size * keep, tokens * keep]
    split = [keep, 1 - keep, size * keep, size * (1 - keep)]
    provenance = pc.fill_null(columns["provenance"], "")
    profile: Profile = {
        "languages": add_up([language], tally),
        "sources": add_up([columns["source"]], tally),
        "snapshots": limited(add_up([pc.fill_null(columns["snapshot"], "")], tally)),
        "provenances": limited(add_up([columns["source"], provenance], tally)),
        "licenses": limited(add_up([pc.fill_null(columns["license"], "")], tally)),
    }
    if "domain" in named:
        profile["domains"] = limited(add_up([named["domain"]], tally))
    if "quality_bucket" in named:
        profile["buckets"] = limited(add_up([language, pc.cast(named["quality_bucket"], pa.int32())], split))
    if "tier" in named:
        profile["tiers"] = limited(add_up([language, named["tier"]], split))
    if "perplexity" in named:
        profile["perplexity"] = add_up([language, binned(named["perplexity"])], split)
    scores = {name: columns[column] for name, column in layout.scores.items() if column}
    if scores:
        profile["scores"] = {
            name: add_up([language, binned(column)], split) for name, column in sorted(scores.items())
        }
    if "cluster" in named and "cluster_size" in named:
        profile["clusters"] = count_clusters(
            named["cluster"], named["cluster_size"], columns["doc_id"], copies
        )
    return profile


def binned(values: pa.ChunkedArray) -> pa.Array:
    """The bin of each value; null for null and for values that are not finite."""
    numbers = pc.cast(values, pa.float64()).to_numpy()
    finite = np.isfinite(numbers)
    return pa.array(bin_of(np.where(finite, numbers, 0.0)), mask=~finite)


def count_clusters(
    cluster: pa.ChunkedArray, size: pa.ChunkedArray, doc_id: pa.ChunkedArray, copies: np.ndarray
) -> dict[str, list[int]]:
    """Clusters, their documents and removed duplicates, by size; a cluster is named after one of its members."""
    leads = pc.fill_null(pc.equal(pc.cast(cluster, pa.string()), doc_id), False).to_numpy().astype(np.int64)
    exponent = np.frexp(pc.fill_null(size, 1).to_numpy().astype(np.float64) - 1)[1]
    rounded = pa.array(1 << np.maximum(exponent, 0).astype(np.int64), mask=pc.is_null(cluster).to_numpy())
    return add_up([rounded], [leads, np.ones_like(leads), copies])


def add_up(keys: Sequence[pa.Array | pa.ChunkedArray], measures: Sequence[np.ndarray]) -> dict[str, Any]:
    """Sum int64 measures (n_rows,) by the values of one or more columns; rows with a null key are not counted."""
    names, sums = [f"key{i}" for i in range(len(keys))], [f"sum{i}" for i in range(len(measures))]
    table = pa.table([*(pc.cast(key, pa.string()) for key in keys), *measures], names=[*names, *sums])
    for name in names:
        table = table.filter(pc.is_valid(table[name]))
    found = table.group_by(names).aggregate([(name, "sum") for name in sums])
    result: dict[str, Any] = {}
    for row in found.select([*names, *(f"{name}_sum" for name in sums)]).to_pylist():
        values = list(row.values())
        place = result
        for key in values[: len(names) - 1]:
            place = place.setdefault(key, {})
        place[values[len(names) - 1]] = values[len(names) :]
    return result


def limited(groups: dict[str, Any] | None) -> dict[str, Any] | None:
    """The groups, or None when there are more than MAX_GROUPS."""
    return None if groups is None or count_leaves(groups) > MAX_GROUPS else groups


def count_leaves(groups: Mapping[str, Any]) -> int:
    """Number of groups of a nested count."""
    return sum(count_leaves(value) if isinstance(value, dict) else 1 for value in groups.values())


def merge(profiles: Iterable[Profile]) -> Profile:
    """Add the profiles of shards; the same sums in any order.

    A part that has too many groups, in one shard or in all together, is None.
    """
    total: Profile = {}
    most: dict[
        str, int
    ] = {}  # at least the number of groups of each limited part: they are counted if it is above
    for profile in profiles:
        for name, groups in profile.items():
            known = total.setdefault(name, {})
            added = None if known is None or groups is None else _add(known, groups)
            if added is not None and groups is not None and name in LIMITED:
                most[name] = most.get(name, 0) + count_leaves(groups)
                if most[name] > MAX_GROUPS:
                    most[name] = count_leaves(added)
                    added = limited(added)
            total[name] = added
    return total


def _add(total: dict[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    for key, value in more.items():
        if isinstance(value, dict):
            _add(total.setdefault(key, {}), value)
        else:
            total[key] = [a + b for a, b in zip(total.get(key, [0] * len(value)), value, strict=True)]
    return total


def thresholds(decision: Decision, layout: Layout) -> dict[str, list[dict[str, Any]]]:
    """Where rules cut the columns that have a histogram: release column -> rule, action, side, value, languages.

    languages: those that a cut is for, None for all. Quantiles by another column than the language are left out,
    for they have no place on a histogram per language.
    """
    label = layout.columns["language"]
    wanted = {name: layout.columns[name] for name in ("perplexity", "quality_bucket")}
    wanted |= {f"quality.{name}": column for name, column in layout.scores.items()}
    found: dict[str, list[dict[str, Any]]] = {}
    for rule in decision.rules:
        among = next((c.among for c in rule.where if c.column == label and c.among is not None), None)
        for condition in rule.conditions:
            for name in (name for name, column in wanted.items() if column and column == condition.column):
                for side, value, languages in bounds(condition, decision, label):
                    chosen = list(among) if languages is None and among is not None else languages
                    if languages is None or among is None or set(languages) <= set(among):
                        cut = {"rule": rule.name, "action": rule.action, "side": side, "value": value}
                        found.setdefault(name, []).append({**cut, "languages": chosen})
    return found


def bounds(
    condition: Condition, decision: Decision, label: str | None
) -> list[tuple[str, float, list[str] | None]]:
    """(side, value, languages) of a condition's bounds; quantiles by their computed values."""
    found: list[tuple[str, float, list[str] | None]] = [
        (side, float(value), None)
        for side, value in (("min", condition.min), ("max", condition.max))
        if value is not None and math.isfinite(value)
    ]
    if condition.quantile is None or decision.cuts is None:
        return found
    by = condition.quantile.by
    groups = sorted(g for c, b, g in decision.cuts.counts if c == condition.column and b == by)
    for group in groups if by in ((), (label,)) else ():
        chain = [group if some else "" for some in condition.quantile.groupings()]
        limits = decision.cuts.limits(condition.column, condition.quantile, chain)
        for side, value in zip(("min", "max"), limits, strict=True):
            if math.isfinite(value):
                found.append((side, round(value, 6), [group] if by else None))
    return found
