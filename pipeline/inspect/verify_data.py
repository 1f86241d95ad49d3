"""Check data/, derived parts and clusters of a release against its ledger, a few thousand rows at a time."""

from __future__ import annotations

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.config.release_columns import group_of_rights
from pipeline.dataset.row_digest import row_digests, text_digests
from pipeline.inspect.verify_ledger import Ledger, ids
from pipeline.inspect.verify_report import VerifyReport, reading
from pipeline.keyed_hash import keyed_hash
from pipeline.release.clusters import cluster_table, members
from pipeline.release.numbers import csv_text
from pipeline.release.public import PUBLIC
from pipeline.storage.store import Store
from pipeline.translation import message

ROWS = 4096
"""Rows that are read at a time."""


def batches(release: Store, name: str, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """Yield the rows of a Parquet file of a release."""
    with release.open(name) as stream:
        for batch in pq.ParquetFile(stream).iter_batches(ROWS, columns=columns):
            yield pa.Table.from_batches([batch])


def rights_group(table: pa.Table) -> int:
    """The group of rights of the documents of a part, which are all of one."""
    if "rights" not in table.column_names:  # of a release of an earlier version
        return 0
    rights = table["rights"].combine_chunks().slice(0, 1)
    flags = [
        rights.field(name).fill_null(False).to_numpy(zero_copy_only=False).astype(bool)
        for name in ("share_alike", "non_commercial")
    ]
    return int(group_of_rights(*flags)[0])


def parts_below(listed: Sequence[str], prefix: str) -> list[str]:
    """Names of the files `part-*` of a release below a folder, sorted."""
    return sorted(name for name in listed if name.startswith(prefix) and "/part-" in name)


def check_data(
    release: Store, listed: Sequence[str], lineage: dict[str, Any], ledger: Ledger, report: VerifyReport
) -> None:
    """Data contains exactly the kept documents, each once, in its language and order, with its digests."""
    extra = check_derived(release, listed, lineage, ledger, report)
    faults: list[str] = []
    sums: dict[str, Counter[Any]] = defaultdict(Counter)
    seed = (lineage.get("digests") or {}).get("seed")
    last: tuple[tuple[str, int], int] = (("", 0), 0)
    for name in parts_below(listed, "data/"):
        folder, line = name.split("/")[1], 0
        part = int(name.rpartition("part-")[2].partition(".")[0])
        with reading(report, name):
            for table in batches(release, name):
                found = ledger.find(ids(table["doc_id"]))
                faults += data_faults(table, name, folder, found, ledger, extra)
                if seed is not None:
                    places = keyed_hash(table["doc_id"], seed).astype(object)
                    if lineage["digests"].get("order") == "input":  # shards one after another
                        shards = np.searchsorted(ledger.starts, found, side="right") - 1
                        places += shards.astype(object) << 64
                    group = folder, rights_group(table)
                    before = last[1] if last[0] == group else 0
                    if (np.diff(places, prepend=before) < 0).any():
                        faults.append(message(f"{name}: its documents are not in the order of data/"))
                    last = (group, int(places[-1]))
                known = np.flatnonzero(found >= 0)
                rows = found[known]
                np.add.at(ledger.seen, rows, 1)
                tokens = np.asarray(pc.fill_null(table["n_tokens"], 0).combine_chunks())
                ledger.n_tokens[rows] = tokens[known]
                ledger.part[rows], ledger.line[rows] = part, line + known
                line += table.num_rows
                add_sums(sums, table)
    twice = ledger.names(release, np.flatnonzero(ledger.seen > 1))
    missing = ledger.names(release, np.flatnonzero(ledger.keep & (ledger.seen == 0)))
    faults += [message(f"{name} occurs twice in data/") for name in twice]
    faults += [message(f"{name} is kept but not in data/") for name in missing]
    report.check(message("data holds the kept documents, each once"), int(ledger.seen.sum()), faults)
    check_sums(release, sums, lineage, report)


def data_faults(
    table: pa.Table, name: str, folder: str, found: np.ndarray, ledger: Ledger, extra: np.ndarray
) -> list[str]:
    """What is wrong with some rows of a file of data/. found: their rows in the ledger."""
    doc_ids, faults = table["doc_id"], []
    languages = ledger.languages.names()
    expected = np.array([*languages, None], object)[
        np.where(found >= 0, ledger.language[found], len(languages))
    ]
    kept = np.where(found >= 0, ledger.keep[found], False)
    wrong = ~kept | (np.array(table["language"].to_pylist(), object) != expected) | (expected != folder)
    for i in np.flatnonzero(wrong).tolist():
        has = expected[i] if kept[i] else None
        faults.append(
            message(
                f"{doc_ids[i].as_py()} in {name}: language {table['language'][i].as_py()}, ledger has {has}"
            )
        )
    texts, others = text_digests(table["text"]), row_digests(table.drop_columns(["text"]))
    known = found >= 0
    ledger.data_text[found[known]], ledger.data_row[found[known]] = texts[known], others[known]
    if ledger.has_digests:
        rows = found[kept]
        for what, is_wrong in (
            (message("another text"), texts[kept] != ledger.text[rows]),
            (message("other columns"), others[kept] + extra[rows] != ledger.row[rows]),
        ):
            places = np.flatnonzero(kept)[is_wrong].tolist()
            faults += [
                message(f"{doc_ids[i].as_py()} in {name}: {what} than when it was released") for i in places
            ]
    return faults


def add_sums(sums: dict[str, Counter[Any]], table: pa.Table) -> None:
    """Add the documents and tokens of some rows by licence and source, and the names of their inputs."""
    for row in (
        table.group_by(["license", "source"]).aggregate([([], "count_all"), ("n_tokens", "sum")]).to_pylist()
    ):
        place = row["license"] or "", row["source"]
        sums["documents"][place] += row["count_all"]
        sums["tokens"][place] += row["n_tokens_sum"] or 0
    names = pc.struct_field(table["lineage"], "input")
    for row in (
        pa.table({"source": table["source"], "input": names})
        .group_by(["source", "input"])
        .aggregate([])
        .to_pylist()
    ):
        sums["inputs"][row["source"], row["input"]] += 1


def check_sums(
    release: Store, sums: dict[str, Counter[Any]], lineage: dict[str, Any], report: VerifyReport
) -> None:
    """Tokens, licences and inputs of data/ are those of the lineage and of licenses.csv."""
    faults = []
    tokens, expected = sum(sums["tokens"].values()), lineage["counts"]["kept_tokens"]
    if tokens != expected:
        faults.append(message(f"{tokens:,} tokens in data/, the lineage has {expected:,}"))
    for source, name in sorted(sums["inputs"], key=str):
        is_left_out = name is None and lineage.get("profile") == PUBLIC
        if (
            source not in lineage["derived"]
            and not is_left_out
            and f"{source}/{name}" not in lineage["inputs"]
        ):
            faults.append(message(f"input {source}/{name} is not in the lineage"))
    with reading(report, "licenses.csv"):
        rows = list(csv.reader(io.StringIO(release.get("licenses.csv").decode())))[1:]
        found = {(row[0], row[1]): (int(row[2]), int(row[3])) for row in rows}
        plain = {key: next(csv.reader([csv_text(key[0])]))[0] for key in sums["documents"]}
        counted = {(plain[key], key[1]): (n, sums["tokens"][key]) for key, n in sums["documents"].items()}
        for key in sorted({*found, *counted}):
            if found.get(key) != counted.get(key):
                faults.append(
                    message(
                        f"licenses.csv: {key[1]} {key[0]!r} has {found.get(key)}, data/ has {counted.get(key)}"
                    )
                )
    report.check(message("tokens, licences and inputs add up"), sum(sums["documents"].values()), faults)


def check_derived(
    release: Store, listed: Sequence[str], lineage: dict[str, Any], ledger: Ledger, report: VerifyReport
) -> np.ndarray:
    """Parents of kept derived documents are kept, and the folder of each derived source contains its documents.

    Returns: digest of the row of each document in such a folder, uint64 (n_rows,), zero for none.
    """
    extra = np.zeros(len(ledger), np.uint64)
    if not lineage["derived"]:
        return extra
    sources = ledger.sources.numbers
    by_part: dict[str, list[int]] = {}
    for source, derived in lineage["derived"].items():
        by_part.setdefault(derived["part"] or "data", []).append(sources.get(source, -1))
    faults, n_checked = [], 0
    for folder, numbers in sorted(by_part.items()):
        expected = ledger.keep & np.isin(ledger.source, numbers)
        seen = np.zeros(len(ledger), np.int32)
        for name in parts_below(listed, f"{folder}/"):
            with reading(report, name):
                for table in batches(release, name, ["doc_id", "parent_id"] if folder == "data" else None):
                    found = ledger.find(ids(table["doc_id"]))
                    if folder == "data":
                        table = table.filter(pa.array(expected[found] & (found >= 0)))
                        found = ledger.find(ids(table["doc_id"]))
                    np.add.at(seen, found[found >= 0], 1)
                    if (found < 0).any():
                        faults.append(message(f"{name}: a document that the ledger lacks"))
                    if folder != "data":
                        extra[found[found >= 0]] = row_digests(table)[found >= 0]
                    parents = ledger.find(ids(table["parent_id"]))
                    lost = ~np.append(ledger.keep, False)[parents]
                    for i in np.flatnonzero(lost).tolist():
                        row = table.slice(i, 1).select(["doc_id", "parent_id"]).to_pylist()[0]
                        faults.append(
                            message(f"{row['doc_id']} is kept, its parent {row['parent_id']} is not")
                        )
        if not np.array_equal(seen, expected.astype(np.int32)):
            faults.append(message(f"{folder}/ does not contain the kept documents of its sources, each once"))
        n_checked += int(expected.sum())
    report.check(message("derived documents with their parents"), n_checked, faults)
    return extra


def check_clusters(
    release: Store, listed: Sequence[str], lineage: dict[str, Any], ledger: Ledger, report: VerifyReport
) -> None:
    """The table of clusters equals the one computed from the ledger, part by part."""
    names = parts_below(listed, "clusters/")
    if not names:
        return
    faults, n_rows, low = list[str](), 0, ""
    late = pa.array(["duplicate", *lineage["late_rules"]], pa.string())  # rules that come after keepers
    for name in names:
        with reading(report, name), release.open(name) as stream:
            clusters = pq.read_table(stream)
            is_last = name == names[-1]
            high = None if is_last or not clusters.num_rows else clusters["cluster"][-1].as_py()
            found = [members_of(release, part, late, low, high) for part in ledger.files]
            expected = cluster_table(pa.concat_tables(found), clusters.schema)
            if not clusters.equals(expected):
                pairs = zip_longest(clusters.to_pylist(), expected.to_pylist())
                faults += [
                    message(f"row {n_rows + i}: {a}, the ledger has {b}")
                    for i, (a, b) in enumerate(pairs)
                    if a != b
                ]
            n_rows += clusters.num_rows
            low = low if high is None else high
    report.check(message("clusters are what the ledger says"), n_rows, faults)


def members_of(release: Store, part: str, late: pa.Array, low: str, high: str | None) -> pa.Table:
    """Members of the clusters with a name above `low` and up to `high`, from one part of the ledger."""
    with release.open(part) as stream:
        table = pq.read_table(stream, columns=["cluster", "doc_id", "snapshot", "source", "keep", "rule"])
    inside = pc.greater(table["cluster"], low)
    table = table.filter(inside if high is None else pc.and_(inside, pc.less_equal(table["cluster"], high)))
    kept = np.asarray(table["keep"].combine_chunks()).astype(bool)
    eligible = kept | np.asarray(pc.is_in(table["rule"], late).combine_chunks()).astype(bool)
    return members((table["cluster"], table["doc_id"], table["snapshot"], table["source"]), eligible, kept)
