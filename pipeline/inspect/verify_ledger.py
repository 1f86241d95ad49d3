"""The ledger of a release as arrays: what `verify` compares every other file with.

The parts are read one after the other. A document takes about 100 bytes of memory, for ids of any length:
ids are replaced by 64 bits of their hash, names by numbers. A document's own name is read again where a fault names
it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.dataset.release_schema import DUPLICATE, LEDGER
from pipeline.dataset.row_digest import row_digests, text_digests, total, unsigned
from pipeline.inspect.verify_report import VerifyReport, reading
from pipeline.schema import REFERENCE
from pipeline.storage.store import Store
from pipeline.translation import message

NONE = -1
"""Number of an absent document, rule or cluster."""


@dataclass
class Names:
    """Numbers for names, in the order in which they are seen."""

    numbers: dict[str | None, int] = field(default_factory=dict)

    def codes(self, column: pa.ChunkedArray) -> np.ndarray:
        """Return the number of each value: int32 (n_rows,)."""
        encoded = column.combine_chunks().dictionary_encode()
        encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
        names = [*encoded.dictionary.to_pylist(), None]
        numbers = np.array([self.numbers.setdefault(name, len(self.numbers)) for name in names], np.int32)
        codes: np.ndarray = numbers[np.asarray(pc.fill_null(encoded.indices, len(names) - 1))]
        return codes

    def names(self) -> list[str | None]:
        """Return the names by number."""
        return list(self.numbers)


def ids(column: pa.ChunkedArray) -> np.ndarray:
    """Return 64 bits of the hash of each document id, uint64 (n_rows,); the value of a null for none."""
    return text_digests(column.cast(pa.large_string()))


class Ledger:
    """Columns of all rows, in the order of the parts.

    id, keeper, cluster: of `ids`; text, row: digests, uint64; keep: bool; copies: int32; language, source, rule:
    numbers in `languages`, `sources`, `rules`. n_tokens, part, line, data_text, data_row: of the document in data/,
    filled when that is read; seen: how often it was there. has_digests: whether the release has columns of digests,
    which earlier versions did not write.
    """

    def __init__(self) -> None:
        self.files: list[str] = []
        self.starts = [0]
        self.languages, self.sources, self.rules, self.kinds, self.snapshots = (Names() for _ in range(5))
        self.has_digests = True
        self._parts: list[dict[str, np.ndarray]] = []
        self.sum = 0

    def __len__(self) -> int:
        return self.starts[-1]

    def add(self, name: str, table: pa.Table) -> None:
        """Add one part."""
        has = {"text_digest", "row_digest", "digest"} <= set(table.column_names)
        self.has_digests &= has
        zeros = np.zeros(len(table), np.uint64)
        self._parts.append(
            {
                "id": ids(table["doc_id"]),
                "keeper": ids(table["keeper_id"]),
                "cluster": ids(table["cluster"]),
                "keep": np.asarray(pc.fill_null(table["keep"], False).combine_chunks()).astype(bool),
                "copies": np.asarray(pc.fill_null(table["copies"], 0).combine_chunks()).astype(np.int32),
                "language": self.languages.codes(table["language"]),
                "source": self.sources.codes(table["source"]),
                "rule": self.rules.codes(table["rule"]),
                "text": unsigned(table["text_digest"]) if has else zeros,
                "row": unsigned(table["row_digest"]) if has else zeros,
            }
        )
        self.files.append(name)
        self.starts.append(self.starts[-1] + len(table))

    def close(self) -> None:
        """Join the parts, and sort the ids for look-ups."""
        if not self._parts:  # no part, or none that can be read
            self.add("", LEDGER.empty_table())
        for name in list(self._parts[0]):
            setattr(self, name, np.concatenate([part.pop(name) for part in self._parts]))
        self._parts = []
        self.order = np.argsort(self.id, kind="stable").astype(np.int32 if len(self) < 1 << 31 else np.int64)
        self.sorted = self.id[self.order]
        self.seen, self.n_tokens = np.zeros(len(self), np.int32), np.zeros(len(self), np.int32)
        self.data_text, self.data_row = np.zeros(len(self), np.uint64), np.zeros(len(self), np.uint64)
        self.part, self.line = np.full(len(self), NONE, np.int32), np.full(len(self), NONE, np.int32)

    id: np.ndarray
    keeper: np.ndarray
    cluster: np.ndarray
    keep: np.ndarray
    copies: np.ndarray
    language: np.ndarray
    source: np.ndarray
    rule: np.ndarray
    text: np.ndarray
    row: np.ndarray

    def find(self, wanted: np.ndarray) -> np.ndarray:
        """Return the row of each id, int64 (n,), NONE for one that the ledger lacks. wanted: of `ids`."""
        if not len(self):
            return np.full(len(wanted), NONE, np.int64)
        places = np.minimum(np.searchsorted(self.sorted, wanted), len(self) - 1)
        return np.where(self.sorted[places] == wanted, self.order[places].astype(np.int64), NONE)

    def is_rule(self, names: Iterable[str]) -> np.ndarray:
        """Return which rows have one of some rules: bool (n_rows,)."""
        numbers = [self.rules.numbers[name] for name in names if name in self.rules.numbers]
        return np.isin(self.rule, numbers)

    def is_source(self, names: Iterable[str]) -> np.ndarray:
        """Return which rows are of some sources: bool (n_rows,)."""
        return np.isin(
            self.source, [self.sources.numbers[name] for name in names if name in self.sources.numbers]
        )

    def names(self, release: Store, rows: np.ndarray) -> list[str]:
        """Return the ids of some rows, read again from their parts."""
        found = []
        for row in rows.tolist():
            part = int(np.searchsorted(self.starts, row, side="right")) - 1
            with release.open(self.files[part]) as stream:
                found.append(
                    pq.read_table(stream, columns=["doc_id"])["doc_id"][row - self.starts[part]].as_py()
                )
        return found


def read_ledger(release: Store, listed: list[str], lineage: dict[str, Any], report: VerifyReport) -> Ledger:
    """Read the ledger and check each part by itself: rows of its shard in order, digests, columns that agree."""
    ledger, faults = Ledger(), list[str]()
    funnel: Counter[tuple[str | None, str | None]] = Counter()
    snapshots: Counter[tuple[str | None, bool]] = Counter()
    names = sorted(name for name in listed if name.startswith("ledger/") and "/part-" in name)
    shards = sorted(lineage["shards"])
    for number, name in enumerate(names):
        with reading(report, name), release.open(name) as stream:
            table = pq.read_table(stream)
            ledger.add(name, table)
            shard = shards[number] if number < len(shards) else None
            faults += part_faults(name, table, shard, lineage["shards"].get(shard, {}).get("rows"))
            if "digest" in table.column_names:
                sums = row_digests(table.drop_columns(["digest"]))
                wrong = np.flatnonzero(sums != unsigned(table["digest"]))
                faults += [
                    message(f"{table['doc_id'][i].as_py()} in {name}: not the row that was written")
                    for i in wrong.tolist()
                ]
                ledger.sum = (ledger.sum + total(sums)) % 2**64
            for group, counts in ((("language", "rule"), funnel), (("snapshot", "keep"), snapshots)):
                for row in table.group_by(list(group)).aggregate([([], "count_all")]).to_pylist():
                    counts[row[group[0]], row[group[1]]] += row["count_all"]
    ledger.close()
    faults += lineage_faults(ledger, funnel, snapshots, lineage)
    report.check(message("ledger rows are those that were written"), len(ledger), faults)
    return ledger


def part_faults(name: str, table: pa.Table, shard: str | None, n_rows: int | None) -> list[str]:
    """What is wrong with one part: rows of one shard in order, and columns that agree with each other."""
    faults = []
    found = table["shard"].unique().to_pylist()
    if found not in ([shard], []):
        faults.append(message(f"{name}: shard {', '.join(map(str, found[:3]))}, expected {shard}"))
    if n_rows is not None and table.num_rows != n_rows:
        faults.append(message(f"{name}: {table.num_rows:,} ledger rows, its shard has {n_rows:,}"))
    elif not np.array_equal(np.asarray(table["row"].combine_chunks()), np.arange(table.num_rows)):
        faults.append(message(f"{name}: its rows are not in the order of its shard"))
    is_copy = pc.fill_null(pc.equal(table["rule"], DUPLICATE), False)
    for what, wrong in (
        (
            "copies in the mix, but not kept",
            pc.and_(pc.not_equal(table["copies"], 0), pc.invert(table["keep"])),
        ),
        ("a kind of duplicate, but another rule", pc.and_not(pc.is_valid(table["duplicate"]), is_copy)),
    ):
        rows = pc.indices_nonzero(pc.fill_null(wrong, False)).to_pylist()
        faults += [message(f"{table['doc_id'][i].as_py()} in {name}: {what}") for i in rows]
    return faults


def lineage_faults(
    ledger: Ledger,
    funnel: Counter[tuple[str | None, str | None]],
    snapshots: Counter[tuple[str | None, bool]],
    lineage: dict[str, Any],
) -> list[str]:
    """What the lineage counts otherwise than the ledger: outcomes by language, snapshots, the sum of the digests."""
    faults = []
    counted: dict[str, dict[str, int]] = {}
    for (language, rule), n in funnel.items():
        counted.setdefault(str(language), {})[rule or "kept"] = n
    for language in sorted({*counted, *lineage["funnel"]}):
        found, expected = counted.get(language, {}), lineage["funnel"].get(language, {})
        if found != expected:
            rules = sorted(rule for rule in {*found, *expected} if found.get(rule) != expected.get(rule))
            rule = rules[0]
            faults.append(
                message(
                    f"{language} {rule}: {found.get(rule, 0):,} ledger rows, the lineage has {expected.get(rule, 0):,}"
                )
            )
    for snapshot, row in (lineage.get("snapshots") or {}).items():
        n, kept = (
            sum(snapshots[snapshot or None, keep] for keep in keeps) for keeps in ((True, False), (True,))
        )
        if (n, kept) != (row["documents"], row["kept"]):
            faults.append(
                message(
                    f"snapshot {snapshot!r}: {n:,} and {kept:,} kept, "
                    f"the lineage has {row['documents']:,} and {row['kept']:,}"
                )
            )
    expected = lineage.get("digests", {}).get("ledger")
    if expected is not None and f"{ledger.sum:016x}" != expected:
        faults.append(message("the digests of all ledger rows do not have the sum in the lineage"))
    return faults


def check_keepers(release: Store, ledger: Ledger, lineage: dict[str, Any], report: VerifyReport) -> None:
    """Ids occur once; a rule where dropped; the keeper of a copy is kept, or dropped later, and is in its cluster."""
    repeated = np.flatnonzero(ledger.sorted[1:] == ledger.sorted[:-1]) if len(ledger) else np.zeros(0, int)
    rows = ledger.order[repeated]
    faults = [message(f"{name} occurs more than once") for name in ledger.names(release, rows)]
    report.check(message("ledger names every document once"), len(ledger), faults)
    has_rule = ledger.rule != ledger.rules.numbers.get(None, NONE)
    wrong = np.flatnonzero(ledger.keep == has_rule)
    faults = [
        message(f"{name}: kept with a rule, or dropped without one") for name in ledger.names(release, wrong)
    ]
    copies = np.flatnonzero(ledger.is_rule([DUPLICATE]))
    keepers = ledger.find(ledger.keeper[copies])
    # a keeper may still be dropped by a late rule, or be a reference
    may_keep = np.append(ledger.keep | ledger.is_rule([*lineage["late_rules"], REFERENCE]), False)
    lost = copies[~may_keep[keepers]]
    faults += [
        message(f"{name}: dropped for a document that is not kept") for name in ledger.names(release, lost)
    ]
    known = copies[keepers >= 0]
    elsewhere = known[ledger.cluster[known] != ledger.cluster[keepers[keepers >= 0]]]
    faults += [
        message(f"{name}: its keeper is in another cluster") for name in ledger.names(release, elsewhere)
    ]
    report.check(message("a rule where dropped, a kept keeper for copies"), len(ledger), faults)
