"""Sample documents of every rule: some that it takes, and the closest on both sides of its threshold.

Chosen by keyed hash or by distance from the threshold, ties by keyed hash. They come from few shards, so that a large
corpus is not read again for its report.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from pipeline.dataset.shard import Shard
from pipeline.keyed_hash import keyed_hash
from pipeline.report.bucket_numbers import shown_documents
from pipeline.report.rule_counts import Scopes, Tested, alone
from pipeline.report.signals import Columns
from pipeline.rules.rules import Rule
from pipeline.select.verdicts import Decision, Kept

if TYPE_CHECKING:
    from pipeline.planning.session import Session

TAKEN, NEAR = 3, 2
"""Documents that a rule takes, drawn at random; documents closest to its threshold on each side."""

SHARDS = 24
"""Largest number of shards that samples come from."""

CHARS = 320
"""Characters of a text that a sample shows."""


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A document of a rule's samples. side: `taken`, `outside` or `inside`, close to the threshold.

    order, tie: what the samples of a side are chosen by, the smallest first. column, value, bound: of the bound that it
    is outside of, or closest to; None for a rule without bounds.
    """

    rule: str
    side: str
    order: float
    tie: float
    doc_id: str
    row: int
    language: str
    alone: bool
    column: str | None = None
    value: float | None = None
    bound: float | None = None


def sampled_shards(shards: Sequence[Shard]) -> set[int]:
    """Ordinals of the shards that samples come from: the first ones of each source, sources in turn."""
    by_source: dict[str, list[int]] = {}
    for i, shard in enumerate(shards):
        by_source.setdefault(shard.source, []).append(i)
    rounds = [group[i] for i in range(SHARDS) for group in by_source.values() if i < len(group)]
    return set(rounds[:SHARDS])


def candidates(
    rules: Sequence[Rule], kept: Kept, scopes: Scopes, columns: Columns, language: pa.ChunkedArray, seed: int
) -> list[Candidate]:
    """The samples that a shard has of each rule; those of several shards are merged by `choose`."""
    found: list[Candidate] = []
    hashes = (keyed_hash(columns["doc_id"], seed) >> np.uint64(11)).astype(np.float64)
    lost = alone(rules, kept)
    for i, rule in enumerate(rules):
        failed, tests = kept.failed[i], scopes.tested(rule)
        place = _Place(rule.name, columns, language, lost[i], hashes)
        later = np.where(lost[i] | (rule.action != "drop"), 0.0, 1.0)  # documents lost to it alone first
        for row in _smallest(failed, later, hashes, TAKEN):
            test = next((t for t in tests if t.scope[row] and t.margin[row] < 0), None)
            found.append(place.candidate("taken", row, later[row], test))
        for test in tests:
            margin = test.margin
            takes, leaves = (
                failed & test.scope & (margin < 0),
                kept.keep & ~failed & test.scope & (margin >= 0),
            )
            for side, rows in (("outside", takes), ("inside", leaves)):
                distance = np.where(rows, np.abs(margin), 0)
                nearest = _smallest(rows, distance, hashes, NEAR)
                found += [place.candidate(side, row, distance[row], test) for row in nearest]
    return found


def _smallest(chosen: np.ndarray, order: np.ndarray, ties: np.ndarray, n: int) -> list[int]:
    """The n chosen rows with the smallest order, ties by `ties`."""
    rows = np.flatnonzero(chosen)
    if len(rows) > n:
        limit = np.partition(order[rows], n - 1)[n - 1]
        rows = rows[order[rows] <= limit]
    return [int(row) for row in rows[np.lexsort((ties[rows], order[rows]))][:n]]


class _Place(NamedTuple):
    """A rule over the rows of a shard."""

    rule: str
    columns: Columns
    language: pa.ChunkedArray
    lost: np.ndarray
    hashes: np.ndarray

    def candidate(self, side: str, row: int, order: float, test: Tested | None) -> Candidate:
        """One sample, by its row. test: the bound that it is near or outside of."""
        values = (
            (test.column, _plain(test.values[row]), _plain(test.bounds[row])) if test else (None, None, None)
        )
        column, value, bound = values
        return Candidate(
            rule=self.rule, side=side, order=float(order), tie=float(self.hashes[row]), row=row,
            doc_id=self.columns["doc_id"][row].as_py(), language=self.language[row].as_py(),
            alone=bool(self.lost[row]), column=column, value=value, bound=bound,
        )  # fmt: skip


def _plain(value: float) -> float:
    return float(str(np.float32(value))) if np.float32(value) == value else float(value)


def choose(found: Iterable[tuple[int, Candidate]]) -> list[tuple[int, Candidate]]:
    """The samples of each rule and side with the smallest order, given with the ordinals of their shards."""
    groups: dict[tuple[str, str], list[tuple[int, Candidate]]] = {}
    for ordinal, candidate in found:
        groups.setdefault((candidate.rule, candidate.side), []).append((ordinal, candidate))
    chosen: list[tuple[int, Candidate]] = []
    for (_, side), group in groups.items():
        unique = {candidate.doc_id: (ordinal, candidate) for ordinal, candidate in group}
        ordered = sorted(unique.values(), key=lambda pair: (pair[1].order, pair[1].tie))
        chosen += ordered[: TAKEN if side == "taken" else NEAR]
    return chosen


def rule_samples(
    session: Session, decisions: Sequence[Decision], found: Mapping[int, Sequence[Candidate]]
) -> list[dict[str, Any]]:
    """The chosen samples with the start of their texts, as a report shows them.

    Args: found, candidates by the ordinal of their shard.
    """
    chosen = choose((ordinal, c) for ordinal in sorted(found) for c in found[ordinal])
    texts: dict[str, dict[str, Any]] = {}
    for ordinal in sorted({ordinal for ordinal, _ in chosen}):
        rows = np.array(sorted({c.row for o, c in chosen if o == ordinal}), np.int64)
        for document in shown_documents(session, decisions[ordinal], rows, CHARS):
            texts[document["doc_id"]] = document
    sources = {ordinal: decisions[ordinal].shard.source for ordinal, _ in chosen}
    return [
        {
            **{name: value for name, value in msgspec.to_builtins(c).items() if name not in ("order", "tie", "row")},
            "source": sources[ordinal], "keep": texts[c.doc_id]["keep"], "text": texts[c.doc_id]["text"],
        }
        for ordinal, c in chosen
    ]  # fmt: skip
