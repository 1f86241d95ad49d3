"""Draws documents of a build for labelling: spread over languages, scores, lengths and domains.

Each language gets the same number, and within it each quantile of the score. Within a quantile, documents are taken in
turn from each length class, and within that in turn from each domain. Ties are decided by a keyed hash of the
document's id, so that a draw is repeated by the same seed, and does not depend on shards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import UsageError
from pipeline.inspect.opened import Finished
from pipeline.inspect.query import columns_of, judged_table, parse_where
from pipeline.keyed_hash import keyed_hash
from pipeline.names import nearest
from pipeline.select.verdicts import Decision

N_LENGTHS = 3
"""Number of length classes, equal shares of a language's documents."""
NO_VALUE = ""
"""Language or domain of documents without one."""


@dataclass(frozen=True, kw_only=True)
class DrawSettings:
    """documents: how many in all. score: column to draw by, "" for none. quantiles: of the score, equal shares of a
    language's documents; those without a score are a further one. domain: column, "" for none. languages: labels to
    draw from, () for all. wheres: comparisons that a document must match."""

    documents: int
    score: str
    quantiles: int
    domain: str
    languages: tuple[str, ...] = ()
    wheres: tuple[str, ...] = ()
    seed: int = 0


def settings_of(
    finished: Finished, documents: int, score: str | None, quantiles: int, languages: Sequence[str],
    wheres: Sequence[str], seed: int,
) -> DrawSettings:  # fmt: skip
    """Settings of a draw, with the columns of the release for what is not named: its quality bucket, or a score.

    Raises: UsageError for a column that the build lacks.
    """
    layout, available = finished.releasing.layout, columns_of(finished)
    if score is None:
        candidates = (layout.columns["quality_bucket"], *layout.scores.values())
        score = next((column for column in candidates if column), "")
    elif score not in available:
        raise UsageError(f"--score: no column {score!r}{nearest(score, available)}")
    if layout.columns["language"] is None:
        raise UsageError(
            "the build labels no languages, of which a sheet draws equal numbers; annotate with one"
        )
    return DrawSettings(
        documents=documents, score=score, quantiles=quantiles, domain=layout.columns["domain"] or "",
        languages=tuple(languages), wheres=tuple(wheres), seed=seed,
    )  # fmt: skip


def draw_documents(finished: Finished, settings: DrawSettings) -> pa.Table:
    """Draw documents: doc_id, language, domain, score, quantile, length, chars, population, drawn and text, shuffled.

    quantile: -1 without a score. length: its class, 0 shortest. chars: characters of the text. population, drawn:
    documents of the language and quantile in the build, and in the sheet, from which a weight can be computed.
    Raises: UsageError if no document matches, or a column is unknown.
    """
    decisions = list(finished.decisions())
    tables = [_facts(finished, decision, i, settings) for i, decision in enumerate(decisions)]
    table = pa.concat_tables(tables)
    if settings.languages:
        present = set(pc.unique(table["language"]).to_pylist())
        for name in settings.languages:
            if name not in present:
                raise UsageError(f"--language: no document is labelled {name!r}{nearest(name, present)}")
        table = table.filter(pc.is_in(table["language"], pa.array(settings.languages)))
    if not table.num_rows:
        raise UsageError("no document matches; draw from more with other --where or --language")
    table = choose(table, settings)
    texts: dict[str, str] = {}
    for i in sorted(set(table["shard"].to_pylist())):
        rows = table.filter(pc.equal(table["shard"], i))
        places = np.sort(rows["place"].to_numpy())
        ids = dict(zip(rows["place"].to_pylist(), rows["doc_id"].to_pylist(), strict=True))
        for place, text in finished.shown_text(decisions[i], places):
            texts[ids[place]] = text
    shown = [texts[doc_id] for doc_id in table["doc_id"].to_pylist()]
    table = table.drop_columns(["shard", "place", "bytes"]).append_column(
        "text", pa.array(shown, pa.large_string())
    )
    chars = pc.utf8_length(table["text"]).cast(pa.int32())
    table = table.append_column("chars", chars)
    order = np.argsort(keyed_hash(table["doc_id"], settings.seed + 1), kind="stable")
    return table.take(pa.array(order))


def _facts(finished: Finished, decision: Decision, number: int, settings: DrawSettings) -> pa.Table:
    """What the draw depends on, for the matching documents of a shard."""
    wheres = [parse_where(where, columns_of(finished)) for where in settings.wheres]
    language = finished.releasing.layout.columns["language"]
    named = {language or "", settings.score, settings.domain, *(where.column for where in wheres)} - {""}
    decided = {"keep", "rule", "keeper_id", "similarity", "duplicate"}
    wanted = {"doc_id", "text_bytes", *named} - decided
    table = judged_table(finished, finished.judge_shard(decision, wanted))
    matching = np.ones(table.num_rows, bool)
    for where in wheres:
        matching &= where.rows(table)
    n_rows = table.num_rows

    def text_of(column: str | None) -> pa.ChunkedArray:
        none = pa.chunked_array([pa.repeat(NO_VALUE, n_rows)])
        return pc.fill_null(pc.cast(table[column], pa.string()), NO_VALUE) if column else none

    score: Any = pa.chunked_array([pa.nulls(n_rows, pa.float64())])
    if settings.score:
        dtype = table[settings.score].type
        if not (pa.types.is_integer(dtype) or pa.types.is_floating(dtype)):
            raise UsageError(f"--score {settings.score}: a column of {dtype}; expected numbers")
        score = pc.cast(table[settings.score], pa.float64(), safe=False)
    facts = pa.table(
        {
            "doc_id": table["doc_id"], "language": text_of(language), "domain": text_of(settings.domain),
            "score": score, "bytes": pc.cast(table["text_bytes"], pa.int64()),
            "shard": pa.repeat(number, n_rows), "place": np.arange(n_rows),
        }
    )  # fmt: skip
    return facts.filter(pa.array(matching))


def choose(table: pa.Table, settings: DrawSettings) -> pa.Table:
    """Choose documents from the facts of all: adds quantile, length, population and drawn.

    Args: table, with doc_id, language, domain, score (float64, null for none) and bytes.
    """
    score = pc.fill_null(table["score"], np.nan).to_numpy().astype(np.float64)
    hashes = keyed_hash(table["doc_id"], settings.seed)
    n_rows = table.num_rows
    quantile, length = np.full(n_rows, -1, np.int32), np.zeros(n_rows, np.int32)
    languages = table["language"].to_numpy().astype(str)
    domains = np.unique(table["domain"].to_numpy().astype(str), return_inverse=True)[1]
    n_bytes = table["bytes"].to_numpy()
    cells: list[list[np.ndarray]] = []
    population = np.zeros(n_rows, np.int64)
    for name in sorted(set(languages.tolist())):
        rows = np.flatnonzero(languages == name)
        length[rows] = classes(n_bytes[rows].astype(np.float64), N_LENGTHS)
        scored = rows[np.isfinite(score[rows])]
        quantile[scored] = classes(score[scored], settings.quantiles)
        of_language = []
        for value in np.unique(quantile[rows]):
            members = rows[quantile[rows] == value]
            population[members] = len(members)
            turns = [in_turn(members[length[members] == k], domains, hashes) for k in range(N_LENGTHS)]
            of_language.append(interleave(turns, hashes))
        cells.append(of_language)
    chosen = shares(cells, settings.documents)
    drawn = np.zeros(n_rows, np.int64)
    for members in chosen:
        drawn[members] = len(members)
    rows = np.concatenate(chosen)
    extra = {"quantile": quantile, "length": length, "population": population, "drawn": drawn}
    table = table.take(pa.array(rows))
    for column, values in extra.items():
        table = table.append_column(column, pa.array(values[rows]))
    return table


def classes(values: np.ndarray, n_classes: int) -> np.ndarray:
    """Return the class of each value, equal shares of the documents; equal values share one: (n,) to int32 (n,)."""
    ordered = np.sort(values)
    below, through = np.searchsorted(ordered, values, "left"), np.searchsorted(ordered, values, "right")
    return (n_classes * (below + through) // (2 * max(len(values), 1))).astype(np.int32)


def in_turn(members: np.ndarray, group: np.ndarray, hashes: np.ndarray) -> np.ndarray:
    """Order documents so that every group has one before any has two, by hash within a group and between groups.

    Args: members, int64 (n,), rows; group, integers, and hashes, uint64, of all rows.
    """
    by_group = members[np.lexsort((hashes[members], group[members]))]
    groups = group[by_group]
    first = np.flatnonzero(np.append(True, groups[1:] != groups[:-1])[: len(groups)])
    rank = np.arange(len(groups)) - np.repeat(first, np.diff(np.append(first, len(groups))))
    return by_group[np.lexsort((hashes[by_group], rank))]


def interleave(lists: Sequence[np.ndarray], hashes: np.ndarray) -> np.ndarray:
    """Take the first of every list, then the second and so on, in each round by hash. lists: rows, int64 (n,) each."""
    rank = np.concatenate([np.arange(len(rows)) for rows in lists])
    rows = np.concatenate(lists)
    return rows[np.lexsort((hashes[rows], rank))]


def shares(cells: Sequence[Sequence[np.ndarray]], documents: int) -> list[np.ndarray]:
    """Take documents from the front of each cell, as equally as the sizes allow: languages first, then quantiles.

    Args: cells, for each language one array of rows for each quantile.
    """
    of_languages = even([sum(map(len, of_language)) for of_language in cells], documents)
    chosen = []
    for of_language, n in zip(cells, of_languages, strict=True):
        for members, m in zip(of_language, even([len(members) for members in of_language], n), strict=True):
            chosen.append(members[:m])
    return chosen


def even(sizes: Sequence[int], total: int) -> list[int]:
    """Share out a total as evenly as sizes allow; what is left over goes to the last, which are the best quantiles."""
    taken = [0] * len(sizes)
    left = min(total, sum(sizes))
    while left:
        open_ = [i for i in range(len(sizes)) if taken[i] < sizes[i]]
        step = max(left // len(open_), 1)
        for i in reversed(open_):
            n = min(step, sizes[i] - taken[i], left)
            taken[i] += n
            left -= n
    return taken
