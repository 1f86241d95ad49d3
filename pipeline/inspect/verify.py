"""Check a release from its files alone; `rederive` also recomputes a sample of its decisions from raw records.

The second check detects faults that counts cannot: if a list of removed rows is shifted by one row, all counts agree,
but a document that a rule drops is kept.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.cells import pad
from pipeline.errors import UsageError
from pipeline.inspect.public import check_public
from pipeline.inspect.release_files import read_checksums, read_order, read_parts, text_digest
from pipeline.release.clusters import cluster_table, members
from pipeline.schema import REFERENCE
from pipeline.storage.store import Store
from pipeline.translation import message, t

EXAMPLES = 5


@dataclass
class VerifyReport:
    """Results of checks by name: the number of items checked, and the faults."""

    checks: dict[str, int] = field(default_factory=dict)
    faults: dict[str, list[str]] = field(default_factory=dict)

    def check(self, name: str, n_checked: int, faults: list[str]) -> None:
        """Record one check."""
        self.checks[name] = n_checked
        if faults:
            self.faults[name] = faults

    @property
    def passed(self) -> bool:
        """Whether there are no faults."""
        return not self.faults

    def lines(self) -> list[str]:
        """One line per check, with the first few faults."""
        lines = []
        for name, n_checked in self.checks.items():
            faults = self.faults.get(name, [])
            state = t(f"{len(faults):,} FAULTS") if faults else t("ok")
            lines.append(f"{pad(t(name), 50)} {n_checked:>12,}  {state}")
            lines += [f"    {t(fault)}" for fault in faults[:EXAMPLES]]
        return lines


def verify_files(release: Store) -> VerifyReport:
    """Check a release from its own files: digests, conservation, ledger against data, mixes against ledger.

    Raises: UsageError if the release is not complete.
    """
    if not release.exists("checksums.sha256"):
        raise UsageError(f"{release.url}: no checksums.sha256; this is no release, or it was not finished")
    report = VerifyReport()
    listed = read_checksums(release)
    check_checksums(release, listed, report)
    lineage = json.loads(release.get("lineage.json"))
    ledger = read_parts(release, listed, "ledger/", None)
    check_counts(lineage, ledger, report)
    data = check_data(release, listed, ledger, report)
    check_derived(release, listed, lineage, ledger, report)
    check_clusters(release, listed, lineage, ledger, report)
    check_public(release, listed, report)
    for mix in sorted(lineage["mixes"]):
        check_mix(release, listed, mix, lineage, ledger, data, report)
        if f"tokens/{mix}/tokens.json" in listed:
            check_tokens(release, mix, lineage, report)
    return report


def check_checksums(release: Store, listed: dict[str, str], report: VerifyReport) -> None:
    """Every listed file has its digest, and there are no other files."""
    faults = []
    for name, expected in sorted(listed.items()):
        if not release.exists(name):
            faults.append(message(f"{name} is missing"))
            continue
        with release.open(name) as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]
        if found != expected:
            faults.append(message(f"{name} has SHA-256 {found[:16]}…, listed is {expected[:16]}…"))
    strays = {key for key, _ in release.list("")} - set(listed) - {"checksums.sha256"}
    faults += [message(f"{name} is not listed in checksums.sha256") for name in sorted(strays)]
    report.check(message("files have their checksums"), len(listed), faults)


def check_counts(lineage: dict[str, Any], ledger: pa.Table, report: VerifyReport) -> None:
    """Conservation: read = ingested + quarantined + erased, ingested = kept + dropped, and the ledger agrees."""
    counts, faults = lineage["counts"], []
    kept = sum(ledger["keep"].to_pylist())
    shard_rows = sum(shard["rows"] for shard in lineage["shards"].values())
    quarantined = sum(sum(reasons.values()) for reasons in lineage["quarantined"].values())
    for what, found, expected in (
        ("rows read", counts["read"], counts["ingested"] + counts["quarantined"] + counts["erased"]),
        ("ingested", counts["ingested"], counts["kept"] + counts["dropped"]),
        ("ledger rows", ledger.num_rows, counts["ingested"]),
        ("rows of shards", shard_rows, counts["ingested"]),
        ("quarantined by reason", quarantined, counts["quarantined"]),
        ("kept in the ledger", kept, counts["kept"]),
    ):
        if found != expected:
            faults.append(message(f"{what}: {found:,}, expected {expected:,}"))
    report.check(message("counts are conserved"), counts["read"], faults)
    faults = [
        message(f"{doc_id} occurs {n} times")
        for doc_id, n in Counter(ledger["doc_id"].to_pylist()).items()
        if n > 1
    ]
    report.check(message("ledger names every document once"), ledger.num_rows, faults)
    faults = []
    keepers = {
        d for d, keep in zip(ledger["doc_id"].to_pylist(), ledger["keep"].to_pylist(), strict=True) if keep
    }
    # a keeper may still be dropped by a late rule, or be a reference
    late = {*lineage["late_rules"], REFERENCE}
    dropped_late = {
        row["doc_id"] for row in ledger.select(["doc_id", "rule"]).to_pylist() if row["rule"] in late
    }
    for row in ledger.select(["doc_id", "keep", "rule", "keeper_id"]).to_pylist():
        if row["keep"] != (row["rule"] is None):
            faults.append(message(f"{row['doc_id']}: keep is {row['keep']}, rule is {row['rule']}"))
        if row["rule"] == "duplicate" and row["keeper_id"] not in keepers | dropped_late:
            faults.append(message(f"{row['doc_id']}: dropped for {row['keeper_id']}, which is not kept"))
    report.check(message("a rule where dropped, a kept keeper for copies"), ledger.num_rows, faults)


def check_data(
    release: Store, listed: dict[str, str], ledger: pa.Table, report: VerifyReport
) -> dict[str, str]:
    """Data contains exactly the kept documents, each once, under its language; returns doc_id -> digest of its text."""
    kept = {
        row["doc_id"]: row["language"]
        for row in ledger.select(["doc_id", "language", "keep"]).to_pylist()
        if row["keep"]
    }
    texts: dict[str, str] = {}
    faults = []
    for name in sorted(name for name in listed if name.startswith("data/")):
        folder = name.split("/")[1]
        with release.open(name) as stream:
            table = pq.read_table(stream, columns=["doc_id", "language", "text"])
        for row in table.to_pylist():
            doc_id = row["doc_id"]
            if doc_id in texts:
                faults.append(message(f"{doc_id} occurs twice in data/"))
            if kept.get(doc_id) != row["language"] or row["language"] != folder:
                faults.append(
                    message(f"{doc_id} in {name}: language {row['language']}, ledger has {kept.get(doc_id)}")
                )
            texts[doc_id] = text_digest(row["text"])
    faults += [message(f"{doc_id} is kept but not in data/") for doc_id in sorted(set(kept) - set(texts))]
    report.check(message("data holds the kept documents, each once"), len(texts), faults)
    return texts


def check_derived(
    release: Store, listed: dict[str, str], lineage: dict[str, Any], ledger: pa.Table, report: VerifyReport
) -> None:
    """Parents of kept derived documents are kept, and the release folder of each derived source contains its
    documents."""
    if not lineage["derived"]:
        return
    kept = {row["doc_id"]: row["source"] for row in ledger.to_pylist() if row["keep"]}
    expected: dict[str, set[str]] = {}
    for doc_id, source in kept.items():
        if source in lineage["derived"]:
            expected.setdefault(lineage["derived"][source]["part"] or "data", set()).add(doc_id)
    faults = []
    for part in sorted({derived["part"] or "data" for derived in lineage["derived"].values()}):
        table = read_parts(release, listed, f"{part}/", ["doc_id", "parent_id"])
        rows = [row for row in table.to_pylist() if part != "data" or row["doc_id"] in expected.get(part, ())]
        if sorted(row["doc_id"] for row in rows) != sorted(expected.get(part, ())):
            faults.append(message(f"{part}/ does not contain the kept documents of its sources, each once"))
        faults += [
            message(f"{row['doc_id']} is kept, its parent {row['parent_id']} is not")
            for row in rows
            if row["parent_id"] not in kept
        ]
    report.check(message("derived documents with their parents"), sum(map(len, expected.values())), faults)


def check_clusters(
    release: Store, listed: dict[str, str], lineage: dict[str, Any], ledger: pa.Table, report: VerifyReport
) -> None:
    """The table of clusters equals the one computed from the ledger."""
    clusters = read_parts(release, listed, "clusters/", None)
    if not clusters.column_names:
        return
    names = ledger["cluster"], ledger["doc_id"], ledger["snapshot"], ledger["source"]
    kept = np.asarray(ledger["keep"].combine_chunks()).astype(bool)
    late = pa.array(["duplicate", *lineage["late_rules"]], pa.string())  # rules that come after keepers
    eligible = kept | np.asarray(pc.is_in(ledger["rule"], late).combine_chunks()).astype(bool)
    expected = cluster_table(members(names, eligible, kept), clusters.schema)
    faults = []
    if not clusters.equals(expected):
        pairs = zip_longest(clusters.to_pylist(), expected.to_pylist())
        faults = [message(f"row {i}: {a}, the ledger has {b}") for i, (a, b) in enumerate(pairs) if a != b]
    report.check(message("clusters are what the ledger says"), clusters.num_rows, faults)


def check_mix(
    release: Store,
    listed: dict[str, str],
    mix: str,
    lineage: dict[str, Any],
    ledger: pa.Table,
    data: dict[str, str],
    report: VerifyReport,
) -> None:
    """Order, files, epochs and token sums of a mix agree with each other, with data/ and with the ledger."""
    order = read_order(release, mix)
    faults = []
    parts = [name for name in sorted(listed) if name.startswith(f"mixes/{mix}/part-")]
    rows = order.to_pylist()
    if parts:
        texts = read_parts(release, listed, f"mixes/{mix}/", ["doc_id", "text"]).to_pylist()
        if [row["doc_id"] for row in texts] != [row["doc_id"] for row in rows]:
            faults.append(message("the files of the mix are not in its training order"))
        faults += [
            message(f"{r['doc_id']}: other text than in data/")
            for r in texts
            if text_digest(r["text"]) != data.get(r["doc_id"])
        ]
    n_copies: Counter[str] = Counter()
    for row in rows:
        if row["epoch"] != n_copies[row["doc_id"]]:
            faults.append(message(f"{row['doc_id']}: epoch {row['epoch']} at copy {n_copies[row['doc_id']]}"))
        n_copies[row["doc_id"]] += 1
    faults += [
        message(f"{doc_id} is in the mix but not in data/") for doc_id in sorted(set(n_copies) - set(data))
    ]
    if mix == lineage["default_mix"]:
        copies = dict(zip(ledger["doc_id"].to_pylist(), ledger["copies"].to_pylist(), strict=True))
        faults += [
            message(f"{d}: {n} copies in the ledger, {n_copies[d]} in the mix")
            for d, n in copies.items()
            if n != n_copies[d]
        ]
    repeat = lineage["mixes"][mix].get("repeat")
    if repeat and (n := sum(row["copies"] for row in repeat["classes"])) != len(rows):
        faults.append(message(f"{len(rows):,} documents, the classes of its repeats have {n:,}"))
    if len(rows) != lineage["mixes"][mix]["documents"]:
        faults.append(
            message(f"{len(rows):,} documents, the lineage has {lineage['mixes'][mix]['documents']:,}")
        )
    report.check(message(f"mix {mix}: order, parts, copies"), len(rows), faults)


def check_tokens(release: Store, mix: str, lineage: dict[str, Any], report: VerifyReport) -> None:
    """Token files contain the documents and counted tokens of a mix, with one end token for each document."""
    index = json.loads(release.get(f"tokens/{mix}/tokens.json"))
    n_docs = sum(part["documents"] for part in index["parts"])
    n_tokens = sum(part["tokens"] for part in index["parts"])
    expected, faults = lineage["mixes"][mix], []
    if n_docs != expected["documents"]:
        faults.append(message(f"{n_docs:,} documents, the mix has {expected['documents']:,}"))
    if n_tokens != expected["tokens"] + n_docs:
        faults.append(
            message(f"{n_tokens:,} tokens; the mix has {expected['tokens']:,}, plus {n_docs:,} end tokens")
        )
    for part in index["parts"]:
        size = part["tokens"] * index["token_bytes"]
        for ending, format_name in (("bin", "megatron"), ("ds", "ds")):
            key = f"tokens/{mix}/{part['part']}.{ending}"
            if format_name in index["formats"] and release.size(key) != size:
                faults.append(message(f"{key} has {release.size(key):,} bytes, expected {size:,}"))
    report.check(message(f"token files of {mix}: documents, tokens, bytes"), n_tokens, faults)


def compare(
    report: VerifyReport, name: str, pairs: list[tuple[str, Any, Any]], describe: Callable[[Any], str] = str
) -> None:
    """Record one check of (name of the item, value found, value expected) triples."""
    faults = [
        message(f"{what}: {describe(found)}, recomputed {describe(expected)}")
        for what, found, expected in pairs
        if found != expected
    ]
    report.check(name, len(pairs), faults)
