"""Ratio-controlled mixing: the documents of a mix, how often each is taken, and their training order.

Computed from each document's stratum, token count and keyed hash, and the token quotas of pipeline.mix.plan. Choices
depend on the keyed hash of the document id only, so the mix depends on the documents and the seed, not on sharding.
Text is written by the release.
"""

from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa

from pipeline.errors import ExpectationError
from pipeline.keyed_hash import GOLDEN, keyed_hash, scramble
from pipeline.mix.config import NATURAL, Mix, MixPhase, MixSection, parse_mix
from pipeline.mix.plan import GroupPlan, MixPlan, count_tokens, plan_quotas
from pipeline.mix.repeat import Repeat

__all__ = [
    "NATURAL", "GroupPlan", "Mix", "MixPhase", "MixPlan", "MixSection", "Repeat", "copies", "count_tokens",
    "group_index", "keyed_hash", "parse_mix", "plan_quotas", "positions", "realised",
]  # fmt: skip


def group_index(strata: pa.Array | pa.ChunkedArray, plan: MixPlan) -> np.ndarray:
    """Return the index of each document's group in `plan.groups`.

    Args: strata, string (n_docs,), plain or dictionary-encoded.
    Returns: int32 (n_docs,), -1 for documents in no group.
    """
    if plan.mix.by is None:
        return np.zeros(len(strata), np.int32)
    group_of = {stratum: i for i, group in enumerate(plan.groups) for stratum in group.strata}
    values = strata.combine_chunks() if isinstance(strata, pa.ChunkedArray) else strata
    values = values if pa.types.is_dictionary(values.type) else values.dictionary_encode()
    index = np.array([*(group_of.get(value, -1) for value in values.dictionary.to_pylist()), -1], np.int32)
    return index[values.indices.fill_null(-1).to_numpy(zero_copy_only=False)]


def copies(
    group_index: np.ndarray,
    tokens: np.ndarray,
    hashes: np.ndarray,
    plan: MixPlan,
    times: np.ndarray | None = None,
) -> np.ndarray:
    """Return how often each document is in the mix.

    Every document of a group is taken floor(epochs) times its repeats. The remaining tokens come from further copies of
    documents in keyed-hash order, skipping documents that no longer fit; finally the shortest remaining document is
    added if that brings the group closer to its target. Hash ties are resolved by row order. Repeats of a document have
    separate positions in that order, so that in a partial pass a document with five repeats is taken about five times
    as often as a document with one.

    Args: group_index, int32, -1 for documents in no group; tokens, int64; hashes, uint64; times, int64, how often a
    document is taken in one pass, None for once; all (n_docs,).
    Returns: int32 (n_docs,).
    Raises: ExpectationError if the documents' tokens differ from those that the plan counted.
    """
    result = np.zeros(len(tokens), np.int32)
    times = np.ones(len(tokens), np.int64) if times is None else times
    for group, rows in zip(plan.groups, _by_group(group_index, hashes, len(plan.groups)), strict=True):
        sizes = tokens[rows]
        available = int((sizes * times[rows]).sum())
        if available != group.available:
            raise ExpectationError(
                f"mix {plan.mix.name}: group {group.name!r} has {available:,} tokens; the plan counted "
                f"{group.available:,}. Plan the mix again with its present documents"
            )
        if group.asked == group.available:  # also when no document has a token
            result[rows] = times[rows] if group.share > 0 else 0
            continue
        epochs, missing = divmod(group.asked, available)
        document = _walk(hashes[rows], times[rows])
        more = document[_nearest(sizes[document], missing)]
        result[rows] = epochs * times[rows] + np.bincount(more, minlength=len(rows))
    return result


def _walk(hashes: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Return the documents of a group, each repeated `times` times, in the order in which copies are chosen.

    Args: hashes, uint64, ascending; times, int64; both (n_docs,).
    Returns: int64 (sum(times),), indices of documents. The first copy of a document is ordered by the document's hash,
    further copies by hashes derived from it.
    """
    document = np.repeat(np.arange(len(times)), times)
    number = np.arange(len(document)) - np.repeat(np.cumsum(times) - times, times)
    key = hashes[document]
    more = number > 0
    key[more] = scramble(key[more] + number[more].astype(np.uint64) * GOLDEN)
    return document[np.lexsort((number, document, key))]


def _by_group(group_index: np.ndarray, keys: np.ndarray, n_groups: int) -> list[np.ndarray]:
    """Return the rows of each group, sorted by key, then row."""
    order = np.lexsort((keys, group_index))
    bounds = np.searchsorted(group_index[order], np.arange(n_groups + 1))
    return [order[start:end] for start, end in itertools.pairwise(bounds)]


def _nearest(sizes: np.ndarray, target: int) -> np.ndarray:
    """Choose sizes whose sum is close to a target.

    Sizes are chosen in order if they still fit, then the smallest remaining one if that brings the sum closer.

    Args: sizes, int64 (n,).
    Returns: bool (n,), the chosen sizes.
    """
    taken = np.zeros(len(sizes), bool)
    rest, missing = np.arange(len(sizes)), target
    while missing and len(
        rest
    ):  # few rounds: each ends at a size that does not fit and removes all larger ones
        rest = rest[sizes[rest] <= missing]
        n_fit = int(np.searchsorted(np.cumsum(sizes[rest]), missing, side="right"))
        taken[rest[:n_fit]] = True
        missing -= int(sizes[rest[:n_fit]].sum())
        rest = rest[n_fit:]
    left = np.flatnonzero(~taken)
    if missing and len(left):
        smallest = left[np.argmin(sizes[left])]
        taken[smallest] = sizes[smallest] < 2 * missing
    return taken


def positions(
    hashes: np.ndarray, n_copies: np.ndarray, group_index: np.ndarray, tokens: np.ndarray, plan: MixPlan
) -> pa.Table:
    """Return all copies of all documents in training order, in which every stretch has the shares of the whole.

    The copies of a group are ordered by a hash of (document hash, copy number), and each is placed at the share of the
    group's tokens up to its middle; groups are merged by these positions. So in any stretch, the tokens of a group
    differ from its share by less than about one document at each end, however long the stretch is. With a schedule, the
    copies of each group are first assigned to phases by the group's quotas, in the order of a second such hash, and
    each phase is merged by itself.

    Args: arrays (n_docs,), as for `copies`; n_copies, its result.
    Returns: one row per copy in training order: document, int64 row number; epoch, int32, 0 for the first
    occurrence of a document; position, uint64, the phase in the top 8 bits and a fraction of the phase below.
    """
    document = np.repeat(np.arange(len(n_copies)), n_copies)
    number = np.arange(len(document)) - np.repeat(np.cumsum(n_copies) - n_copies, n_copies)
    key = scramble(hashes[document] + (number + 1).astype(np.uint64) * GOLDEN)
    phase = _phase_of(key, group_index[document], tokens[document], plan)
    place = scramble(key + GOLDEN) >> np.uint64(8)
    stratum = (phase.astype(np.int64) << 32) + group_index[document]
    by_stratum = np.lexsort((number, hashes[document], place, stratum))
    sizes, sorted_strata = tokens[document][by_stratum], stratum[by_stratum]
    position = phase << np.uint64(56)
    bounds = np.flatnonzero(np.append(True, sorted_strata[1:] != sorted_strata[:-1])[: len(sorted_strata)])
    for first, last in itertools.pairwise([*bounds.tolist(), len(document)]):
        rows = by_stratum[first:last]
        stretch = sizes[first:last] if sizes[first:last].any() else np.ones(last - first, np.int64)
        position[rows] += fractions(stretch, 0, int(stretch.sum()))
    order = np.lexsort((number, hashes[document], place, position))
    document, position = document[order], position[order]
    epoch = np.empty(len(document), np.int32)
    epoch[np.argsort(document, kind="stable")] = number  # the first copy in training order is epoch 0
    return pa.table({"document": document, "epoch": epoch, "position": position})


def fractions(sizes: np.ndarray, before: int, total: int) -> np.ndarray:
    """Return the place of each copy of a stratum: the share of the stratum's tokens up to the middle of the copy.

    Nothing but sums is needed from other copies, so the places of a range of keys may be computed without the rest.

    Args: sizes, int64 (n,), tokens in the order of the stratum; before, tokens of the stratum in front of them; total,
    tokens of the stratum, 1 to 2**52.
    Returns: uint64 (n,), in units of 2**-56.
    """
    middles = 2 * (before + np.cumsum(sizes)) - sizes  # doubled, so that they are whole numbers
    shares = middles / (2 * total)  # both are exact, and division is rounded in one way everywhere
    return np.minimum((shares * 2.0**56).astype(np.uint64), np.uint64((1 << 56) - 1))


def _phase_of(key: np.ndarray, group: np.ndarray, sizes: np.ndarray, plan: MixPlan) -> np.ndarray:
    """Assign the copies of each group to phases by token quotas, in key order.

    Args: key, uint64; group, int32; sizes, int64, tokens; all (n_copies,).
    Returns: uint64 (n_copies,).
    """
    phase = np.zeros(len(key), np.uint64)
    if len(plan.mix.phases) < 2:
        return phase
    for group_plan, rows in zip(plan.groups, _by_group(group, key, len(plan.groups)), strict=True):
        ends = np.cumsum(sizes[rows])
        total = int(ends[-1]) if len(ends) else 0
        asked_ends = list(itertools.accumulate(group_plan.quotas))[:-1]
        bounds = [2 * total * end // max(group_plan.asked, 1) for end in asked_ends]
        middles = 2 * ends - sizes[rows]  # doubled, so that they are whole numbers
        phase[rows] = np.searchsorted(bounds, middles, side="right")
    return phase


def realised(group_index: np.ndarray, tokens: np.ndarray, n_copies: np.ndarray, plan: MixPlan) -> pa.Table:
    """Compare the tokens of a mix with the plan.

    Args: arrays (n_docs,), as for `positions`.
    Returns: one row per group: group, n_docs (distinct), available_tokens, asked_tokens, tokens, asked_share, share,
    epochs.
    """
    rows = _by_group(group_index, np.arange(len(tokens)), len(plan.groups))
    totals = [int((tokens[r] * n_copies[r]).sum()) for r in rows]
    total, asked_total = max(sum(totals), 1), max(plan.total, 1)
    return pa.table(
        {
            "group": pa.array([group.name for group in plan.groups], pa.string()),
            "n_docs": [int(np.count_nonzero(n_copies[r])) for r in rows],
            "available_tokens": [group.available for group in plan.groups],
            "asked_tokens": [group.asked for group in plan.groups],
            "tokens": totals,
            "asked_share": [group.asked / asked_total for group in plan.groups],
            "share": [n / total for n in totals],
            "epochs": [n / max(group.available, 1) for n, group in zip(totals, plan.groups, strict=True)],
        }
    )
