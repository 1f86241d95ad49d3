"""Benchmark questions in documents: verbatim, reformatted, truncated or lightly edited.

Reads canonical text; writes for each document the benchmark items that occur in it, with span and coverage.
Items are compared by n-grams of their units in match text (`kernels.text.grams`). Of an item with choices the question
must occur: choices alone are what the item asks about, quoted (`stages.choices`). Whether the document is dropped or
the span removed is decided in the run file.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import ConfigError
from pipeline.stage import Stage
from stages.choices import asks, list_questions, question_end
from stages.kernels.text.grams import GramTable, find_hits, find_units, gram_keys, make_table
from stages.kernels.text.hashing import hash128
from stages.kernels.text.text import DIGIT, TABLES_PATH, load_tables, view
from stages.languages import ASKING_PATH

HIT = pa.struct(
    {
        "benchmark": pa.string(),
        "item": pa.string(),
        "start": pa.int32(),
        "end": pa.int32(),
        "coverage": pa.float32(),
    }
)
SCHEMA = pa.schema({"hits": pa.list_(HIT), "n_hits": pa.int32(), "coverage": pa.float32()})
"""coverage: the largest of its hits, 0 without one; of a hit, the share of the item's units that occur in matched
grams, or of the units of its question if that occurs without the choices. hits: benchmark items that occur in the
text; start and end are code points of canonical text. n_hits: their number."""

COLUMNS = ("benchmark", "id", "question")

MOST_SHARED = 4
"""A question of more items ("Which of these is true?") says nothing without its choices."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Benchmarks, and the coverage that makes a hit.

    benchmarks: Parquet files with the columns benchmark, id, question.
    window: units per gram. Six find copies in which every tenth word is changed; thirteen (Brown et al., arXiv
        2005.14165, appendix C) do not.
    min_coverage: share of an item's units that must be covered by grams close together.
    min_units: least number of units covered, or the whole item if it has fewer; ten tokens are the shortest match in
        the analysis of Llama 2 (Touvron et al., arXiv 2307.09288, section A.6).
    min_question: share of the units of a question with choices that is a hit without them, of at least min_units.
    min_item_bytes: items with less match text (UTF-8) are skipped: eight ideographs, about five English words.
    max_shared: grams that occur more often in the benchmarks are formulaic ("which of the following is true") and are
        ignored. Grams of numbers alone are ignored too, because they occur everywhere.
    """

    benchmarks: tuple[str, ...] = ()
    window: int = 6
    min_coverage: float = 0.5
    min_units: int = 10
    min_question: float = 0.75
    min_item_bytes: int = 24
    max_shared: int = 32

    def __post_init__(self) -> None:
        if isinstance(self.benchmarks, str):
            raise ConfigError("decontaminate.benchmarks is a string; expected a list of Parquet files")
        for name, low in (("window", 2), ("min_units", 1), ("min_item_bytes", 1), ("max_shared", 1)):
            if getattr(self, name) < low:
                raise ConfigError(f"decontaminate.{name} is {getattr(self, name)}; expected {low} or more")
        for name in ("min_coverage", "min_question"):
            if not 0 < getattr(self, name) <= 1:
                raise ConfigError(
                    f"decontaminate.{name} is {getattr(self, name)}; expected above 0, at most 1"
                )


class Benchmarks:
    """`annotate` with the grams of its benchmark items.

    A text is an item, or the question of an item with choices, which is found without them as well. names: for each
    distinct text, the (benchmark, id) of its items, sorted. questions: for each text, its question if it has choices,
    else None. n_skipped: number of items that are never found, because they are
    too short or have ignored grams only.

    Raises: ConfigError if a benchmark file cannot be read.
    """

    def __init__(self, config: Config) -> None:
        items, n_items = list_texts(config)
        codes, starts, classes = view(items["question"])
        fold = load_tables().fold
        units, begins, unit_starts = find_units(codes, starts, classes, fold)
        first, self.names = _group(items, hash128(units, unit_starts))
        is_question = first >= n_items
        n_bytes, n_units = _match_bytes(fold[codes], starts), np.diff(unit_starts)
        lengths = np.zeros(len(starts) - 1, np.int64)
        lengths[first] = np.minimum(config.window, n_units[first])
        lengths[n_bytes < config.min_item_bytes] = 0
        lengths[n_items:][n_units[n_items:] < config.min_units] = 0
        lengths[first[is_question & np.array([len(names) > MOST_SHARED for names in self.names], bool)]] = 0
        keys, rows, offsets = gram_keys(units, unit_starts, lengths)
        _, group = np.unique(keys, return_inverse=True)
        counts = np.bincount(group[rows < n_items], minlength=group.max(initial=-1) + 1)
        only_numbers = _only_numbers(classes[begins] == DIGIT, unit_starts[rows] + offsets, lengths[rows])
        used = (counts[group] <= config.max_shared) & ~only_numbers
        keys, rows, offsets = keys[used], rows[used], offsets[used]
        self.n_units = _covered_units(rows, offsets, lengths, unit_starts)[first]
        share = np.where(is_question, config.min_question, config.min_coverage)
        needed = np.ceil(np.round(share * self.n_units, 6)).astype(np.int64)
        needed = np.maximum(needed, np.minimum(self.n_units, config.min_units))
        sizes = np.stack([n_units[first], lengths[first], needed], axis=1)
        self.table: GramTable = make_table(keys, np.searchsorted(first, rows), offsets, sizes)
        self.questions = list_questions(items, first, is_question)
        self.is_question = is_question
        found = {name for names, n in zip(self.names, self.n_units, strict=True) if n for name in names}
        self.n_skipped = len({name for names in self.names for name in names} - found)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Find benchmark items in each document.

        Args: batch, with a string column `text`, (n_docs,).
        Returns: a table of SCHEMA, (n_docs,).
        """
        text = batch["text"]
        if not len(self.table.keys):
            return _count(pa.array([[]] * len(text), SCHEMA.field("hits").type), np.zeros(0, np.float32))
        codes, starts, classes = view(text)
        units, begins, unit_starts = find_units(codes, starts, classes, load_tables().fold)
        hits = find_hits(codes, starts, classes, units, begins, unit_starts, self.table)
        asked = [self.is_asked(hit, units, begins, unit_starts) for hit in hits]
        return self.to_columns(hits[np.array(asked, bool)], starts)

    def is_asked(
        self, hit: np.ndarray, units: np.ndarray, begins: np.ndarray, unit_starts: np.ndarray
    ) -> bool:
        """Whether the question of a hit occurs near it, not its choices alone; true for items without choices.

        Args: hit, int64 (5,), of `find_hits`; units, begins, unit_starts, of `find_units`.
        """
        doc, text, _, begin, end = hit.tolist()
        question = self.questions[text]
        if question is None:
            return True
        margin = self.table.sizes[text, 0]
        low, high = np.searchsorted(begins, (begin, end))
        near = units[max(low - margin, unit_starts[doc]) : min(high + margin, unit_starts[doc + 1])]
        return asks(question, near)

    def to_columns(self, hits: np.ndarray, starts: np.ndarray) -> pa.Table:
        """Return hits by document and offset as the columns of SCHEMA.

        Of an item and its question, where they overlap the item is listed.

        Args: hits, int64 (n_hits, 5), of `find_hits`; starts, int64 (n_docs + 1,), offset of each document.
        """
        whole: dict[tuple[int, tuple[str, str]], list[tuple[int, int]]] = {}
        rows = []
        for doc, text, covered, begin, end in sorted(hits.tolist(), key=lambda hit: self.is_question[hit[1]]):
            for name in self.names[text]:
                listed = whole.setdefault((doc, name), [])
                if self.is_question[text] and any(begin < e and b < end for b, e in listed):
                    continue
                listed.append((begin, end))
                rows.append((doc, begin - starts[doc], end - starts[doc], name, covered / self.n_units[text]))
        rows.sort()
        columns = list(zip(*rows, strict=True)) if rows else [()] * 5
        coverage = np.round(np.array(columns[4], np.float64), 3).astype(np.float32)
        values = pa.StructArray.from_arrays(
            [
                pa.array([benchmark for benchmark, _ in columns[3]], pa.string()),
                pa.array([item for _, item in columns[3]], pa.string()),
                pa.array(np.array(columns[1], np.int32)),
                pa.array(np.array(columns[2], np.int32)),
                pa.array(coverage),
            ],
            fields=list(HIT),
        )
        offsets = np.searchsorted(np.array(columns[0], np.int64), np.arange(len(starts))).astype(np.int32)
        return _count(pa.ListArray.from_arrays(pa.array(offsets), values), coverage)


def list_texts(config: Config) -> tuple[pa.Table, int]:
    """Return the items, then the questions of those with choices, as one table like `read_items`; and the number of
    items."""
    items = read_items(config.benchmarks)
    texts = items["question"].to_pylist()
    ends = [None if text is None else question_end(text) for text in texts]
    rows = pa.array([row for row, end in enumerate(ends) if end is not None], pa.int64())
    questions = items.take(rows)
    cut = [texts[row][: ends[row]] for row in rows.to_pylist()]
    questions = questions.set_column(2, "question", pa.array(cut, pa.large_string()))
    return pa.concat_tables([items, questions]).combine_chunks(), len(items)


def _count(hits: pa.ListArray, coverage: np.ndarray) -> pa.Table:
    """Columns of SCHEMA from the hits, (n_docs,), and the coverage of each hit, in order."""
    n_hits = pc.list_value_length(hits).cast(pa.int32())
    best = np.zeros(len(hits), np.float32)
    np.maximum.at(best, pc.list_parent_indices(hits).to_numpy(), coverage)
    return pa.Table.from_arrays([hits, n_hits, pa.array(best)], schema=SCHEMA)


def read_items(paths: tuple[str, ...]) -> pa.Table:
    """Read benchmark files into one table of strings, (n_items,): benchmark, id, question (large_string).

    Raises: ConfigError if a file is missing, unreadable or lacks one of these columns.
    """
    schema = pa.schema([("benchmark", pa.string()), ("id", pa.string()), ("question", pa.large_string())])
    tables = [schema.empty_table()]
    for path in paths:
        try:
            missing = [name for name in COLUMNS if name not in pq.read_schema(path).names]
            if missing:
                raise ConfigError(f"{path}: no column {missing[0]!r}; expected {', '.join(COLUMNS)}")
            table = pq.read_table(path, columns=list(COLUMNS))
        except (OSError, pa.ArrowInvalid) as error:
            raise ConfigError(f"{path}: {error}; expected a Parquet file of benchmark items") from error
        tables.append(table.select(COLUMNS).cast(schema))
    return pa.concat_tables(tables).combine_chunks()


def _group(items: pa.Table, hashes: np.ndarray) -> tuple[np.ndarray, list[list[tuple[str, str]]]]:
    """Group items with the same units.

    Args: items, (n_items,); hashes, uint64 (n_items, 2), of their units.
    Returns: int64 (n_texts,), the first item of each distinct text, ascending; for each text, the sorted names of its
    items.
    """
    _, first, group = np.unique(hashes, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    names: list[set[tuple[str, str]]] = [set() for _ in order]
    pairs = zip(
        pc.fill_null(items["benchmark"], "").to_pylist(),
        pc.fill_null(items["id"], "").to_pylist(),
        strict=True,
    )
    for text, name in zip(rank[group.reshape(-1)].tolist(), pairs, strict=True):
        names[text].add(name)
    return first[order], [sorted(text_names) for text_names in names]


def _match_bytes(folded: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """UTF-8 bytes of each text's match text; folded, 0 for characters that match text omits."""
    width = (folded > 0).astype(np.int64) + (folded >= 0x80) + (folded >= 0x800) + (folded >= 0x10000)
    return np.diff(np.append(0, np.cumsum(width))[starts])


def _only_numbers(is_number: np.ndarray, begins: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Whether each gram contains only numbers; is_number per unit, begins and lengths per gram, in units."""
    n_numbers = np.append(0, np.cumsum(is_number))
    return n_numbers[begins + lengths] - n_numbers[begins] == lengths


def _covered_units(
    rows: np.ndarray, offsets: np.ndarray, lengths: np.ndarray, unit_starts: np.ndarray
) -> np.ndarray:
    """Number of units of each text that are covered by a gram; rows and offsets are the beginnings of grams."""
    change = np.zeros(unit_starts[-1] + 1, np.int64)
    begins = unit_starts[rows] + offsets
    np.add.at(change, begins, 1)
    np.add.at(change, begins + lengths[rows], -1)
    covered = np.append(0, np.cumsum(np.cumsum(change)[:-1] > 0))
    return np.diff(covered[unit_starts])


STAGE = Stage(
    name="decontaminate",
    version=3,
    config=Config,
    reads=("text",),
    writes=SCHEMA,
    load=Benchmarks,
    files=("benchmarks",),
    data=(TABLES_PATH, ASKING_PATH),
)
