"""The numbers of a mix for lineage and report: groups, languages, the training order in slices and windows, and text in
other languages."""

from __future__ import annotations

import itertools
from typing import Any  # plain JSON

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.mix.order import realised
from pipeline.mix.plan import MixPlan, count_tokens

SLICES = 40
"""Equal stretches of the training order, by units, whose shares are reported."""

WINDOW_DOCUMENTS, WINDOW_UNITS = 1_000, 1_000_000
"""A window has at least this many documents, and this many units, unless documents are counted."""

MAX_GROUPS = 64
"""Shares along the training order are reported for mixes of at most this many groups."""

MIXED_SHARES = (0.05, 0.1, 0.2, 0.5)
"""Shares of a document in other languages than its own from which documents are counted."""


def group_rows(
    cells: np.ndarray, sizes: np.ndarray, tokens: np.ndarray, n_copies: np.ndarray, plan: MixPlan
) -> list[dict[str, Any]]:
    """Return the groups of a mix as of `realised`, with their tokens, available and taken.

    Args: cells, int32; sizes, in units of the mix; tokens; n_copies; all (n_docs,).
    """
    rows: list[dict[str, Any]] = realised(cells, sizes, n_copies, plan).to_pylist()
    groups = np.array([*(cell.group for cell in plan.cells), -1])[cells]
    sums = np.zeros((2, len(plan.groups)), np.int64)
    for i, amount in enumerate((tokens, tokens * n_copies)):
        np.add.at(sums[i], groups[groups >= 0], amount[groups >= 0])
    for i, row in enumerate(rows):
        row["available_tokens"], row["tokens"] = (int(n) for n in sums[:, i])
        row["asked_tokens"] = row["asked"] if plan.mix.unit == "tokens" else None
    return rows


def curve_rows(
    cells: np.ndarray, sizes: np.ndarray, n_copies: np.ndarray, plan: MixPlan
) -> list[dict[str, Any]]:
    """Return the buckets of quality curves: group, bucket, available, asked, taken, copies (mean over the bucket)."""
    taken = np.zeros(len(plan.cells), np.int64)
    np.add.at(taken, cells[cells >= 0], (sizes * n_copies)[cells >= 0])
    return [
        {
            "group": plan.groups[cell.group].name, "bucket": cell.name.rpartition("/")[2],
            "available": cell.available, "asked": cell.asked, "taken": int(n),
            "copies": round(int(n) / max(cell.available, 1), 6), "power": plan.groups[cell.group].power,
        }
        for cell, n in zip(plan.cells, taken, strict=True)
    ]  # fmt: skip


def by_language(
    language: pa.ChunkedArray, sizes: np.ndarray, n_copies: np.ndarray
) -> dict[str, tuple[int, int]]:
    """Return the available and the taken units of each language, sorted by name."""
    available, taken = (count_tokens(language, amount) for amount in (sizes, sizes * n_copies))
    return {name: (available[name], taken[name]) for name in available}


def phase_rows(order: pa.Table, sizes: np.ndarray) -> list[dict[str, int]]:
    """Return the rows of the training order of each phase: phase, first row, number of documents and units.

    With `disjoint`, these are the manifests of the stages.
    """
    phase = (order["position"].to_numpy() >> np.uint64(56)).astype(np.int64)
    taken = sizes[order["document"].to_numpy()]
    starts = np.flatnonzero(np.diff(phase, prepend=-1))
    ends = [*starts[1:].tolist(), len(phase)]
    return [
        {"phase": int(phase[a]), "first": int(a), "documents": int(b - a), "units": int(taken[a:b].sum())}
        for a, b in zip(starts.tolist(), ends, strict=True)
    ]


def training_rows(order: pa.Table, cells: np.ndarray, sizes: np.ndarray, plan: MixPlan) -> dict[str, Any]:
    """Return requested and realised shares along the training order.

    Returns: `slices`, SLICES rows of until (fraction of the order), asked and share (by group, in the order of the
    plan); `window_error`, the largest difference of a share from the requested one over all windows inside one phase;
    `windows`, how many there are.
    """
    document = order["document"].to_numpy()
    position = order["position"].to_numpy()
    groups = np.array([*(cell.group for cell in plan.cells), -1])[cells][document]
    taken = sizes[document]
    before = np.append(0, np.cumsum(taken))
    asked = _Asked(plan)
    total, n_groups = int(before[-1]), len(plan.groups)
    edges = np.searchsorted(before, np.linspace(0, total, SLICES + 1))
    slices, error, n_windows = [], 0.0, 0
    sums = [np.append(0, np.cumsum(np.where(groups == i, taken, 0))) for i in range(n_groups)]
    for first, last in itertools.pairwise(edges):
        if before[last] > before[first]:
            shares = [(s[last] - s[first]) / (before[last] - before[first]) for s in sums]
            middle = float(before[first] + before[last]) / 2 / total
            slices.append(
                {
                    "until": round(float(before[last]) / total, 6),
                    "asked": [round(float(n), 6) for n in asked.at(middle)],
                    "share": [round(float(n), 6) for n in shares],
                }
            )
    phases = (position >> np.uint64(56)).astype(np.int64)
    least = 0 if plan.mix.unit == "documents" else WINDOW_UNITS
    for number in np.unique(phases):
        low, high = np.searchsorted(phases, [number, number + 1])
        starts = np.arange(low, high)
        ends = np.maximum(np.searchsorted(before, before[starts] + least), starts + WINDOW_DOCUMENTS)
        starts, ends = starts[ends <= high], ends[ends <= high]
        n_windows += len(starts)
        units = before[ends] - before[starts]
        middle = (before[ends] + before[starts]) / 2 / max(total, 1)
        for i, s in enumerate(sums):
            shares = (s[ends] - s[starts]) / np.maximum(units, 1)
            difference = np.abs(shares - asked.of(i, int(number), middle))[units > 0]
            error = max(error, float(difference.max(initial=0.0)))
    return {"slices": slices, "window_error": round(error, 6), "windows": n_windows}


class _Asked:
    """Requested shares at a fraction of the training order."""

    def __init__(self, plan: MixPlan) -> None:
        self.plan = plan
        self.ends = np.cumsum([float(phase.length) for phase in plan.phases])

    def of(self, group: int, phase: int, where: np.ndarray) -> np.ndarray:
        """Share of a group inside a phase. where: fractions of the whole order, float64 (n,)."""
        shares, name = self.plan.phases[phase], self.plan.group_keys[group]
        start, end = float(shares.start.get(name, 0)), float(shares.end.get(name, 0))
        low = self.ends[phase - 1] if phase else 0.0
        inside = np.clip((where - low) / max(self.ends[phase] - low, 1e-12), 0, 1)
        return start + (end - start) * inside

    def at(self, where: float) -> list[float]:
        """Shares of all groups."""
        phase = min(int(np.searchsorted(self.ends, where)), len(self.ends) - 1)
        return [float(self.of(i, phase, np.array([where]))[0]) for i in range(len(self.plan.groups))]


def mixed_rows(
    other: np.ndarray, language: pa.ChunkedArray, tokens: np.ndarray, n_copies: np.ndarray
) -> list[dict[str, Any]]:
    """Count documents with text in another language than their own: the mixing rate of a mix.

    Args: other, float64 (n_docs,), share of a document in other languages, NaN where it was not measured; language,
    string; tokens and n_copies, int64; all (n_docs,).
    Returns: for each language and each of MIXED_SHARES: language, above, documents and tokens with a larger share, and
    their shares of those of the language in the mix. Copies are counted.
    """
    measured = (n_copies > 0) & ~np.isnan(other)
    coded = language.combine_chunks().dictionary_encode()
    codes = coded.indices.to_numpy(zero_copy_only=False)
    rows = []
    for i, name in sorted(enumerate(coded.dictionary.to_pylist()), key=lambda item: item[1]):
        inside = measured & (codes == i)
        n_docs, n_tokens = int(n_copies[inside].sum()), int((tokens * n_copies)[inside].sum())
        for above in MIXED_SHARES if n_docs else ():
            hit = inside & (other > above)
            documents, taken = int(n_copies[hit].sum()), int((tokens * n_copies)[hit].sum())
            rows.append(
                {
                    "language": name, "above": above, "documents": documents, "tokens": taken,
                    "documents_share": round(documents / n_docs, 6), "tokens_share": round(taken / max(n_tokens, 1), 6),
                }
            )  # fmt: skip
    return rows


def other_languages(shares: pa.ChunkedArray) -> pa.Array:
    """Return the share of each document in other languages than the first: float64 (n_docs,), null if not measured.

    Args: shares, list<struct<label, share>>, the largest first.
    """
    lists = shares.combine_chunks()
    first = pc.list_element(lists.filter(pc.greater(pc.list_value_length(lists), 0)), 0).field("share")
    sums = np.zeros(len(lists))
    flat, parents = pc.list_flatten(lists), pc.list_parent_indices(lists).to_numpy()
    np.add.at(sums, parents, flat.field("share").to_numpy(zero_copy_only=False))
    has = np.asarray(pc.fill_null(pc.greater(pc.list_value_length(lists), 0), False)).astype(bool)
    sums[has] -= first.to_numpy(zero_copy_only=False)
    return pa.array(np.where(has, np.maximum(sums, 0.0), 0.0), mask=~has)
