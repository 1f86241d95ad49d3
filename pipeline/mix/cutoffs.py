"""Search for positions in the key order of many blocks of documents, by sums over ranges of keys.

A mix is decided by prefix sums in the order of a keyed hash: which copies still fit into a quota, and at which copy a
phase of the training order ends. No process needs the order itself. A search asks for the sums of sizes in a range of
keys, divided into bins; every block answers with its own sums, which add up. The search goes on in the bin that
decides, and asks for single items once few are left. Searches of all cells ask in the same turns: two or three for a
billion documents.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import numpy as np
import pyarrow as pa

Found = TypeVar("Found")

ALL_KEYS = 1 << 64
"""End of the range of all keys."""

ITEMS_PER_TURN = 1 << 20
"""Items that all searches of a mix receive in one turn, about 40 MB."""

BINS_PER_TURN = 1 << 16
"""Bins that all searches of a mix receive in one turn, 24 bytes each from every block."""

ITEMS_AHEAD = 1 << 14
"""Items that are asked for together with those of the bin that decides, so that few turns follow."""

Place = tuple[int, int, int]
"""A position in the order of keys: key, then what resolves ties."""


@dataclass(frozen=True)
class Items:
    """What is chosen or divided: copies, or documents.

    cell: int32. key: uint64, the order; first, second: int64, resolve ties. size: int64. All (n_items,).
    """

    cell: np.ndarray
    key: np.ndarray
    first: np.ndarray
    second: np.ndarray
    size: np.ndarray

    def take(self, rows: np.ndarray | slice) -> Items:
        """Some of the items."""
        return Items(self.cell[rows], self.key[rows], self.first[rows], self.second[rows], self.size[rows])

    def order(self) -> np.ndarray:
        """Order by cell, then position: int64 (n_items,)."""
        return np.lexsort((self.second, self.first, self.key, self.cell))

    def place(self, i: int) -> Place:
        """Position of an item."""
        return int(self.key[i]), int(self.first[i]), int(self.second[i])

    def from_place(self, place: Place) -> np.ndarray:
        """Which items are at a position or behind it: bool (n_items,)."""
        key, first, second = place
        if key >= ALL_KEYS:
            return np.zeros(len(self.key), bool)
        behind = (self.first > first) | ((self.first == first) & (self.second >= second))
        return (self.key > np.uint64(key)) | ((self.key == np.uint64(key)) & behind)

    def to_table(self) -> pa.Table:
        """The items as a table; `of` is the inverse."""
        return pa.table({name: getattr(self, name) for name in _COLUMNS})

    @staticmethod
    def of(table: pa.Table) -> Items:
        """See `to_table`."""
        return Items(*(table[name].to_numpy() for name in _COLUMNS))

    @staticmethod
    def joined(parts: Sequence[Items]) -> Items:
        """The items of several blocks, in order."""
        joined = Items(*(np.concatenate([getattr(part, name) for part in parts]) for name in _COLUMNS))
        return joined.take(joined.order())


_COLUMNS = ("cell", "key", "first", "second", "size")


@dataclass(frozen=True)
class Ask:
    """What a search wants to know: keys from low to before high, in which there are n_items.

    steps: if given, the smallest item that they do not take is wanted, instead of sums or items.
    """

    low: int
    high: int
    n_items: int
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True)
class Request:
    """An Ask about one cell. bins: equal parts of the range whose sums are wanted; 0 for the items themselves."""

    cell: int
    low: int
    high: int
    bins: int
    steps: tuple[Step, ...] = ()

    @property
    def edges(self) -> list[int]:
        """Bounds of the bins, bins + 1 of them."""
        width = -(-(self.high - self.low) // max(self.bins, 1))
        return [min(self.low + i * width, self.high) for i in range(max(self.bins, 1) + 1)]


@dataclass(frozen=True)
class Sums:
    """Sums over bins of keys. edges: bounds of the bins, int; size, least, count: int64 (n_bins,)."""

    edges: list[int]
    size: np.ndarray
    least: np.ndarray
    count: np.ndarray


@dataclass(frozen=True)
class Step:
    """From a position on, an item is taken if its size is at most `most`; -1 takes none."""

    place: Place
    most: int


@dataclass(frozen=True)
class Choice:
    """Which items of a cell are taken: by the last step in front of each, and one more."""

    steps: tuple[Step, ...]
    extra: Place | None = None

    def of(self, items: Items) -> np.ndarray:
        """Which of the cell's items are taken: bool (n_items,)."""
        taken = taken_by(self.steps, items)
        if self.extra is not None:
            key, first, second = self.extra
            taken |= (items.key == np.uint64(key)) & (items.first == first) & (items.second == second)
        return taken


NONE = Choice((Step((0, -1, -1), -1),))


def taken_by(steps: Sequence[Step], items: Items) -> np.ndarray:
    """Which items steps take: bool (n_items,)."""
    most = np.full(len(items.key), -1, np.int64)
    for step in steps:
        most[items.from_place(step.place)] = step.most
    taken: np.ndarray = items.size <= most
    return taken


LEAST_OF_NONE = np.iinfo(np.int64).max

Search = Generator[Ask, "Sums | Items", Found]
"""Asks, receives Sums or Items, and returns what was found."""


def search(
    searches: Mapping[tuple[int, int], Search[Found]],
    answer: Callable[[Sequence[Request]], Sequence[pa.Table]],
) -> dict[tuple[int, int], Found]:
    """Run searches side by side.

    Args: searches, by cell and a further number; answer, which returns what all blocks have found, one table for each
    request, see `merged`.
    """
    found: dict[tuple[int, int], Found] = {}
    waiting: dict[tuple[int, int], Ask] = {}

    def advance(name: tuple[int, int], value: Sums | Items | None) -> None:
        try:
            waiting[name] = searches[name].send(value)  # type: ignore[arg-type]  # None starts a generator
        except StopIteration as end:
            found[name] = end.value
            waiting.pop(name, None)

    for name in searches:
        advance(name, None)
    while waiting:
        names, requests = turn(waiting)
        for name, request, table in zip(names, requests, answer(requests), strict=True):
            is_sum = "count" in table.column_names
            advance(name, Sums(request.edges, *map(np.asarray, table.columns)) if is_sum else Items.of(table))
    return found


def turn(waiting: Mapping[tuple[int, int], Ask]) -> tuple[list[tuple[int, int]], list[Request]]:
    """The requests of one turn: items for the smallest ranges, as many as one turn may have, sums for the others."""
    names = sorted(waiting, key=lambda name: (waiting[name].n_items, name))
    ends = np.cumsum([waiting[name].n_items for name in names])
    n_small = int(np.searchsorted(ends, ITEMS_PER_TURN, side="right"))
    bins = max(BINS_PER_TURN // max(len(names) - n_small, 1), 2)
    requests = []
    for i, name in enumerate(names):
        ask = waiting[name]
        as_items = i < n_small or ask.high - ask.low == 1
        requests.append(Request(name[0], ask.low, ask.high, 0 if as_items or ask.steps else bins, ask.steps))
    return names, requests


def answers(items: Items, requests: Sequence[Request]) -> list[pa.Table]:
    """What one block knows, one table for each request: columns of Sums, or of Items.

    Args: items, ordered by cell and position.
    """
    n_cells = max((request.cell for request in requests), default=-1) + 1
    bounds = np.searchsorted(items.cell, np.arange(n_cells + 1))
    tables = []
    for request in requests:
        mine = items.take(slice(bounds[request.cell], bounds[request.cell + 1]))
        edges = _edges(mine.key, request.edges)
        if request.steps:
            left = mine.take(~taken_by(request.steps, mine))
            smallest = int(np.argmin(left.size)) if len(left.size) else 0
            tables.append(left.take(slice(smallest, smallest + 1)).to_table())
        elif request.bins:
            tables.append(_sums(mine.size, edges))
        else:
            tables.append(mine.take(slice(edges[0], edges[-1])).to_table())
    return tables


def _edges(keys: np.ndarray, edges: Sequence[int]) -> np.ndarray:
    """Positions of the first keys that are at least as large as each edge, among sorted keys."""
    inside = np.array([edge for edge in edges if edge < ALL_KEYS], np.uint64)
    found = np.searchsorted(keys, inside)
    return np.append(found, np.full(len(edges) - len(inside), len(keys))).astype(np.int64)


def _sums(sizes: np.ndarray, edges: np.ndarray) -> pa.Table:
    before = np.append(0, np.cumsum(sizes))
    counts = np.diff(edges)
    least = np.full(len(counts), LEAST_OF_NONE, np.int64)
    if len(sizes) and counts.any():
        filled = counts > 0
        least[filled] = np.minimum.reduceat(sizes[: edges[-1]], edges[:-1][filled])
    return pa.table({"size": np.diff(before[edges]), "least": least, "count": counts})


def merged(request: Request, tables: Sequence[pa.Table]) -> pa.Table:
    """Join what blocks answer to one request; the results of several calls may be joined again."""
    if request.bins:
        columns = [
            np.stack([np.asarray(table[name]) for table in tables]) for name in ("size", "least", "count")
        ]
        size, least, count = columns[0].sum(0), columns[1].min(0), columns[2].sum(0)
        return pa.table({"size": size, "least": least, "count": count})
    items = Items.joined([Items.of(table) for table in tables])
    if request.steps and len(items.key):
        smallest = int(np.argmin(items.size))  # the first of the smallest ones
        items = items.take(slice(smallest, smallest + 1))
    return items.to_table()


def find_choice(n_items: int, missing: int) -> Search[Choice]:
    """Take items in order if they still fit into what is missing, then the smallest remaining one if that is closer.

    Args: n_items, of the cell; missing, the sum of sizes that is wanted.
    """
    if not missing:
        return NONE
    greedy = _Greedy(missing)
    yield from greedy.scan(Ask(0, ALL_KEYS, n_items))
    steps = tuple(greedy.steps)
    if greedy.missing:
        left = yield Ask(0, ALL_KEYS, 1, steps)
        assert isinstance(left, Items)
        if len(left.key) and left.size[0] < 2 * greedy.missing:
            return Choice(steps, left.place(0))
    return Choice(steps)


class _Greedy:
    """Takes items while they fit.

    limit: what was missing when the last item was refused; larger items are passed over. Once nothing is missing, the
    next item up to the limit ends the search, so that items without a size are taken up to there.
    """

    def __init__(self, missing: int) -> None:
        self.missing = self.limit = missing
        self.steps = [Step((0, -1, -1), missing)]
        self.is_done = False

    def refuse(self, place: Place) -> None:
        """An item up to the limit does not fit: from here on, only smaller ones are taken."""
        self.limit, self.is_done = self.missing, not self.missing
        self.steps.append(Step(place, self.missing or -1))

    def scan(self, ask: Ask) -> Generator[Ask, Sums | Items, None]:
        """Go through a range of keys."""
        answer = yield ask
        if isinstance(answer, Items):
            self.take(answer)
            return
        i, n = 0, len(answer.count)
        while i < n and not self.is_done:
            if answer.size[i] <= self.missing:  # all fit
                self.missing -= int(answer.size[i])
            elif answer.least[i] > self.missing:  # none fits
                if answer.least[i] <= self.limit:
                    self.refuse((answer.edges[i], -1, -1))
            else:
                ends = np.cumsum(answer.count[i:])
                n_bins = max(int(np.searchsorted(ends, ITEMS_AHEAD, side="right")), 1)
                part = Ask(answer.edges[i], answer.edges[i + n_bins], int(ends[n_bins - 1]))
                yield from self.scan(part)
                i += n_bins - 1
            i += 1

    def take(self, items: Items) -> None:
        """Go through single items, in order."""
        at = 0
        while at < len(items.size) and not self.is_done:
            rest = at + np.flatnonzero(items.size[at:] <= self.limit)
            ends = np.cumsum(items.size[rest])
            n_fit = int(np.searchsorted(ends, self.missing, side="right"))
            self.missing -= int(ends[n_fit - 1]) if n_fit else 0
            if n_fit == len(rest):
                return
            at = int(rest[n_fit])
            self.refuse(items.place(at))


def find_cut(n_items: int, bound: int) -> Search[Place]:
    """Find the first item whose middle, doubled, is at least `bound`; its position, or one behind all before it.

    The middle of an item is the sum of sizes in front of it and half its own.
    """
    low, high, before = 0, ALL_KEYS, 0
    while True:
        answer = yield Ask(low, high, n_items)
        ends = 2 * (before + np.cumsum(answer.size))
        if isinstance(answer, Items):
            i = int(np.searchsorted(ends - answer.size, bound))
            return answer.place(i) if i < len(ends) else (high, -1, -1)
        i = int(np.searchsorted(ends, bound))
        if i == len(ends):
            return high, -1, -1
        low, high, n_items = answer.edges[i], answer.edges[i + 1], int(answer.count[i])
        before += int(answer.size[:i].sum())


def numbered(items: Items, cuts: Mapping[int, Sequence[Place]]) -> np.ndarray:
    """Number of cuts in front of each item in its cell: uint64 (n_items,). Args: cuts, positions by cell."""
    numbers = np.zeros(len(items.key), np.uint64)
    for rows, mine, places in _cells(items, cuts):
        for place in places:
            numbers[rows] += mine.from_place(place)
    return numbers


def chosen(items: Items, choices: Mapping[int, Choice]) -> np.ndarray:
    """Which items are taken: bool (n_items,). Args: choices, by cell; items of other cells are not taken."""
    taken = np.zeros(len(items.key), bool)
    for rows, mine, choice in _cells(items, choices):
        taken[rows] = choice.of(mine)
    return taken


def _cells(items: Items, by_cell: Mapping[int, Found]) -> Iterable[tuple[np.ndarray, Items, Found]]:
    """The items of each cell that is named: their numbers, the items, and what is known of the cell."""
    order = np.argsort(items.cell, kind="stable")
    cells = items.cell[order]
    starts = np.flatnonzero(np.diff(cells, prepend=cells[0] - 1)) if len(cells) else np.zeros(0, np.int64)
    for low, high in pairwise([*starts.tolist(), len(cells)]):
        if int(cells[low]) in by_cell:
            rows = order[low:high]
            yield rows, items.take(rows), by_cell[int(cells[low])]


def pack(tables: Sequence[pa.Table]) -> dict[str, pa.Table]:
    """The answers to several requests as two tables, by kind."""
    packed: dict[str, list[pa.Table]] = {}
    for i, table in enumerate(tables):
        kind = "sums" if "count" in table.column_names else "items"
        packed.setdefault(kind, []).append(table.append_column("request", pa.repeat(i, len(table))))
    return {kind: pa.concat_tables(parts) for kind, parts in packed.items()}


def unpack(packed: Mapping[str, pa.Table], n_requests: int) -> list[pa.Table]:
    """The inverse of `pack`."""
    tables: list[pa.Table | None] = [None] * n_requests
    empty = Items(
        *(np.zeros(0, dtype) for dtype in (np.int32, np.uint64, np.int64, np.int64, np.int64))
    ).to_table()
    for table in packed.values():
        numbers = table["request"].to_numpy()
        for i in np.unique(numbers).tolist():
            low, high = np.searchsorted(numbers, [i, i + 1])
            tables[i] = table.slice(low, high - low).drop_columns(["request"])
    return [empty if table is None else table for table in tables]
