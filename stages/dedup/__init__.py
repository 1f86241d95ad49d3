"""Near duplicates: candidate pairs verified from text, and the clusters that the verified pairs connect.

Reads text of documents with candidates; writes cluster, cluster size and every verified pair at both its ends.
Two members of a cluster need not be similar, so removal is decided by pairs (`stages.dedup.keepers`), not by clusters.

Similarity is the Jaccard index of sets of shingles of match text. Shingles are runs of five characters, without
blanks, for documents with a fair share of ideographs, kana, Hangul or other scripts without blanks; runs of five words
for all others. A pair with one document of each sort is compared by characters. A document of fewer than five units is
a single shingle, so that it equals only the same text. Exact copies (equal match hashes) have similarity 1 without
comparison. Pairs of texts from one template, with different numbers, headings, scripts or signs, are rejected (see
`stages.dedup.differences`).

The similarity of a pair is stored regardless of the threshold: each pair is compared once in the life of a store, and a
new threshold reads no text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import ConfigError
from pipeline.rounds import RESULTS, Inbox, Round, Sent, Tables
from pipeline.schema import KNOWN
from pipeline.stage import Global, Memory, Outcome, outcome_of
from stages import minhash
from stages.dedup import bands, candidates, differences, exact, keepers
from stages.dedup.clusters import NAMES, PAIRS, add_up, close, tell_names
from stages.dedup.clusters import ROUNDS as CLUSTER_ROUNDS
from stages.kernels.dedup.forms import FORMS_PATH
from stages.kernels.dedup.jaccard import count_shared, sort_sets
from stages.kernels.dedup.minhash import (
    CHARACTERS,
    NOTHING,
    WORDS,
    count_units,
    hash_shingles,
    hash_units,
    match_text,
)
from stages.kernels.dedup.unionfind import locate
from stages.kernels.text.hashing import hash_lanes, mix_all
from stages.kernels.text.ragged import from_binary, to_binary
from stages.kernels.text.text import TABLES_PATH

CHARACTERS_SHARE = 0.1
"""Least share of single characters among the units (words and single characters) of a document compared by
characters. Far below a half: of 6,027 Chinese documents, many of them technical, 18 % contain more Latin words
than ideographs, 0.6 % are below this share, and 0.3 % of 2,752 English ones reach it. A document compared by words
with at least half this share provides character shingles too, for duplicates on the other side of this threshold."""

TEXT_ROWS, BATCH_ROWS = 64, 1024
"""Rows that cluster_texts passes to a stage and to a global step at once; they do not change the result. With larger
batches the allocator returns the arrays to the system, and page faults make every batch a quarter slower."""

BY_KEY = [("key", "ascending"), ("row", "ascending")]
PART_BYTES = 4 << 20
"""Text whose shingle sets cluster_texts compares at a time; sets take some ten times the memory of their text."""

READS = ("text", "doc_id", "exact.match_hash", *(f"candidates.{name}" for name in candidates.SCHEMA.names))
SCHEMA = pa.schema({"cluster": pa.string(), "cluster_size": pa.int32(), "pairs": pa.list_(PAIRS)})
"""cluster: smallest doc_id of the documents connected by verified pairs. All null for a document without any.
cluster_size: documents of the cluster. pairs: verified pairs of the document, with their similarity."""

MEMORY = pa.schema(
    {
        "jaccard": pa.float32(),
        "containment": pa.float32(),
        "other_numbers": pa.bool_(),
        "other_names": pa.bool_(),
        "other_scripts": pa.bool_(),
        "other_signs": pa.bool_(),
    }
)
"""Stored results of a compared pair: Jaccard index; share of the smaller set that is contained in the other; whether
their numbers differ too much for duplicates; whether their headings differ in their names; whether one has text in a
script that the other hardly uses; whether signs between the same words differ."""

SET = pa.large_binary()
"""A set of hashes: sorted uint64, as bytes."""

MEMBERS = pa.schema(
    {
        "key": pa.uint64(),
        "row": pa.uint64(),
        "doc_id": pa.string(),
        "match_hash": exact.HASH,
        "partners": pa.list_(pa.uint64()),
        "kind": pa.uint8(),
        "shingles": SET,
        "characters": SET,
        **dict.fromkeys(differences.COLUMNS, SET),
        "known": pa.list_(pa.struct([pa.field("row", pa.uint64()), *MEMORY])),
    }
)
"""A document in one group in which it is compared, without doc_id and known pairs; or, once, with these alone."""

COMPARED = pa.schema(
    {"row_a": pa.uint64(), "row_b": pa.uint64(), "doc_id": pa.string(), **{f.name: f.type for f in MEMORY}}
)
"""A compared pair; or, where row_b is null, the doc_id of a document that has pairs."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """threshold: least Jaccard index of a verified pair.

    containment: pairs are also verified if at least this share of the smaller set is contained in the other; None to
    disable. Their similarity is still the Jaccard index. other_numbers: whether pairs are accepted although their
    numbers differ, as in problems and notices from one template; other_names: although their headings name different
    things, as in pages from one template; other_scripts: although one has text in a script that the other hardly uses,
    as in a translation of a page of code; other_signs: although signs differ between the same words, as in exercises of
    mathematics. shingle_chars, shingle_words: units of a shingle, for documents compared by
    characters and by words.
    """

    threshold: float = 0.8
    containment: float | None = None
    other_numbers: bool = False
    other_names: bool = False
    other_scripts: bool = False
    other_signs: bool = False
    shingle_chars: int = 5
    shingle_words: int = 5

    def __post_init__(self) -> None:
        for name in ("threshold", "containment"):
            value = getattr(self, name)
            if value is not None and not 0 < value <= 1:
                raise ConfigError(f"dedup.{name} is {value}; expected a number above 0 and at most 1")
        for name in ("shingle_chars", "shingle_words"):
            if getattr(self, name) < 1:
                raise ConfigError(f"dedup.{name} is {getattr(self, name)}; expected 1 or more")


def needs_text(table: pa.Table) -> np.ndarray:
    """Return whether each document has a candidate pair without stored similarity: bool (n_rows,)."""
    owner, _, unknown = _unknown(table)
    needed = np.zeros(table.num_rows, bool)
    needed[owner[unknown]] = True
    return needed


def _unknown(table: pa.Table) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Candidate pairs from both ends: index of the document, row of the other, whether the similarity is not stored."""
    partners, known = table["candidates.partners"].combine_chunks(), table[KNOWN].combine_chunks()
    owner, other = pc.list_parent_indices(partners).to_numpy(), pc.list_flatten(partners).to_numpy()
    owners, rows = pc.list_parent_indices(known).to_numpy(), pc.list_flatten(known).field("row").to_numpy()
    return owner, other, ~_among(owner, other, owners, rows)


def _among(owner: np.ndarray, row: np.ndarray, owners: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Whether each pair (owner, row) is among the pairs (owners, rows): bool (n,)."""
    both = np.unique(np.concatenate([row, rows]), return_inverse=True)[1].astype(np.uint64)
    pairs = both | np.concatenate([owner, owners]).astype(np.uint64) << np.uint64(32)
    return np.isin(pairs[: len(row)], pairs[len(row) :])


def map_members(table: pa.Table, config: Config, part: int = 0, n_parts: int = 1) -> pa.Table:
    """Return the documents that have candidates: one row with doc_id and known pairs, and one row with shingle sets for
    each group in which a pair is still to be compared; exact copies have no sets.

    Args: table, with READS, `row` and, if pairs are stored, KNOWN; part, of n_parts, of the groups: sets are computed
    for documents with pairs in one of them only. Returns: a table of MEMBERS, the names in part 0.
    """
    members = table.filter(pc.is_valid(table["candidates.groups"])).combine_chunks()
    if KNOWN not in members.column_names:
        members = members.append_column(KNOWN, pa.nulls(members.num_rows, MEMBERS.field("known").type))
    names = _names(members) if part == 0 else MEMBERS.empty_table()
    return pa.concat_tables([names, _meetings(members, config, part, n_parts)])


def _names(members: pa.Table) -> pa.Table:
    """One row for each document, with the known pairs in which it is the smaller row."""
    known = members[KNOWN].combine_chunks()
    owner, flat = pc.list_parent_indices(known).to_numpy(), pc.list_flatten(known)
    partners = members["candidates.partners"].combine_chunks()
    rows = members["row"].to_numpy()
    current = _among(
        owner, flat.field("row").to_numpy(), pc.list_parent_indices(partners).to_numpy(),
        pc.list_flatten(partners).to_numpy(),
    )  # fmt: skip
    smaller = current & (flat.field("row").to_numpy() > rows[owner])
    columns = {
        "key": pa.array(mix_all(rows)),
        "row": members["row"],
        "doc_id": members["doc_id"],
        "known": _cut(flat.filter(pa.array(smaller)), owner[smaller], len(rows)),
    }
    return _filled(columns, len(rows))


def _meetings(members: pa.Table, config: Config, part: int, n_parts: int) -> pa.Table:
    """One row for each document and group of this part in which one of its pairs is still to be compared."""
    owner, other, unknown = _unknown(members)
    key = mix_all(_group_of_pairs(members, owner))
    chosen = unknown if n_parts == 1 else unknown & (key % np.uint64(n_parts) == part)
    owner, other, key = owner[chosen], other[chosen], key[chosen]
    order = np.lexsort((other, key, owner))
    owner, other, key = owner[order], other[order], key[order]
    first = np.append(True, (owner[1:] != owner[:-1]) | (key[1:] != key[:-1]))[: len(owner)]
    greater = other > members["row"].to_numpy()[owner]
    present, index = np.unique(owner[first], return_inverse=True)
    members = members.take(pa.array(present)).combine_chunks()
    columns = {
        "row": members["row"].combine_chunks(),
        "match_hash": members["exact.match_hash"].combine_chunks(),
        **_sets(members, config),
    }
    columns = {name: column.take(pa.array(index)) for name, column in columns.items()}
    columns["key"] = pa.array(key[first])
    columns["partners"] = _cut(pa.array(other[greater]), (np.cumsum(first) - 1)[greater], len(index))
    return _filled(columns, len(index))


def _group_of_pairs(members: pa.Table, owner: np.ndarray) -> np.ndarray:
    """The group in which each candidate pair is compared: uint64 (n_pairs,).

    Args: owner, int64 (n_pairs,), ascending, the document at this end; a document has one group for all its partners,
    or one for each.
    """
    groups = members["candidates.groups"].combine_chunks()
    flat, n_groups = pc.list_flatten(groups).to_numpy(), pc.list_value_length(groups).to_numpy()
    ends = np.cumsum(n_groups)
    place = np.arange(len(owner)) - np.searchsorted(owner, owner)
    return flat[(ends - n_groups)[owner] + np.where(n_groups[owner] == 1, 0, place)]


def _cut(values: pa.Array, owner: np.ndarray, n_rows: int) -> pa.ListArray:
    """Lists of the values of each owner from 0 to n_rows - 1; owner is ascending."""
    offsets = pa.array(np.searchsorted(owner, np.arange(n_rows + 1)), pa.int32())
    return pa.ListArray.from_arrays(offsets, values)


def _filled(columns: dict[str, pa.Array], n_rows: int) -> pa.Table:
    """Rows of MEMBERS, null in columns that are missing."""
    arrays = [columns[f.name] if f.name in columns else pa.nulls(n_rows, f.type) for f in MEMBERS]
    return pa.table(arrays, schema=MEMBERS)


def _sets(members: pa.Table, config: Config) -> dict[str, pa.Array]:
    """Columns for comparison: kind of shingles, shingle sets, character sets of mixed documents, COLUMNS of apart."""
    match = match_text(members["text"], marks=True)
    n_words, n_single = count_units(match).T
    share = n_single / np.maximum(n_words + n_single, 1)
    kind = np.where(share >= CHARACTERS_SHARE, CHARACTERS, WORDS).astype(np.uint8)
    compared = ~members["candidates.is_copy"].to_numpy()
    mixed = compared & (kind == WORDS) & (share >= CHARACTERS_SHARE / 2)
    columns = {"kind": pa.array(kind)}
    for name, modes in (("shingles", np.where(compared, kind, NOTHING)), ("characters", mixed * CHARACTERS)):
        units = hash_units(match, modes.astype(np.uint8), symbols=False)
        values, starts = sort_sets(*_shingles(*units, modes, config))
        columns[name] = to_binary(values, starts)
    return columns | differences.columns_of(members["text"], match, compared)


def _shingles(
    units: np.ndarray, starts: np.ndarray, modes: np.ndarray, config: Config
) -> tuple[np.ndarray, np.ndarray]:
    """Shingles of documents by mode; see kernels.dedup.minhash.hash_shingles."""
    sizes = np.where(modes == CHARACTERS, config.shingle_chars, config.shingle_words)
    return hash_shingles(units, starts, sizes)


def compare(table: pa.Table, config: Config) -> pa.Table:
    """Compare the candidate pairs of one partition without stored similarity, and pass on the stored ones.

    Args: table, of MEMBERS, sorted by key. Returns: a table of COMPARED.
    """
    named = table.filter(pc.is_valid(table["doc_id"])).combine_chunks()
    members = table.filter(pc.is_null(table["doc_id"])) if named.num_rows else table
    members = members.combine_chunks()
    left, right = _candidate_pairs(members)
    lanes = hash_lanes(members["match_hash"].combine_chunks())
    copies = (lanes[left] == lanes[right]).all(axis=1)
    jaccard, containment = _compare(members, left, right, ~copies)
    jaccard[copies] = containment[copies] = 1.0
    rows = members["row"].to_numpy()
    known = named["known"].combine_chunks()
    flat, owner = pc.list_flatten(known), pc.list_parent_indices(known).to_numpy()
    results = [rows[left], rows[right], pa.nulls(len(left), pa.string()), jaccard, containment]
    results += [other & ~copies for other in differences.differ(members, left, right)]
    stored = [named["row"].to_numpy()[owner], flat.field("row"), pa.nulls(len(owner), pa.string())]
    stored += [flat.field(name) for name in MEMORY.names]
    names = [named["row"], pa.nulls(named.num_rows, pa.uint64()), named["doc_id"]]
    names += [pa.nulls(named.num_rows, dtype) for dtype in MEMORY.types]
    return pa.concat_tables([pa.table(part, schema=COMPARED) for part in (results, stored, names)])


def _candidate_pairs(members: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """Positions of both ends of each candidate pair, without pairs of which a row was erased."""
    keys, rows = members["key"].to_numpy(), members["row"].to_numpy()
    partners = members["partners"].combine_chunks()
    left = pc.list_parent_indices(partners).to_numpy().astype(np.int64)
    partner_rows = pc.list_flatten(partners).to_numpy()
    group = np.cumsum(np.append(True, keys[1:] != keys[:-1])[: len(keys)]).astype(np.uint64)
    ids, places = np.unique(np.concatenate([rows, partner_rows]), return_inverse=True)
    here = group * np.uint64(len(ids) + 1) + places[: len(rows)].astype(np.uint64)
    right, valid = locate(here, group[left] * np.uint64(len(ids) + 1) + places[len(rows) :].astype(np.uint64))
    return left[valid], right[valid]


def _compare(
    members: pa.Table, left: np.ndarray, right: np.ndarray, wanted: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Jaccard index and containment of the smaller set, of each pair: float32 (n_pairs,), 0 where not wanted."""
    shingles, starts = from_binary(members["shingles"].combine_chunks(), np.uint64)
    characters, other_starts = from_binary(members["characters"].combine_chunks(), np.uint64)
    values, other_starts = np.concatenate([shingles, characters]), other_starts + len(shingles)
    spans, character_spans = (np.stack([s[:-1], s[1:]], axis=1) for s in (starts, other_starts))
    kind = members["kind"].to_numpy()
    by_chars = np.where((kind == CHARACTERS)[:, None], spans, character_spans)
    same = (kind[left] == kind[right])[:, None]
    a, b = np.where(same, spans[left], by_chars[left]), np.where(same, spans[right], by_chars[right])
    n_a, n_b = np.diff(a)[:, 0], np.diff(b)[:, 0]
    smaller = np.minimum(n_a, n_b)
    reach = wanted & (smaller > 0)
    shared = np.zeros(len(left), np.int64)
    shared[reach] = count_shared(values, a[reach], b[reach])
    jaccard = shared / np.maximum(n_a + n_b - shared, 1)
    return jaccard.astype(np.float32), (shared / np.maximum(smaller, 1)).astype(np.float32)


def is_verified(pairs: pa.Table, config: Config) -> np.ndarray:
    """Whether each compared pair is one of duplicates: pairs, with the columns of MEMORY; bool (n_pairs,)."""
    verified = pairs["jaccard"].to_numpy() >= np.float32(config.threshold)
    if config.containment is not None:
        verified |= pairs["containment"].to_numpy() >= np.float32(config.containment)
    for name in ("other_numbers", "other_names", "other_scripts", "other_signs"):
        if not getattr(config, name):
            verified &= ~np.asarray(pairs[name].combine_chunks())
    return verified


def share_pairs(inbox: Inbox, shared: Tables, config: Config) -> Sent:
    """First round: every compared pair to both ends, and the names of the group's documents to itself."""
    table = inbox[RESULTS]
    named, pairs = (table.filter(condition(table["row_b"])) for condition in (pc.is_null, pc.is_valid))
    ends = [pairs.select([*two, *MEMORY.names]) for two in (("row_a", "row_b"), ("row_b", "row_a"))]
    compared = pa.concat_tables(one.rename_columns(["row", KNOWN, *MEMORY.names]) for one in ends)
    return Sent(
        {"compared": compared, "names": named.select(["row_a", "doc_id"]).rename_columns(NAMES.names)}
    )


def tell(inbox: Inbox, shared: Tables, config: Config) -> Sent:
    """Second round: see clusters.tell_names; all compared pairs are remembered."""
    pairs = inbox["compared"]
    sent = tell_names(pairs, is_verified(pairs, config), inbox["names"], config.threshold)
    return replace(sent, known=pairs)


ROUNDS = (
    Round(name="share pairs", run=share_pairs, takes=(RESULTS,)),
    Round(name="tell names", run=tell, takes=("compared",), reads=("names",), add=add_up),
    *CLUSTER_ROUNDS,
)


def finish(table: pa.Table, config: Config) -> Outcome:
    """Return clusters of the verified pairs, and all compared pairs for storage; the rounds in one process.

    Returns: rows of SCHEMA, artefacts as in `clusters.close`; `known`, every compared pair (COMPARED) at both ends.
    """
    return outcome_of(GLOBAL, table, config)


def notes(config: Config, configs: Mapping[str, Any]) -> list[str]:
    """The recall of pairs above the threshold; see bands.recall_notes. Any: settings of other steps."""
    return bands.recall_notes(config.threshold, configs)


GLOBAL = Global(
    name="dedup",
    version=6,
    config=Config,
    reads=READS,
    writes=SCHEMA,
    key="hash of the group of candidates",
    map=map_members,
    reduce=compare,
    finish=finish,
    rounds=ROUNDS,
    close=close,
    route="row_a",
    expands=4,
    sparse="candidates.groups",
    memory=Memory(MEMORY, ("shingle_chars", "shingle_words"), needs_text),
    data=(TABLES_PATH, FORMS_PATH),
    notes=notes,
)


def cluster_texts(
    texts: pa.ChunkedArray | pa.Array | Iterable[str], config: Config | None = None
) -> pa.Table:
    """Cluster texts in memory, exact and near duplicates, and choose which to keep.

    Signatures, candidate groups and keepers have their default settings: with a threshold below 0.7, LSH finds a
    smaller share of the pairs (see minhash.catch_probability).

    Args: texts, strings, (n_texts,); null texts have no duplicates.
    Returns: (n_texts,) each: `cluster` int64, row number of a member, its own for a text without duplicates;
    `cluster_size` int32; `keeper` int64, row number of the text in favour of which this one would be removed, its own
    if it is kept. The longest text of a cluster is kept, the first of equally long ones, and any further text that is
    not similar to a kept one.
    """
    config = config or Config()
    column = texts if isinstance(texts, (pa.ChunkedArray, pa.Array)) else pa.array(texts, pa.large_string())
    n_rows = len(column)
    table = pa.table({"text": column.cast(pa.large_string()), "row": np.arange(n_rows, dtype=np.uint64)})
    digits = len(str(n_rows))  # names that sort as their numbers do
    table = table.append_column(
        "doc_id", pa.array([f"{row:0{digits}d}" for row in range(n_rows)], pa.string())
    )
    for name in ("parent_id", "provenance"):
        table = table.append_column(name, pa.nulls(n_rows, pa.string()))
    steps = [(stage.name, stage.load(stage.config())) for stage in (exact.STAGE, minhash.STAGE)]
    # batch by batch, so that both steps share one view of a batch
    batches = [[annotate(batch) for _, annotate in steps] for batch in _batches(table, TEXT_ROWS)]
    for (name, _), columns in zip(steps, zip(*batches, strict=True), strict=True):
        table = _join(table, name, pa.concat_tables(columns))
    table = _join(table, "candidates", _run(candidates.GLOBAL, table, candidates.Config()))
    table = table.drop_columns(["minhash.band_keys"])
    table = _join(table, "dedup", _run(GLOBAL, table, config, _map_parts(table, config)))
    lengths = pc.utf8_length(table["text"]).cast(pa.float64()).combine_chunks()
    order = pa.ListArray.from_arrays(pa.array(np.arange(n_rows + 1), pa.int32()), lengths)
    settings = {"order": order, "eligible": pa.repeat(True, n_rows), "fixed": pa.repeat(False, n_rows)}
    settings |= {name: table[f"dedup.{name}"] for name in ("cluster", "pairs")}
    for name, column in settings.items():
        table = table.append_column(name, column)
    chosen = _run(keepers.GLOBAL, table, keepers.Config(threshold=config.threshold))
    by_name = {"cluster": table["dedup.cluster"], "keeper": chosen["keeper_id"]}
    numbers = {name: pc.coalesce(ids, table["doc_id"]).cast(pa.int64()) for name, ids in by_name.items()}
    size = pc.fill_null(table["dedup.cluster_size"], 1)
    return pa.table({"cluster": numbers["cluster"], "cluster_size": size, "keeper": numbers["keeper"]})


def _batches(table: pa.Table, n_rows: int) -> list[pa.Table]:
    """Slices of n_rows rows; at least one, for its schema."""
    return [table.slice(start, n_rows) for start in range(0, max(table.num_rows, 1), n_rows)]


def _map_parts(table: pa.Table, config: Config) -> Iterator[pa.Table]:
    """Results of `map_members`, sorted, for as many groups at a time as have some PART_BYTES of text."""
    lengths = pc.binary_length(table["text"]).filter(pc.is_valid(table["candidates.groups"]))
    n_parts = 1 + (pc.sum(lengths).as_py() or 0) // PART_BYTES
    for part in range(n_parts):
        mapped = (map_members(batch, config, part, n_parts) for batch in _batches(table, BATCH_ROWS))
        yield pa.concat_tables(mapped).sort_by(BY_KEY)


def _run(step: Global, table: pa.Table, config: object, parts: Iterable[pa.Table] | None = None) -> pa.Table:
    """Run a global step in memory on a table with `row` from 0.

    Args: parts, sorted results of the step's map whose keys are in one part each; by default one part of all rows.
    Returns: one row for each row of the table.
    """
    if parts is None:
        mapped = (step.map(batch, config) for batch in _batches(table, BATCH_ROWS))
        parts = iter([pa.concat_tables(mapped).sort_by(BY_KEY)])
    rows = step.finish(pa.concat_tables(map(lambda part: step.reduce(part, config), parts)), config).rows
    assert rows is not None  # the steps that are run here all write rows
    positions = np.full(table.num_rows, -1)
    positions[rows["row"].to_numpy().astype(np.int64)] = np.arange(rows.num_rows)
    rows = rows.select(step.writes.names).take(pa.array(positions, mask=positions < 0))
    pa.default_memory_pool().release_unused()  # what the step took is not there for the next one's arrays of numpy
    return rows.cast(step.writes)


def _join(table: pa.Table, step: str, columns: pa.Table) -> pa.Table:
    """Append the columns of a step under their full names."""
    for name in columns.column_names:
        table = table.append_column(f"{step}.{name}", columns[name])
    return table
