"""Quality buckets: quantiles of each document's scores within its language, for each scorer and for the ensemble.

Reads the columns of the scorers, the language, the size, the cluster and whether the base rules pass; writes a bucket
per scorer, the ensemble's bucket and its tier. Buckets are 0 to n_buckets - 1, the last one best. Bucket edges are
computed from a population: the documents that pass the base rules, one per cluster, the one with the smallest doc_id.
All other documents are assigned by the same edges. Edges of an earlier run can be given instead; the population then
shows how far the data has drifted from them.

A scorer is any column of numbers, in any range (`stages.cuts.edges`). Each bucket contains an equal share of the
population's tokens, or bytes where none are counted, computed from exact integer histograms: a value is assigned to
bucket k if the middle of its weight lies in the k-th share, so that ties share a bucket and nothing depends on order.
Languages with few documents in the population use the edges of all languages together.

Histograms are added up over groups of shards, and each group assigns the buckets of its own rows, so that no process
holds the rows of all. The sum has an entry for each distinct value of a scorer in a language: some ten thousand for
scores in thousandths, as stages write them; a column of unrounded numbers may have one for each document.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import ConfigError, ExpectationError
from pipeline.rounds import RESULTS, Inbox, Round, Sent, Tables
from pipeline.schema import split_column
from pipeline.stage import Global, Outcome, RunContext, outcome_of
from stages.cuts.counts import (
    OVERLAPS,
    add_up,
    bucket_sizes,
    cuts_of,
    cuts_table,
    effectives,
    has_score,
    histograms,
    languages_of,
    sizes_rows,
    sizes_table,
    values_of,
    worth_of,
    worth_table,
)
from stages.cuts.drift import DRIFT, compare
from stages.cuts.edges import ALL, ENSEMBLE, NO_SCORE, Cut, Edges, cut, list_edges, read_edges, to_keys
from stages.cuts.given import Given, given_edges
from stages.cuts.overview import SAMPLE_LANGUAGES, list_overlaps, list_samples, overlap, samples
from stages.kernels.text.hashing import ODD_A, string_keys

SCORES = ("quality.value", "quality.keep")
"""The default scorers; `quality.intact` finds damage, and a rule uses it."""

SUMMARY = pa.schema(
    {
        "language": pa.string(),
        "cut_by": pa.string(),
        "unit": pa.string(),
        "documents": pa.int64(),
        "population": pa.int64(),
        "size": pa.int64(),
        "top_size": pa.int64(),
        "top_share": pa.float64(),
    }
)
"""cut_by: the language whose bucket edges were used, or `*`. unit: the column that sizes are sums of. documents: rows
with a score. size: of the population. top: the ensemble's last bucket, in the population. The last row, `*`, is the
total of all languages."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Scorers, how they are combined, and where bucket edges come from.

    scores: columns of numbers. low_is_best: those of them in which small numbers are better, such as perplexity.
    n_buckets: equal shares of the population. ensemble: `max`, the largest of a document's buckets; `mean`, halves
    rounded up; `vote`, the best bucket that `votes` scorers reach; `head`, the bucket of the column `head`. votes: 0
    for more than half of the scorers; a scorer without a score abstains. head: column of a model over other scores.
    size: column of whole numbers of which buckets hold equal shares; `auto`, the run's token counts, or text_bytes
    where it has none. high, medium: least bucket of these tiers; lower ones are `low`. min_rows: a language with fewer
    documents in the population uses the bucket edges of all languages. edges: `fit`, `release:NAME`, or a file: the
    artefact `edges` of an earlier run, or report.json of a release. max_drift: largest population stability index of
    given edges that stops no run, null for no limit; what chance alone may cause never does. given: edges that `edges`
    was replaced by.
    """

    scores: tuple[str, ...] = SCORES
    low_is_best: tuple[str, ...] = ()
    n_buckets: int = 20
    ensemble: Literal["max", "mean", "vote", "head"] = "max"
    votes: int = 0
    head: str = ""
    size: str = "auto"
    high: int = 17
    medium: int = 8
    min_rows: int = 200
    edges: str = "fit"
    max_drift: float | None = None
    given: Given = ()

    def __post_init__(self) -> None:
        if isinstance(self.scores, str) or not self.scores or len(set(self.scores)) < len(self.scores):
            raise ConfigError(f"cuts.scores is {self.scores!r}; expected a list of different columns")
        if not 2 <= self.n_buckets <= 1000:
            raise ConfigError(f"cuts.n_buckets is {self.n_buckets}; expected 2 to 1000")
        if self.ensemble not in ("max", "mean", "vote", "head"):
            raise ConfigError(f"cuts.ensemble is {self.ensemble!r}; expected 'max', 'mean', 'vote' or 'head'")
        if (self.ensemble == "head") != bool(self.head):
            raise ConfigError(
                f"cuts.head is {self.head!r} and cuts.ensemble {self.ensemble!r}; expected a column with ensemble "
                "'head', and none with another"
            )
        if self.votes and (self.ensemble != "vote" or not 1 <= self.votes <= len(self.scores)):
            raise ConfigError(
                f"cuts.votes is {self.votes}; expected 1 to the number of scores ({len(self.scores)}), with ensemble "
                "'vote'"
            )
        if isinstance(self.low_is_best, str) or set(self.low_is_best) - set(self.columns):
            raise ConfigError(f"cuts.low_is_best is {self.low_is_best!r}; expected columns of cuts.scores")
        if not 0 <= self.medium <= self.high < self.n_buckets:
            raise ConfigError(
                f"cuts.medium is {self.medium} and cuts.high {self.high}; expected 0 <= medium <= high < n_buckets "
                f"({self.n_buckets})"
            )
        if self.min_rows < 1:
            raise ConfigError(f"cuts.min_rows is {self.min_rows}; expected 1 or more")
        if not self.edges:
            raise ConfigError("cuts.edges is empty; expected `fit`, a file or `release:NAME`")
        if self.max_drift is not None and (self.edges == "fit" or not self.max_drift > 0):
            raise ConfigError(
                f"cuts.max_drift is {self.max_drift} and cuts.edges {self.edges!r}; expected a number above 0, with "
                "edges of a file or a release"
            )
        if len(set(self.names)) < len(self.names):
            raise ConfigError(
                f"cuts.scores: two scorers would write the column {sorted(self.names)}; rename one"
            )

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of all scorers: the scores, and the head if it is none of them."""
        return (*self.scores, *([self.head] if self.head and self.head not in self.scores else []))

    @property
    def names(self) -> tuple[str, ...]:
        """A name for each scorer: its column without the stage, or with it if two columns have the same name."""
        plain = [split_column(column)[1] for column in self.columns]
        return tuple(
            name if plain.count(name) == 1 else column.replace(".", "_")
            for name, column in zip(plain, self.columns, strict=True)
        )

    @property
    def size_column(self) -> str:
        """The column of sizes; `auto` is text_bytes until `resolve` has chosen one."""
        return "text_bytes" if self.size == "auto" else self.size


def resolve(config: Config, context: RunContext) -> Config:
    """Return the config with the column of sizes and the edges of the run that it is part of.

    Raises: ConfigError if given edges cannot be read, or do not fit the scorers.
    """
    if config.size == "auto":
        tokens = context.n_tokens
        config = replace(config, size=tokens if tokens and context.is_before(tokens) else "text_bytes")
    if config.edges == "fit" or config.given:
        return config
    given = given_edges(config.edges, context, config.columns, config.n_buckets)
    return replace(config, edges="given", given=given)


def reads_of(config: Config) -> tuple[str, ...]:
    """Columns that the step reads."""
    return (*config.columns, "language.label", config.size_column, "doc_id", "dedup.cluster", "passes_base")


def writes_of(config: Config) -> pa.Schema:
    """Columns that the step writes."""
    buckets = {f"{name}_bucket": pa.int32() for name in config.names}
    return pa.schema({"bucket": pa.int32(), "tier": pa.string(), **buckets})


SCHEMA = writes_of(Config())
"""bucket and tier: of the ensemble; null for a document without any score. value_bucket, keep_bucket: bucket of
one score; there is one such column for each of `scores`."""


def rows_schema(config: Config) -> pa.Schema:
    """Schema of a row with a score: one column of keys for each scorer, k0, k1, ..."""
    keys = {f"k{i}": pa.int32() for i in range(len(config.columns))}
    return pa.schema(
        {"row": pa.uint64(), "language": pa.string(), "weight": pa.int32(), "draw": pa.uint32(), **keys}
    )


def map_scores(table: pa.Table, config: Config) -> pa.Table:
    """Return the rows with a score, keyed by cluster; weight is the size, 0 for rows that fail the base rules.

    Args: table, with the columns of `reads_of` and `row`.
    Returns: `key`, the columns of `rows_schema`, `cluster` and `doc_id`.
    Raises: ConfigError if a scorer or the size is no column of numbers, which is known late of columns of records.
    """
    for name in (*config.columns, config.size_column):
        dtype = table[name].type
        if not (pa.types.is_integer(dtype) or pa.types.is_floating(dtype)):
            raise ConfigError(f"cuts: {name} is {dtype}; expected a column of numbers")
    keys = [to_keys(table[name], name in config.low_is_best) for name in config.columns]
    scored = np.any([column != NO_SCORE for column in keys], axis=0)
    columns = [pa.array(column[scored]) for column in keys]
    table = table.filter(pa.array(scored))
    cluster = table["dedup.cluster"].combine_chunks()
    alone = table["row"].to_numpy() * ODD_A  # spreads rows over partitions
    key = np.where(cluster.is_valid().to_numpy(zero_copy_only=False), string_keys(cluster), alone)
    # an unknown size counts as 1: 0 is not counted
    size = pc.cast(pc.fill_null(table[config.size_column], 1), pa.float64(), safe=False).to_numpy()
    size = np.nan_to_num(np.clip(size, 1, np.iinfo(np.int32).max), nan=1).astype(np.int32)
    weight = np.where(table["passes_base"].to_numpy(), size, 0).astype(np.int32)
    draw = (string_keys(table["doc_id"]) >> np.uint64(32)).astype(np.uint32)
    language = pc.fill_null(table["language.label"], "und")
    schema = pa.schema(
        [
            pa.field("key", pa.uint64()),
            *rows_schema(config),
            pa.field("cluster", pa.string()),
            pa.field("doc_id", pa.string()),
        ]
    )
    return pa.table(
        [key, table["row"], language, weight, draw, *columns, cluster, table["doc_id"]], schema=schema
    )


def count_once(table: pa.Table, config: Config) -> pa.Table:
    """Return all rows, with weight 0 for all but the first of the members of a cluster that pass the base rules.

    Args: table, of `map_scores`, one partition. Returns: a table of `rows_schema`.
    """
    clustered = pc.is_valid(table["cluster"])
    alone, members = table.filter(pc.invert(clustered)), table.filter(clustered)
    ranked = members.append_column("fails", pc.equal(members["weight"], 0))
    order = [(name, "ascending") for name in ("cluster", "fails", "doc_id")]
    members = members.take(pc.sort_indices(ranked, sort_keys=order))
    cluster = members["cluster"].combine_chunks().dictionary_encode().indices.to_numpy()
    first = np.append(True, cluster[1:] != cluster[:-1])[: len(cluster)]
    index = members.schema.get_field_index("weight")
    counted = pa.array(np.where(first, members["weight"].to_numpy(), 0).astype(np.int32))
    members = members.set_column(index, "weight", counted)
    return pa.concat_tables([alone, members]).select(rows_schema(config).names)


def count_values(inbox: Inbox, shared: Tables, config: Config) -> Sent:
    """First round: the population of a group by language, scorer and value; the rows wait for the second round."""
    table = inbox[RESULTS]
    weight, groups, keys = table["weight"].to_numpy(), group_rows(table["language"]), _keys_of(table, config)
    worth = [
        worth_of(language, scorer, weight[rows][has_score(column[rows])])
        for language, rows in groups.items()
        for scorer, column in keys.items()
    ]
    counted = {
        "values": values_of(groups, keys, weight),
        "languages": languages_of(groups, weight),
        "worth": worth_table(worth),
    }
    return Sent(counted=counted)


def _keys_of(table: pa.Table, config: Config) -> dict[str, np.ndarray]:
    """Keys of each scorer, int32 (n_rows,)."""
    return {name: table[f"k{i}"].to_numpy() for i, name in enumerate(config.columns)}


def find_edges(counted: Tables, shared: Tables, config: Config) -> Tables:
    """Edges of all languages together and of each with enough documents, for every scorer: tables of counts."""
    totals = add_up(counted, config)
    enough = pc.greater_equal(totals["languages"]["population"], config.min_rows)
    own = {ALL, *totals["languages"].filter(enough)["language"].to_pylist()}
    found: dict[str, dict[str, Cut]] = {name: {} for name in sorted(own)}
    for language, scorer, keys, weights in histograms(totals["values"]):
        one = cut(keys, weights, config.n_buckets) if language in own else None
        if one is not None:
            found[language][scorer] = one
    named = pa.table({"language": pa.array(sorted(own), pa.string())})
    rest = {name: totals[name] for name in ("languages", "worth")}
    return {**rest, "cuts": cuts_table(found), "own": named}


def _fitted(shared: Tables, config: Config) -> Edges:
    """The edges that `find_edges` found, or the given ones."""
    if config.given:
        return read_edges(config.given, config.low_is_best)
    edges = cuts_of(shared["cuts"], effectives(shared["worth"]))
    return {name: edges.get(name, {}) for name in shared["own"]["language"].to_pylist()}


def place_rows(inbox: Inbox, shared: Tables, config: Config) -> Sent:
    """Last round: assign the buckets of every row, and count them."""
    table = inbox[RESULTS]
    weight, row = table["weight"].to_numpy(), table["row"].to_numpy()
    groups, keys, edges = group_rows(table["language"]), _keys_of(table, config), _fitted(shared, config)
    placed = {name: np.full(len(weight), -1, np.int32) for name in keys}
    for language, rows in groups.items():
        for name, column in keys.items():
            used = _edges_of(edges, language, name)
            if used is not None:
                placed[name][rows] = used.place(column[rows])
    ensemble = join(placed, config)
    shown = placed | {ENSEMBLE: ensemble}
    sizes, worth, tops = [], [], [OVERLAPS.empty_table()]
    for language, rows in groups.items():
        worth.append(worth_of(language, ENSEMBLE, weight[rows][ensemble[rows] >= 0]))
        for scorer, buckets in shown.items():
            sizes += sizes_rows(language, scorer, buckets[rows], weight[rows], config.n_buckets)
        if np.any(weight[rows]):
            tops.append(overlap(language, _of(shown, rows), weight[rows], config.n_buckets - 1))
    drawn = {language: groups[language] for language in _largest(shared["languages"]) if language in groups}
    counted = {
        "sizes": sizes_table(sizes),
        "worth": worth_table(worth),
        "overlaps": pa.concat_tables(tops),
        "draws": samples(drawn, shown, weight, table["draw"].to_numpy(), row, config.n_buckets),
    }
    return Sent(values=_to_rows(table["row"], ensemble, placed, config), counted=counted)


def _largest(languages: pa.Table) -> list[str]:
    """The languages of which samples are shown, largest first: those of most size in the population."""
    sizes = zip(languages["language"].to_pylist(), languages["size"].to_pylist(), strict=True)
    return [name for name, size in sorted(sizes, key=lambda one: (-one[1], one[0])) if size][
        :SAMPLE_LANGUAGES
    ]


def add_counts(counted: Tables, shared: Tables, config: Config) -> Tables:
    """What the groups counted in the last round; worth also of the first."""
    totals = add_up(counted, config)
    return {**totals, "worth": pa.concat_tables([shared["worth"], totals["worth"]])}


def close(shared: Tables, config: Config) -> dict[str, pa.Table]:
    """The artefacts `edges` (EDGES), `summary` (SUMMARY), `overlap` (OVERLAP), `samples` (SAMPLES), and `drift` (DRIFT)
    with given edges.

    Raises: ExpectationError if the data drifted from given edges more than allowed.
    """
    edges, worth = _fitted(shared, config), effectives(shared["worth"])
    sizes = bucket_sizes(shared["sizes"], config.n_buckets)
    listed = edges if config.given else _with_ensemble(edges, sizes, worth, config.n_buckets)
    shown = (*config.columns, ENSEMBLE)
    artefacts = {
        "edges": list_edges(listed, config.low_is_best),
        "summary": summary(edges, shared["languages"], sizes, config),
        "overlap": list_overlaps(shared["overlaps"], shown),
        "samples": list_samples(shared["draws"], _largest(shared["languages"]), shown),
    }
    if config.given:
        artefacts["drift"] = drift_of(edges, shared["languages"], sizes, worth, config)
        check_drift(artefacts["drift"], config)
    return artefacts


def finish(table: pa.Table, config: Config) -> Outcome:
    """Compute bucket edges for each language and for all together, or take the given ones, and assign every row.

    The rounds in one process. table: of `rows_schema`, of all partitions. Raises: see `close`.
    """
    return outcome_of(GLOBAL, table, config)


def _edges_of(edges: Edges, language: str, scorer: str) -> Cut | None:
    """The edges for a language: its own, or those of all; None if no document of the population has the score."""
    # the language may have no document with this score
    return edges.get(language, {}).get(scorer) or edges.get(ALL, {}).get(scorer)


def _cut_by(edges: Edges, language: str) -> str:
    return language if language in edges else ALL


def group_rows(languages: pa.ChunkedArray) -> dict[str, np.ndarray]:
    """Return the positions of the rows of each language, int64, by name in sorted order."""
    encoded = languages.combine_chunks().dictionary_encode()
    codes, names = encoded.indices.to_numpy(), encoded.dictionary.to_pylist()
    ends = np.cumsum(np.bincount(codes, minlength=len(names)))
    rows = np.split(np.argsort(codes, kind="stable"), ends)
    return {names[i]: rows[i] for i in sorted(range(len(names)), key=names.__getitem__)}


def join(placed: Mapping[str, np.ndarray], config: Config) -> np.ndarray:
    """Return the ensemble's bucket: int32 (n_rows,) of each scorer, -1 for no score, to int32 (n_rows,)."""
    if config.ensemble == "head":
        return placed[config.head]
    buckets = np.stack([placed[name] for name in config.scores], axis=1)
    n_scores = (buckets >= 0).sum(axis=1)
    if config.ensemble == "mean":
        total = np.where(buckets >= 0, buckets, 0).sum(axis=1)
        mean = (2 * total + n_scores) // np.maximum(2 * n_scores, 1)
        return np.where(n_scores > 0, mean, -1).astype(np.int32)
    if config.ensemble == "max":
        return buckets.max(axis=1)
    needed = np.minimum(config.votes, n_scores) if config.votes else n_scores // 2 + 1
    best_first = np.sort(buckets, axis=1)[:, ::-1]  # no score comes last
    reached = np.take_along_axis(best_first, np.maximum(needed - 1, 0)[:, None], axis=1)[:, 0]
    return np.where(n_scores > 0, reached, -1).astype(np.int32)


def _of(placed: Mapping[str, np.ndarray], rows: np.ndarray) -> dict[str, np.ndarray]:
    return {name: buckets[rows] for name, buckets in placed.items()}


Sizes = Mapping[tuple[str, str], tuple[np.ndarray, int]]
"""Language and scorer -> size of each bucket of the population, and number of its documents; see
counts.bucket_sizes."""


def _sizes_in(sizes: Sizes, language: str, scorer: str, n_buckets: int) -> np.ndarray:
    return sizes.get((language, scorer), (np.zeros(n_buckets, np.int64), 0))[0]


def _with_ensemble(edges: Edges, sizes: Sizes, worth: Mapping[tuple[str, str], int], n_buckets: int) -> Edges:
    """Fitted edges, and the sizes of the ensemble's buckets as edges without values, for later drift."""
    extended = {}
    for language, by_scorer in edges.items():
        own = _sizes_in(sizes, language, ENSEMBLE, n_buckets)
        one = Cut(np.zeros(n_buckets, np.int64), own, own > 0, worth.get((language, ENSEMBLE), 0))
        extended[language] = {**by_scorer, ENSEMBLE: one}
    return extended


def summary(edges: Edges, languages: pa.Table, sizes: Sizes, config: Config) -> pa.Table:
    """Count the population and the ensemble's top bucket of each language: a table of SUMMARY."""
    rows = sorted(tuple(row.values()) for row in languages.to_pylist())
    rows.append((ALL, *(sum(row[i] for row in rows) for i in (1, 2, 3))))
    lines = []
    for language, documents, population, size in rows:
        top_size = int(_sizes_in(sizes, language, ENSEMBLE, config.n_buckets)[-1])
        share = round(top_size / size, 6) if size else None
        line = (
            language, _cut_by(edges, language), config.size_column, documents, population, size, top_size, share,
        )  # fmt: skip
        lines.append(dict(zip(SUMMARY.names, line, strict=True)))
    return pa.Table.from_pylist(lines, schema=SUMMARY)


def drift_of(
    edges: Edges, languages: pa.Table, sizes: Sizes, worth: Mapping[tuple[str, str], int], config: Config
) -> pa.Table:
    """Compare the sizes of the buckets with those that came with given edges: a table of DRIFT."""
    lines = []
    for language in sorted(languages["language"].to_pylist()):
        for scorer in (*config.columns, ENSEMBLE):
            before = _edges_of(edges, language, scorer)
            after, n_docs = sizes.get((language, scorer), (None, 0))
            if before is None or after is None:
                continue
            now = worth.get((language, scorer), 0)
            lines.append(compare(language, scorer, _cut_by(edges, language), n_docs, before, after, now))
    return pa.Table.from_pylist(lines, schema=DRIFT)


def check_drift(drift: pa.Table, config: Config) -> None:
    """Check the drift of languages with at least min_rows documents.

    Raises: ExpectationError naming the worst language and scorer above the limit.
    """
    if config.max_drift is None:
        return
    above = [
        row
        for row in drift.to_pylist()
        if row["psi"] > max(config.max_drift, row["chance"]) and row["documents"] >= config.min_rows
    ]
    if not above:
        return
    worst = max(above, key=lambda row: (row["psi"], row["language"], row["scorer"]))
    others = f" ({len(above) - 1} more above the limit)" if len(above) > 1 else ""
    lacking = (
        "" if worst["cut_by"] != ALL else " (the edges are those of all languages: it had none of its own)"
    )
    raise ExpectationError(
        f"cuts.max_drift: {worst['scorer']} of {worst['language']}{lacking} has a population stability index of "
        f"{worst['psi']:.4f} against the given edges, allowed is {config.max_drift}{others}; {worst['moved']:.1%} of "
        f"{worst['documents']:,} documents' weight is in other buckets, bucket {worst['worst_bucket']} has "
        f"{worst['actual']:.1%} instead of {worst['expected']:.1%}. Nothing was released. Raise the limit, or use "
        "`edges: fit`"
    )


def _to_rows(
    row: pa.ChunkedArray, ensemble: np.ndarray, placed: Mapping[str, np.ndarray], config: Config
) -> pa.Table:
    """Rows of `row` and the columns of `writes_of`; bucket -1 becomes null."""
    tiers = pa.array(["low", "medium", "high"])
    tier = tiers.take(pa.array((ensemble >= config.medium).astype(np.int8) + (ensemble >= config.high)))
    has_none = pa.array(ensemble < 0)
    columns = [
        row,
        pa.array(ensemble, mask=ensemble < 0),
        pc.if_else(has_none, pa.scalar(None, pa.string()), tier),
    ]
    columns += [pa.array(buckets, mask=buckets < 0) for buckets in placed.values()]
    return pa.table(columns, schema=pa.schema([pa.field("row", pa.uint64()), *writes_of(config)]))


GLOBAL = Global(
    name="cuts",
    version=3,
    config=Config,
    reads=reads_of(Config()),
    writes=SCHEMA,
    reads_of=reads_of,
    writes_of=writes_of,
    resolve=resolve,
    key="hash of the cluster, or the row of a document without one",
    map=map_scores,
    reduce=count_once,
    finish=finish,
    rounds=(
        Round(name="count values", run=count_values, reads=(RESULTS,), add=find_edges, combine=add_up),
        Round(name="place", run=place_rows, takes=(RESULTS,), add=add_counts, combine=add_up),
    ),
    close=close,
    numbers=("scores", "head", "size_column"),
)
