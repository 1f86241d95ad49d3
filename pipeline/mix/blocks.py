"""A mix over blocks of documents: what one block contributes to choices, phases and the training order.

The same documents, copies and order as by `copies` and `positions` of pipeline.mix.order, which hold all documents.
Choices and ends of phases are positions that pipeline.mix.cutoffs finds; the places of copies need sums of sizes in
front of a range of keys and nothing else, so that ranges are placed side by side.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from pipeline.keyed_hash import GOLDEN, scramble
from pipeline.mix.cutoffs import Choice, Items, Place, Search, chosen, find_choice, find_cut, numbered
from pipeline.mix.order import fractions, ramp
from pipeline.mix.plan import MixPlan

PLACE_BITS = 56
"""Bits of a place: of a copy in its stratum, and of a position inside its phase."""


@dataclass(frozen=True)
class Documents:
    """Documents of a block that a mix may contain.

    rows: int64, ascending over all blocks. cells: int32, -1 for none. sizes: int64, in the units of the mix. hashes:
    uint64. times: int64, how often a document is taken in one pass. All (n_docs,).
    """

    rows: np.ndarray
    cells: np.ndarray
    sizes: np.ndarray
    hashes: np.ndarray
    times: np.ndarray


@dataclass(frozen=True)
class Decided:
    """What is known of a mix. choices: of the cells that are taken in part; cuts: ends of phases but the last, by
    cell."""

    plan: MixPlan
    choices: Mapping[int, Choice] = field(default_factory=dict)
    cuts: Mapping[int, tuple[Place, ...]] = field(default_factory=dict)


def partial_cells(plan: MixPlan) -> list[int]:
    """Cells of which a pass over the documents is taken in part, or never."""
    return [i for i, cell in enumerate(plan.cells) if cell.asked != cell.available]


def choice_searches(plan: MixPlan, n_items: Mapping[int, int]) -> dict[tuple[int, int], Search[Choice]]:
    """One search for each cell that is taken in part. n_items: items of the walk by cell, see `walk`."""
    return {
        (i, 0): find_choice(n_items.get(i, 0), plan.cells[i].asked % max(plan.cells[i].available, 1))
        for i in partial_cells(plan)
    }


def cut_searches(
    plan: MixPlan, n_items: Sequence[int], sizes: Sequence[int]
) -> dict[tuple[int, int], Search[Place]]:
    """One search for each end of a phase but the last, in each cell. Args: items and their sizes, by cell."""
    searches: dict[tuple[int, int], Search[Place]] = {}
    for i, cell in enumerate(plan.cells):
        for j, end in enumerate(list(itertools.accumulate(cell.quotas))[:-1]):
            searches[i, j] = find_cut(int(n_items[i]), 2 * int(sizes[i]) * end // max(cell.asked, 1))
    return searches


def walk(documents: Documents, cells: Sequence[int]) -> tuple[np.ndarray, Items]:
    """Copies of one pass, in whose order further ones are chosen: the document of each, and the copies as items.

    The first copy of a document is ordered by the document's hash, further ones by hashes derived from it. Args: cells,
    those whose copies are wanted.
    """
    wanted = np.flatnonzero(np.isin(documents.cells, np.array(cells, np.int32)))
    times = documents.times[wanted]
    document = np.repeat(wanted, times)
    number = np.arange(len(document)) - np.repeat(np.cumsum(times) - times, times)
    key = documents.hashes[document]
    more = number > 0
    key[more] = scramble(key[more] + number[more].astype(np.uint64) * GOLDEN)
    of = document
    return of, Items(documents.cells[of], key, number, documents.rows[of], documents.sizes[of])


def count_copies(decided: Decided, documents: Documents) -> np.ndarray:
    """How often each document is taken: int32 (n_docs,)."""
    cells = decided.plan.cells
    passes = [
        int(cell.share > 0)
        if cell.asked == cell.available
        else cell.asked // cell.available
        if cell.available
        else 0
        for cell in cells
    ]
    n_copies = np.array([*passes, 0], np.int64)[documents.cells] * documents.times
    if decided.choices:
        document, items = walk(documents, list(decided.choices))
        n_copies += np.bincount(document[chosen(items, decided.choices)], minlength=len(n_copies))
    return n_copies.astype(np.int32)


def phase_items(plan: MixPlan, documents: Documents, n_copies: np.ndarray) -> tuple[np.ndarray, Items]:
    """What is divided among phases: copies, or documents where stages have none in common; the document of each too."""
    number_of = np.ones(len(n_copies), np.int64) if plan.mix.disjoint else n_copies.astype(np.int64)
    document = np.repeat(np.arange(len(n_copies)), number_of)
    cells, rows = documents.cells[document], documents.rows[document]
    if plan.mix.disjoint:
        key = scramble(documents.hashes + GOLDEN)
        return document, Items(cells, key, rows, np.zeros_like(rows), documents.sizes * n_copies)
    number = np.arange(len(document)) - np.repeat(np.cumsum(number_of) - number_of, number_of)
    return document, Items(
        cells, copy_keys(documents.hashes[document], number), rows, number, documents.sizes[document]
    )


def copy_keys(hashes: np.ndarray, number: np.ndarray) -> np.ndarray:
    """Hash of each copy of a document: uint64 (n_copies,)."""
    return scramble(hashes + (number + 1).astype(np.uint64) * GOLDEN)


def list_copies(decided: Decided, documents: Documents, n_copies: np.ndarray) -> tuple[np.ndarray, pa.Table]:
    """All copies of a block's documents, with all that their position in training order depends on.

    Returns: the document of each copy, int64 (n_copies,), and a table: row, hash, number, epoch (0 for the copy that
    comes first in training order), phase, cell, group, place (in the order of which copies of a stratum are spread) and
    size.
    """
    plan = decided.plan
    document = np.repeat(np.arange(len(n_copies)), n_copies)
    number = np.arange(len(document)) - np.repeat(np.cumsum(n_copies) - n_copies, n_copies)
    key = copy_keys(documents.hashes[document], number)
    if decided.cuts:
        phase = numbered(phase_items(plan, documents, n_copies)[1], decided.cuts)
        phase = phase[document] if plan.mix.disjoint else phase
    else:
        phase = np.zeros(len(document), np.uint64)
    place = scramble(key + GOLDEN) >> np.uint64(64 - PLACE_BITS)
    epoch = np.empty(len(document), np.int32)
    epoch[np.lexsort((number, place, phase, document))] = number
    cells = documents.cells[document]
    return document, pa.table(
        {
            "row": documents.rows[document].astype(np.uint64),
            "hash": documents.hashes[document],
            "number": number.astype(np.int32),
            "epoch": epoch,
            "phase": phase.astype(np.uint8),
            "cell": cells,
            "group": np.array([*(cell.group for cell in plan.cells), -1], np.int32)[cells],
            "place": place,
            "size": documents.sizes[document],
        }
    )


TIES = ("row", "number", "hash", "place")
"""What orders copies of one position, the last one first."""


def strata_of_copies(copies: pa.Table, column: str) -> np.ndarray:
    """Stratum of each copy, phase << 32 | cell or group: int64 (n_copies,)."""
    phase = copies["phase"].to_numpy().astype(np.int64)
    return (phase << 32) + copies[column].to_numpy()


def places(
    copies: pa.Table, column: str, sums: Mapping[int, Sums], plan: MixPlan | None = None
) -> np.ndarray:
    """The place of each copy of a range in its stratum: the share of the stratum's sizes up to its middle.

    Args: copies, of one range of `place`, or of `bucket_place` where there is one; column, `cell` or `group`; sums, by
    stratum; plan: moves places by the shares of its groups.
    Returns: uint64 (n_copies,), in units of 2**-56.
    """
    strata = strata_of_copies(copies, column)
    keys = [copies[name].to_numpy() for name in TIES]
    if "bucket_place" in copies.column_names:
        keys.append(copies["bucket_place"].to_numpy())
    order = np.lexsort((*keys, strata))
    sizes, strata = copies["size"].to_numpy()[order], strata[order]
    found = np.empty(len(order), np.uint64)
    starts = np.flatnonzero(np.append(True, strata[1:] != strata[:-1])[: len(strata)])
    for first, last in itertools.pairwise([*starts.tolist(), len(order)]):
        stratum = int(strata[first])
        known = sums[stratum]
        stretch = sizes[first:last] if known.by_size else np.ones(last - first, np.int64)
        part = fractions(stretch, known.before, known.total)
        if plan is not None:
            part = ramp(part, plan, stratum >> 32, stratum & 0xFFFFFFFF)
        found[order[first:last]] = part
    return found


@dataclass(frozen=True)
class Sums:
    """Of one stratum: the sizes in front of a range, and of all its copies; numbers of copies if none has a size."""

    before: int
    total: int
    by_size: bool


def in_order(copies: pa.Table, position: np.ndarray) -> np.ndarray:
    """Order of training: int64 (n_copies,). Args: position, uint64, phase << 56 | place."""
    return np.lexsort((*(copies[name].to_numpy() for name in TIES), position))


def range_of(place: np.ndarray, n_ranges: int) -> np.ndarray:
    """Equal ranges of places: int64 (n,). Args: place, uint64, below 2**56."""
    return (((place >> np.uint64(PLACE_BITS - 32)) * np.uint64(n_ranges)) >> np.uint64(32)).astype(np.int64)


def range_of_position(position: np.ndarray, plan: MixPlan, n_ranges: int) -> np.ndarray:
    """Ranges of positions, about as long as each other: int64 (n,). Args: position, uint64, phase << 56 | place."""
    n_of_phase = [max(1, round(n_ranges * float(phase.length))) for phase in plan.phases]
    firsts = np.append(0, np.cumsum(n_of_phase))
    phase = (position >> np.uint64(PLACE_BITS)).astype(np.int64)
    place = position & np.uint64((1 << PLACE_BITS) - 1)
    inside = ((place >> np.uint64(PLACE_BITS - 32)) * np.array(n_of_phase, np.uint64)[phase]) >> np.uint64(32)
    return firsts[phase] + inside.astype(np.int64)


def count_ranges(plan: MixPlan, n_ranges: int) -> int:
    """Number of ranges of `range_of_position`."""
    return sum(max(1, round(n_ranges * float(phase.length))) for phase in plan.phases)
