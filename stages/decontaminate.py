"""Benchmark questions in documents: verbatim, reformatted, truncated or lightly edited.

Reads canonical text; writes for each document the benchmark items that occur in it, with span, coverage and evidence.
Items are compared by n-grams of their units in match text (`kernels.text.grams`). Of an item with choices the question
must occur: choices alone are what the item asks about, quoted (`stages.choices`). Rare words count more, and answer and
passage are looked for near a hit (`stages.benchmark_evidence`). Whether the document is dropped or the span removed is
decided in the run file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import ConfigError
from pipeline.stage import Stage
from stages.benchmark_evidence import (
    OWN_WINDOW,
    Evidence,
    Known,
    covered,
    is_beyond_formula,
    is_beyond_passage,
    split_units,
    unit_information,
    weigh,
)
from stages.benchmark_files import HIT_FIELDS, Text, answer_text, list_texts, read_items
from stages.choices import asks, list_questions
from stages.kernels.text.grams import GramTable, find_hits, find_units, gram_keys, make_table
from stages.kernels.text.hashing import hash128
from stages.kernels.text.tables import HAN
from stages.kernels.text.text import DIGIT, TABLES_PATH, load_tables, view
from stages.languages import ASKING_PATH

HIT = pa.struct(
    [
        *HIT_FIELDS,
        pa.field("weighted", pa.float32()),
        pa.field("role", pa.string()),
        pa.field("answer", pa.bool_()),
        pa.field("passage", pa.float32()),
    ]
)
SCHEMA = pa.schema(
    {"hits": pa.list_(HIT), "n_hits": pa.int32(), "coverage": pa.float32(), "weighted": pa.float32()}
)
"""coverage: the largest of its hits, 0 without one; of a hit, the share of the item's units that occur in matched
grams, or of the units of its question if that occurs without the choices. weighted: the same with units weighted by
their rarity in the benchmarks. hits: benchmark items that occur in the text; start and end are code points of canonical
text; role: `item`, with choices if it has some, or `question`, without them; answer: whether its answer follows;
passage: share of its passage near the hit; both null where the item has none. n_hits: number of hits."""

ITEM, QUESTION = "item", "question"

LEAST_FORMULAIC = 0.6
"""Weighted coverage from which a formulaic item counts: tangents, complex numbers and sets are asked about in one form.
"""

MOSTLY = 0.65
"""Coverage from which the formulas of an item count like its words."""

MOST_SHARED = 4
"""A question of more items ("Which of these is true?") says nothing without its choices."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Benchmarks, and the coverage that makes a hit.

    benchmarks: Parquet files with the columns benchmark, id, question, and optionally choices, answer, passage.
    registry: YAML files that list benchmark files with versions and SHA-256, see `stages.benchmark_files`.
    window: units per gram. Six find copies in which every tenth word is changed; thirteen (Brown et al., arXiv
        2005.14165, appendix C) do not.
    min_coverage: share of an item's units that must be covered by grams close together.
    min_weighted: the same share with units weighted by their rarity in the benchmarks; 0 for any.
    min_information: information of the distinct units covered, in nats, by their document frequency in the benchmarks,
        below which an item is formulaic ("which of the following statements about cells is correct?"): alone it counts
        only with its answer. Not used for scripts in which the benchmarks have fewer than 500 items.
    min_units: least number of units covered, or the whole item if it has fewer; ten tokens are the shortest match in
        the analysis of Llama 2 (Touvron et al., arXiv 2307.09288, section A.6). A shorter item or question counts only
        with its answer or its passage, if it has one; of items with choices, questions that short need an answer.
    min_question: share of the units of a question with choices that is a hit without them, of at least min_units.
    min_item_bytes: items with less match text (UTF-8) are skipped: eight ideographs, about five English words.
    max_shared: grams that occur more often in the benchmarks are formulaic ("which of the following is true") and are
        ignored. Grams of numbers alone are ignored too, because they occur everywhere.
    """

    benchmarks: tuple[str, ...] = ()
    registry: tuple[str, ...] = ()
    window: int = 6
    min_coverage: float = 0.5
    min_weighted: float = 0.0
    min_information: float = 30.0
    min_units: int = 10
    min_question: float = 0.75
    min_item_bytes: int = 24
    max_shared: int = 32

    def __post_init__(self) -> None:
        if isinstance(self.benchmarks, str):
            raise ConfigError("decontaminate.benchmarks is a string; expected a list of Parquet files")
        if isinstance(self.registry, str):
            raise ConfigError("decontaminate.registry is a string; expected a list of YAML files")
        for name, low in (("window", 2), ("min_units", 1), ("min_item_bytes", 1), ("max_shared", 1)):
            if getattr(self, name) < low:
                raise ConfigError(f"decontaminate.{name} is {getattr(self, name)}; expected {low} or more")
        if self.min_information < 0:
            raise ConfigError(f"decontaminate.min_information is {self.min_information}; expected 0 or more")
        if not 0 <= self.min_weighted <= 1:
            raise ConfigError(f"decontaminate.min_weighted is {self.min_weighted}; expected 0 to 1")
        for name in ("min_coverage", "min_question"):
            if not 0 < getattr(self, name) <= 1:
                raise ConfigError(
                    f"decontaminate.{name} is {getattr(self, name)}; expected above 0, at most 1"
                )


class Benchmarks:
    """`annotate` with the grams of its benchmark items.

    A text is an item, or the question of an item with choices, which is found without them as well. names: for each
    distinct text, the (benchmark, id) of its items, sorted. questions: for each text, its question if it has choices,
    else None. known: for each text, its units with weights, answers and passage. n_skipped: number of items that are
    never found, because they are too short or have ignored grams only.

    Raises: ConfigError if a benchmark file cannot be read, or is not the one of its registry.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        items = read_items(config.benchmarks, config.registry)
        texts = list_texts(items)
        n_items = len(items)
        codes, starts, classes = view(pa.array([text.text for text in texts], pa.large_string()))
        fold = load_tables().fold
        units, begins, unit_starts = find_units(codes, starts, classes, fold)
        first, members = _group(hash128(units, unit_starts))
        self.names = _names(items, texts, members)
        is_question = first >= n_items
        of_items = slice(0, unit_starts[n_items])
        is_han = classes[begins[of_items]] >= HAN
        information = unit_information(units[of_items], unit_starts[: n_items + 1], is_han)
        formula = _is_formula(codes, begins, classes[begins] == DIGIT)
        self.known = _know(items, texts, members, (units, formula, information), unit_starts)
        n_bytes, n_units = _match_bytes(fold[codes], starts), np.diff(unit_starts)
        self.is_short = n_units[first] < config.min_units
        lengths = np.zeros(len(starts) - 1, np.int64)
        lengths[first] = np.minimum(config.window, n_units[first])
        lengths[n_bytes < config.min_item_bytes] = 0
        unanswered = np.array([not known.answers for known in self.known], bool)
        shared = np.array([len(names) > MOST_SHARED for names in self.names], bool)
        lengths[first[is_question & (shared | (self.is_short & unanswered))]] = 0
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
        chosen = [texts[row] for row in first.tolist()]
        self.questions = list_questions([text.text for text in chosen], [text.end for text in chosen])
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
            return _columns([], len(text))
        codes, starts, classes = view(text)
        units, begins, unit_starts = find_units(codes, starts, classes, load_tables().fold)
        hits = find_hits(codes, starts, classes, units, begins, unit_starts, self.table)
        evidence = [self.judge(hit, units, begins, unit_starts) for hit in hits]
        kept = np.array([found is not None for found in evidence], bool)
        return self.to_columns(hits[kept], [found for found in evidence if found is not None], starts)

    def judge(
        self, hit: np.ndarray, units: np.ndarray, begins: np.ndarray, unit_starts: np.ndarray
    ) -> Evidence | None:
        """The evidence of a hit; None if it is not enough.

        The question must occur near it, not its choices alone, with enough of the weight of its units. A question alone
        that is short or formulaic needs its answer; a short item that has an answer or a passage needs one of them; of
        another formulaic item more must occur.

        Args: hit, int64 (5,), of `find_hits`; units, begins, unit_starts, of `find_units`.
        """
        doc, text, n_covered, begin, end = hit.tolist()
        low, high = np.searchsorted(begins, (begin, end)) - unit_starts[doc]
        own = units[unit_starts[doc] : unit_starts[doc + 1]]
        window = int(self.table.sizes[text, 1])
        found = weigh(self.known[text], own, int(low), int(high), window)
        is_formulaic = found.information < self.config.min_information
        least = max(self.config.min_weighted, LEAST_FORMULAIC if is_formulaic else 0.0)
        if found.weighted < least:
            return None
        if self.is_question[text] and (is_formulaic or self.is_short[text]):
            return found if found.answer else None
        if self.is_short[text] and (found.answer is not None or found.passage is not None):
            if not found.answer and (found.passage or 0.0) < self.config.min_coverage:
                return None
        margin = int(self.table.sizes[text, 0])
        near = own[max(low - margin, 0) : high + margin]
        if n_covered < MOSTLY * self.n_units[text] and not is_beyond_formula(self.known[text], near):
            return None
        return found if self._is_asked(text, near) else None

    def _is_asked(self, text: int, near: np.ndarray) -> bool:
        """Whether the question of a text occurs among units near a hit, not its choices or its passage alone; true
        without both."""
        question = self.questions[text]
        return is_beyond_passage(self.known[text], near) and (question is None or asks(question, near))

    def to_columns(self, hits: np.ndarray, evidence: Sequence[Evidence], starts: np.ndarray) -> pa.Table:
        """Return hits by document and offset as the columns of SCHEMA.

        Of an item and its question, where they overlap the item is listed, unless it reaches no further.

        Args: hits, int64 (n_hits, 5), of `find_hits`; evidence of each; starts, int64 (n_docs + 1,), offset of each
        document.
        """
        listed: dict[tuple[int, tuple[str, str]], list[Row]] = {}
        pairs = zip(hits.tolist(), evidence, strict=True)
        for (doc, text, n_covered, begin, end), found in sorted(
            pairs, key=lambda p: self.is_question[p[0][1]]
        ):
            begin, end = int(begin - starts[doc]), int(end - starts[doc])
            has_choices = self.questions[text] is not None
            role = QUESTION if self.is_question[text] or not has_choices else ITEM
            for name in self.names[text]:
                others = listed.setdefault((doc, name), [])
                over = [row for row in others if begin < row[2] and row[1] < end]
                if self.is_question[text] and not all(begin <= row[1] and row[2] <= end for row in over):
                    continue
                if self.is_question[text]:
                    others[:] = [row for row in others if row not in over]
                others.append((doc, begin, end, name, n_covered / self.n_units[text], role, found))
        rows = [row for of_name in listed.values() for row in of_name]
        rows.sort(key=lambda row: row[:6])
        return _columns(rows, len(starts) - 1)


Row = tuple[int, int, int, tuple[str, str], float, str, Evidence]
"""Document, start, end, (benchmark, id), coverage, role, evidence."""


def _columns(rows: Sequence[Row], n_docs: int) -> pa.Table:
    """Columns of SCHEMA from hits in order."""
    docs, begins, ends, names, shares, roles, found = zip(*rows, strict=True) if rows else [()] * 7
    coverage, weighted = (
        np.round(np.array(values, np.float64), 3).astype(np.float32)
        for values in (shares, [item.weighted for item in found])
    )
    passages = [None if item.passage is None else round(item.passage, 3) for item in found]
    arrays = [
        pa.array([benchmark for benchmark, _ in names], pa.string()),
        pa.array([item for _, item in names], pa.string()),
        pa.array(np.array(begins, np.int32)),
        pa.array(np.array(ends, np.int32)),
        pa.array(coverage),
        pa.array(weighted),
        pa.array(roles, pa.string()),
        pa.array([item.answer for item in found], pa.bool_()),
        pa.array(passages, pa.float32()),
    ]
    values = pa.StructArray.from_arrays(arrays, fields=list(HIT))
    offsets = np.searchsorted(np.array(docs, np.int64), np.arange(n_docs + 1)).astype(np.int32)
    return _count(pa.ListArray.from_arrays(pa.array(offsets), values), coverage, weighted)


def _count(hits: pa.ListArray, *shares: np.ndarray) -> pa.Table:
    """Columns of SCHEMA from the hits, (n_docs,), and coverage and weighted coverage of each hit, in order."""
    n_hits = pc.list_value_length(hits).cast(pa.int32())
    parents = pc.list_parent_indices(hits).to_numpy()
    columns = []
    for share in shares:
        best = np.zeros(len(hits), np.float32)
        np.maximum.at(best, parents, share)
        columns.append(pa.array(best))
    return pa.Table.from_arrays([hits, n_hits, *columns], schema=SCHEMA)


def _group(hashes: np.ndarray) -> tuple[np.ndarray, list[list[int]]]:
    """Group texts with the same units.

    Args: hashes, uint64 (n_rows, 2), of their units.
    Returns: int64 (n_texts,), the first row of each distinct text, ascending; for each text, its rows.
    """
    _, first, group = np.unique(hashes, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    members: list[list[int]] = [[] for _ in order]
    for row, text in enumerate(rank[group.reshape(-1)].tolist()):
        members[text].append(row)
    return first[order], members


def _names(
    items: pa.Table, texts: Sequence[Text], members: Sequence[Sequence[int]]
) -> list[list[tuple[str, str]]]:
    """For each distinct text, the sorted (benchmark, id) of its items."""
    names = list(
        zip(
            pc.fill_null(items["benchmark"], "").to_pylist(),
            pc.fill_null(items["id"], "").to_pylist(),
            strict=True,
        )
    )
    return [sorted({names[texts[row].row] for row in rows}) for rows in members]


def _know(
    items: pa.Table,
    texts: Sequence[Text],
    members: Sequence[Sequence[int]],
    columns: tuple[np.ndarray, np.ndarray, np.ndarray],
    unit_starts: np.ndarray,
) -> list[Known]:
    """What is known of each distinct text; columns, units of the texts, whether they belong to formulas, and
    information of those of items, which begin the texts."""
    units, formula, information = columns
    answers = items["answer"].to_pylist()
    answer_units = split_units([answer_text(text, answers[text.row]) for text in texts[: len(items)]])
    passages = split_units(items["passage"].to_pylist())
    known = []
    for rows in members:
        own = slice(unit_starts[rows[0]], unit_starts[rows[0] + 1])
        item = texts[rows[0]].row
        mine = slice(unit_starts[item], unit_starts[item] + own.stop - own.start)
        of_items = sorted({texts[row].row for row in rows})
        distinct = {part.tobytes(): part for i in of_items if len(part := answer_units[i])}
        passage = next((passages[i] for i in of_items if len(passages[i])), None)
        text, none = units[own].copy(), np.zeros(0, np.uint64)
        beyond = ~covered(text, none if passage is None else passage, OWN_WINDOW)
        known.append(Known(text, information[mine], list(distinct.values()), passage, beyond, formula[own]))
    return known


def _match_bytes(folded: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """UTF-8 bytes of each text's match text; folded, 0 for characters that match text omits."""
    width = (folded > 0).astype(np.int64) + (folded >= 0x80) + (folded >= 0x800) + (folded >= 0x10000)
    return np.diff(np.append(0, np.cumsum(width))[starts])


def _only_numbers(is_number: np.ndarray, begins: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Whether each gram contains only numbers; is_number per unit, begins and lengths per gram, in units."""
    n_numbers = np.append(0, np.cumsum(is_number))
    return n_numbers[begins + lengths] - n_numbers[begins] == lengths


def _is_formula(codes: np.ndarray, begins: np.ndarray, is_number: np.ndarray) -> np.ndarray:
    """Whether each unit belongs to a formula: a number, a single letter, a LaTeX command.

    Args: codes of the view; begins and is_number, per unit.
    """
    padded = np.concatenate([[0], codes, [0]])
    before, first, behind = padded[begins], padded[begins + 1], padded[begins + 2]
    return is_number | (before == ord("\\")) | (_is_ascii_letter(first) & ~_is_ascii_letter(behind))


def _is_ascii_letter(codes: np.ndarray) -> np.ndarray:
    """Whether each code point is a letter of ASCII."""
    small = codes | 0x20
    return (small >= ord("a")) & (small <= ord("z"))


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
    version=5,
    config=Config,
    reads=("text",),
    writes=SCHEMA,
    load=Benchmarks,
    files=("benchmarks", "registry"),
    data=(TABLES_PATH, ASKING_PATH),
)
