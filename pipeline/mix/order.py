"""Ratio-controlled mixing: the documents of a mix, how often each is taken, and their training order.

Computed from each document's stratum, size and keyed hash, and the quotas of pipeline.mix.plan; the size is its number
of tokens or bytes, or 1, as the mix counts. Choices depend on the keyed hash of the document id only, so the mix
depends on the documents and the seed, not on sharding. Text is written by the release.
"""

from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa

from pipeline.errors import ExpectationError
from pipeline.keyed_hash import GOLDEN, keyed_hash, scramble
from pipeline.mix.config import NATURAL, Mix, MixPhase, MixSection, parse_mix
from pipeline.mix.plan import NO_STRATUM, Cell, GroupPlan, MixPlan, count_tokens, plan_quotas
from pipeline.mix.repeat import Repeat

__all__ = [
    "NATURAL", "Cell", "GroupPlan", "Mix", "MixPhase", "MixPlan", "MixSection", "Repeat", "cell_index", "copies",
    "count_tokens", "keyed_hash", "parse_mix", "plan_quotas", "positions", "realised",
]  # fmt: skip


def cell_index(strata: pa.Array | pa.ChunkedArray, plan: MixPlan) -> np.ndarray:
    """Return the index of each document's cell in `plan.cells`: its group, or the quality bucket of its group.

    Args: strata, string (n_docs,), plain or dictionary-encoded, as of strata.strata_of.
    Returns: int32 (n_docs,), -1 for documents in no cell.
    """
    if not plan.mix.columns:
        return np.zeros(len(strata), np.int32)
    cell_of = {stratum: i for i, cell in enumerate(plan.cells) for stratum in cell.strata}
    values = strata.combine_chunks() if isinstance(strata, pa.ChunkedArray) else strata
    values = values if pa.types.is_dictionary(values.type) else values.dictionary_encode()
    none = cell_of.get(NO_STRATUM, -1)
    names = values.dictionary.to_pylist()
    index = np.array([*(none if name is None else cell_of.get(name, -1) for name in names), none], np.int32)
    return index[values.indices.fill_null(-1).to_numpy(zero_copy_only=False)]


def copies(
    cell_index: np.ndarray,
    tokens: np.ndarray,
    hashes: np.ndarray,
    plan: MixPlan,
    times: np.ndarray | None = None,
) -> np.ndarray:
    """Return how often each document is in the mix.

    Every document of a cell is taken floor(epochs) times its repeats. The remaining tokens come from further copies of
    documents in keyed-hash order, skipping documents that no longer fit; finally the shortest remaining document is
    added if that brings the cell closer to its target. Hash ties are resolved by row order. Repeats of a document have
    separate positions in that order, so that in a partial pass a document with five repeats is taken about five times
    as often as a document with one.

    Args: cell_index, int32, -1 for documents in no cell; tokens, int64, or other sizes; hashes, uint64; times, int64,
    how often a document is taken in one pass, None for once; all (n_docs,).
    Returns: int32 (n_docs,).
    Raises: ExpectationError if the documents' tokens differ from those that the plan counted.
    """
    result = np.zeros(len(tokens), np.int32)
    times = np.ones(len(tokens), np.int64) if times is None else times
    for cell, rows in zip(plan.cells, _by_cell(cell_index, hashes, len(plan.cells)), strict=True):
        sizes = tokens[rows]
        available = int((sizes * times[rows]).sum())
        if available != cell.available:
            raise ExpectationError(
                f"mix {plan.mix.name}: group {cell.name!r} has {available:,} {plan.mix.unit}; the plan counted "
                f"{cell.available:,}. Plan the mix again with its present documents"
            )
        if cell.asked == cell.available:  # also when no document has a token
            result[rows] = times[rows] if cell.share > 0 else 0
            continue
        epochs, missing = divmod(cell.asked, available)
        document = _walk(hashes[rows], times[rows])
        more = document[_nearest(sizes[document], missing)]
        result[rows] = epochs * times[rows] + np.bincount(more, minlength=len(rows))
    return result


def _walk(hashes: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Return the documents of a cell, each repeated `times` times, in the order in which copies are chosen.

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


def _by_cell(cell_index: np.ndarray, keys: np.ndarray, n_cells: int) -> list[np.ndarray]:
    """Return the rows of each cell, sorted by key, then row."""
    order = np.lexsort((keys, cell_index))
    bounds = np.searchsorted(cell_index[order], np.arange(n_cells + 1))
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
    hashes: np.ndarray, n_copies: np.ndarray, cell_index: np.ndarray, tokens: np.ndarray, plan: MixPlan
) -> pa.Table:
    """Return all copies of all documents in training order, in which every stretch has the shares of the whole.

    The copies of a group are ordered by a hash of (document hash, copy number), and each is placed at the share of the
    group's tokens up to its middle; groups are merged by these positions. So in any stretch, the tokens of a group
    differ from its share by less than about one document at each end, however long the stretch is. The buckets of a
    curve are merged to the order of their group likewise. With a schedule, the copies of each cell are first assigned
    to phases by the cell's quotas, in the order of a second such hash, and each phase is merged by itself; where shares
    change linearly, places are moved accordingly (`ramp`).

    Args: arrays (n_docs,), as for `copies`; n_copies, its result.
    Returns: one row per copy in training order: document, int64 row number; epoch, int32, 0 for the first
    occurrence of a document; position, uint64, the phase in the top 8 bits and a fraction of the phase below.
    """
    document = np.repeat(np.arange(len(n_copies)), n_copies)
    number = np.arange(len(document)) - np.repeat(np.cumsum(n_copies) - n_copies, n_copies)
    key = scramble(hashes[document] + (number + 1).astype(np.uint64) * GOLDEN)
    if plan.mix.disjoint:
        phase = _phase_of(scramble(hashes + GOLDEN), cell_index, tokens * n_copies, plan)[document]
    else:
        phase = _phase_of(key, cell_index[document], tokens[document], plan)
    place = scramble(key + GOLDEN) >> np.uint64(8)
    ties: tuple[np.ndarray, ...] = (number, hashes[document], place)
    sizes, first = tokens[document], phase.astype(np.int64) << 32
    group = np.array([*(cell.group for cell in plan.cells), -1])[cell_index[document]]
    if plan.mix.curve:  # buckets are spread over their group first, then groups are merged
        ties = (*ties, _places(first + cell_index[document], ties, sizes))
    position = phase << np.uint64(56)
    position += _places(first + group, ties, sizes, plan)
    order = np.lexsort((number, hashes[document], place, position))
    document, position = document[order], position[order]
    epoch = np.empty(len(document), np.int32)
    epoch[np.argsort(document, kind="stable")] = number  # the first copy in training order is epoch 0
    return pa.table({"document": document, "epoch": epoch, "position": position})


def _places(
    stratum: np.ndarray, keys: tuple[np.ndarray, ...], sizes: np.ndarray, plan: MixPlan | None = None
) -> np.ndarray:
    """Return the place of each copy in its stratum, see `fractions`, in the order of keys, the last one first.

    Args: stratum, int64, phase << 32 | index; keys; sizes, int64, tokens; all (n_copies,). plan: moves places by the
    shares of its groups, whose indices are those of the strata.
    Returns: uint64 (n_copies,), in units of 2**-56.
    """
    order = np.lexsort((*keys, stratum))
    sizes, strata = sizes[order], stratum[order]
    places = np.empty(len(order), np.uint64)
    bounds = np.flatnonzero(np.append(True, strata[1:] != strata[:-1])[: len(strata)])
    for first, last in itertools.pairwise([*bounds.tolist(), len(order)]):
        stretch = sizes[first:last] if sizes[first:last].any() else np.ones(last - first, np.int64)
        found = fractions(stretch, 0, int(stretch.sum()))
        if plan is not None:
            found = ramp(found, plan, int(strata[first]) >> 32, int(strata[first]) & 0xFFFFFFFF)
        places[order[first:last]] = found
    return places


def ramp(places: np.ndarray, plan: MixPlan, phase: int, group: int) -> np.ndarray:
    """Move the places of a group in a phase so that its share changes linearly from a at the start to b at the end.

    Up to the fraction t of the phase, the group has the share (a t + (b - a) t² / 2) / ((a + b) / 2) of its tokens;
    this is solved for t, in the form without cancellation, with operations that IEEE 754 rounds in one way.

    Args: places, uint64 (n,), in units of 2**-56.
    Returns: uint64 (n,), likewise; the same where the share is constant.
    """
    shares, name = plan.phases[phase], plan.group_keys[group]
    a, b = (float(side.get(name, 0)) for side in (shares.start, shares.end))
    if a == b:
        return places
    u = places / 2.0**56
    below = a + np.sqrt(a * a + (b * b - a * a) * u)
    t = np.divide((a + b) * u, below, out=np.zeros_like(u), where=below > 0)
    return np.minimum((t * 2.0**56).astype(np.uint64), np.uint64((1 << 56) - 1))


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


def _phase_of(key: np.ndarray, cell: np.ndarray, sizes: np.ndarray, plan: MixPlan) -> np.ndarray:
    """Assign the copies of each cell to phases by quotas, in key order.

    Args: key, uint64; cell, int32; sizes, int64, tokens; all (n_copies,).
    Returns: uint64 (n_copies,).
    """
    phase = np.zeros(len(key), np.uint64)
    if len(plan.mix.phases) < 2:
        return phase
    for cell_plan, rows in zip(plan.cells, _by_cell(cell, key, len(plan.cells)), strict=True):
        ends = np.cumsum(sizes[rows])
        total = int(ends[-1]) if len(ends) else 0
        asked_ends = list(itertools.accumulate(cell_plan.quotas))[:-1]
        bounds = [2 * total * end // max(cell_plan.asked, 1) for end in asked_ends]
        middles = 2 * ends - sizes[rows]  # doubled, so that they are whole numbers
        phase[rows] = np.searchsorted(bounds, middles, side="right")
    return phase


def realised(n_docs: np.ndarray, taken: np.ndarray, discarded: np.ndarray, plan: MixPlan) -> pa.Table:
    """Compare a mix with its plan, in the units of the mix.

    Args: distinct documents, units taken, and available units that are not taken at all, of each group; int64
    (n_groups,).
    Returns: one row per group: group, n_docs, available, asked, taken, discarded, asked_share, share, epochs,
    exhausted.
    """
    counts = [[int(n) for n in column] for column in (n_docs, taken, discarded)]
    total, asked_total = max(sum(counts[1]), 1), max(plan.total, 1)
    return pa.table(
        {
            "group": pa.array([group.name for group in plan.groups], pa.string()),
            "n_docs": counts[0],
            "available": [group.available for group in plan.groups],
            "asked": [group.asked for group in plan.groups],
            "taken": counts[1],
            "discarded": counts[2],
            "asked_share": [group.asked / asked_total for group in plan.groups],
            "share": [n / total for n in counts[1]],
            "epochs": [n / max(group.available, 1) for n, group in zip(counts[1], plan.groups, strict=True)],
            "exhausted": [group.is_exhausted for group in plan.groups],
        }
    )
