"""What a mix contains, counted by blocks of documents, and the rows of lineage and report that follow from the sums."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any  # plain JSON

import numpy as np
import pyarrow as pa

from pipeline.mix.blocks import Documents
from pipeline.mix.order import realised
from pipeline.mix.plan import MixPlan
from pipeline.release.facts import OTHER_LANGUAGES
from pipeline.release.kept import tokens_of
from pipeline.release.mix_numbers import MIXED_SHARES

Tally = dict[str, Any]
"""Nested dictionaries and arrays of whole numbers, which `added` adds up."""


def tally(
    facts: pa.Table, documents: Documents, n_copies: np.ndarray, copies: pa.Table, plan: MixPlan
) -> Tally:
    """Count the documents of a block.

    Args: facts and documents, of those that the mix may contain; n_copies (n_docs,); copies, of blocks.list_copies.
    Returns: cells: by name, int64 (n_cells + 1,), the last one of documents in no cell; languages: available and taken
    units; phases: documents and units; repeat: by class; mixed: see `mixed_rows`.
    """
    sizes, tokens, taken = documents.sizes, tokens_of(facts), n_copies.astype(np.int64)
    amounts = {
        "n_docs": (taken > 0).astype(np.int64), "available": sizes, "taken": sizes * taken,
        "discarded": sizes * (taken == 0), "available_tokens": tokens, "tokens": tokens * taken, "copies": taken,
    }  # fmt: skip
    n_cells = len(plan.cells) + 1
    found: Tally = {
        "cells": {name: _sums(documents.cells, amount, n_cells) for name, amount in amounts.items()}
    }
    languages = facts["language"].cast(pa.string()).combine_chunks().dictionary_encode()
    codes, names = languages.indices.to_numpy(zero_copy_only=False), languages.dictionary.to_pylist()
    both = [_sums(codes, amount, len(names)) for amount in (sizes, sizes * taken)]
    found["languages"] = {name: np.array([both[0][i], both[1][i]]) for i, name in enumerate(names)}
    phase, units = copies["phase"].to_numpy(), copies["size"].to_numpy()
    found["phases"] = np.stack(
        [np.bincount(phase, minlength=len(plan.phases)), _sums(phase, units, len(plan.phases))]
    )
    if (repeat := plan.mix.repeat) is not None:
        found["repeat"] = repeat.tally(facts[repeat.column], tokens, taken)
    if OTHER_LANGUAGES in facts.column_names:
        found["mixed"] = _mixed(facts, codes, names, taken, tokens)
    return found


def _sums(index: np.ndarray, amounts: np.ndarray, n: int) -> np.ndarray:
    """Sum amounts by index, from 0 to n - 1; -1 is the last one: int64 (n,)."""
    sums = np.zeros(n, np.int64)
    np.add.at(sums, index, amounts)
    return sums


def _mixed(
    facts: pa.Table, codes: np.ndarray, names: list[str], taken: np.ndarray, tokens: np.ndarray
) -> dict[str, np.ndarray]:
    """Copies and tokens of each language, all measured ones and those above each of MIXED_SHARES: int64 (n + 1, 2)."""
    other = facts[OTHER_LANGUAGES].to_numpy(zero_copy_only=False).astype(np.float64)
    measured = (taken > 0) & ~np.isnan(other)
    found = {}
    for i, name in enumerate(names):
        inside = measured & (codes == i)
        hits = [inside, *(inside & (other > above) for above in MIXED_SHARES)]
        found[name] = np.array([[taken[hit].sum(), (tokens * taken)[hit].sum()] for hit in hits], np.int64)
    return found


def added(a: Any, b: Any) -> Any:
    """Add two tallies, or parts of them; either may be None."""
    if a is None or b is None:
        return b if a is None else a
    if isinstance(a, Mapping):
        return {name: added(a.get(name), b.get(name)) for name in [*a, *(key for key in b if key not in a)]}
    return np.asarray(a) + np.asarray(b)


def plain(value: Any) -> Any:
    """A tally as JSON."""
    return (
        {name: plain(part) for name, part in value.items()} if isinstance(value, Mapping) else value.tolist()
    )


def of_plain(value: Any) -> Tally:
    """The inverse of `plain`."""
    found: Tally = {
        name: of_plain(v) if isinstance(v, Mapping) else np.array(v, np.int64) for name, v in value.items()
    }
    return found


def languages_of(found: Tally) -> dict[str, tuple[int, int]]:
    """Available and taken units of each language, sorted by name."""
    return {name: (int(a), int(t)) for name, (a, t) in sorted(found["languages"].items())}


def group_rows(found: Tally, plan: MixPlan) -> list[dict[str, Any]]:
    """The groups of a mix as of `realised`, with their tokens, available and taken."""
    groups = np.array([*(cell.group for cell in plan.cells), len(plan.groups)])
    sums = {name: _sums(groups, amount, len(plan.groups) + 1)[:-1] for name, amount in found["cells"].items()}
    rows: list[dict[str, Any]] = realised(sums["n_docs"], sums["taken"], sums["discarded"], plan).to_pylist()
    for i, row in enumerate(rows):
        row["available_tokens"], row["tokens"] = int(sums["available_tokens"][i]), int(sums["tokens"][i])
        row["asked_tokens"] = row["asked"] if plan.mix.unit == "tokens" else None
    return rows


def curve_rows(found: Tally, plan: MixPlan) -> list[dict[str, Any]]:
    """The buckets of quality curves: group, bucket, available, asked, taken, copies (mean over the bucket)."""
    return [
        {
            "group": plan.groups[cell.group].name, "bucket": cell.name.rpartition("/")[2],
            "available": cell.available, "asked": cell.asked, "taken": int(n),
            "copies": round(int(n) / max(cell.available, 1), 6), "power": plan.groups[cell.group].power,
        }
        for cell, n in zip(plan.cells, found["cells"]["taken"], strict=False)
    ]  # fmt: skip


def phase_rows(found: Tally) -> list[dict[str, int]]:
    """The rows of the training order of each phase: phase, first row, number of documents and units.

    With `disjoint`, these are the manifests of the stages.
    """
    documents, units = found["phases"].tolist()
    rows, first = [], 0
    for phase, (n_docs, n_units) in enumerate(zip(documents, units, strict=True)):
        if n_docs:
            rows.append({"phase": phase, "first": first, "documents": n_docs, "units": n_units})
        first += n_docs
    return rows


def mixed_rows(found: Tally) -> list[dict[str, Any]]:
    """Documents with text in another language than their own: the mixing rate of a mix.

    Returns: for each language and each of MIXED_SHARES: language, above, documents and tokens with a larger share, and
    their shares of those of the language in the mix. Copies are counted.
    """
    rows = []
    for name, counts in sorted(found["mixed"].items()):
        n_docs, n_tokens = counts[0].tolist()
        for above, (documents, tokens) in zip(MIXED_SHARES, counts[1:].tolist(), strict=True):
            if n_docs:
                rows.append(
                    {
                        "language": name, "above": above, "documents": documents, "tokens": tokens,
                        "documents_share": round(documents / n_docs, 6),
                        "tokens_share": round(tokens / max(n_tokens, 1), 6),
                    }
                )  # fmt: skip
    return rows
