"""Check a release: from its files alone, and by deriving a sample of its decisions again from raw bytes.

The second check catches what no count can: a removal list shifted by one row balances, but a document that a rule
drops is then kept, and its raw record says so.
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

from pipeline.errors import UsageError
from pipeline.inspect.release_files import read_checksums, read_parts, text_digest
from pipeline.release.clusters import cluster_table, members
from pipeline.schema import REFERENCE
from pipeline.storage.store import Store

EXAMPLES = 5


@dataclass
class VerifyReport:
    """Checks by name: how many things were looked at, and what was wrong."""

    checks: dict[str, int] = field(default_factory=dict)
    faults: dict[str, list[str]] = field(default_factory=dict)

    def check(self, name: str, n_checked: int, faults: list[str]) -> None:
        """Record one check."""
        self.checks[name] = n_checked
        if faults:
            self.faults[name] = faults

    @property
    def passed(self) -> bool:
        """Whether nothing was wrong."""
        return not self.faults

    def lines(self) -> list[str]:
        """One line per check, with the first few faults."""
        lines = []
        for name, n_checked in self.checks.items():
            faults = self.faults.get(name, [])
            state = f"{len(faults):,} FAULTS" if faults else "ok"
            lines.append(f"{name:<44} {n_checked:>12,}  {state}")
            lines += [f"    {fault}" for fault in faults[:EXAMPLES]]
        return lines


def verify_files(release: Store) -> VerifyReport:
    """Check a release from its own files: digests, conservation, ledger against data, mixes against ledger.

    Raises: UsageError if there is no complete release.
    """
    if not release.exists("checksums.sha256"):
        raise UsageError(f"{release.url}: no checksums.sha256; not a release, or one that was not finished")
    report = VerifyReport()
    listed = read_checksums(release)
    check_checksums(release, listed, report)
    lineage = json.loads(release.get("lineage.json"))
    ledger = read_parts(release, listed, "ledger/", None)
    check_counts(lineage, ledger, report)
    data = check_data(release, listed, ledger, report)
    check_derived(release, listed, lineage, ledger, report)
    check_clusters(release, listed, lineage, ledger, report)
    for mix in sorted(lineage["mixes"]):
        check_mix(release, listed, mix, lineage, ledger, data, report)
        if f"tokens/{mix}/tokens.json" in listed:
            check_tokens(release, mix, lineage, report)
    return report


def check_checksums(release: Store, listed: dict[str, str], report: VerifyReport) -> None:
    """Every listed file has its digest, and no other file is there."""
    faults = []
    for name, expected in sorted(listed.items()):
        if not release.exists(name):
            faults.append(f"{name} is missing")
            continue
        with release.open(name) as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]
        if found != expected:
            faults.append(f"{name} has SHA-256 {found[:16]}…, listed is {expected[:16]}…")
    strays = {key for key, _ in release.list("")} - set(listed) - {"checksums.sha256"}
    faults += [f"{name} is not listed in checksums.sha256" for name in sorted(strays)]
    report.check("files have their checksums", len(listed), faults)


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
            faults.append(f"{what}: {found:,}, expected {expected:,}")
    report.check("counts are conserved", counts["read"], faults)
    faults = [
        f"{doc_id} stands {n} times" for doc_id, n in Counter(ledger["doc_id"].to_pylist()).items() if n > 1
    ]
    report.check("ledger names every document once", ledger.num_rows, faults)
    faults = []
    keepers = {
        d for d, keep in zip(ledger["doc_id"].to_pylist(), ledger["keep"].to_pylist(), strict=True) if keep
    }
    # a keeper may still go for what its passages leave of it, or be a document that only takes others out
    late = {*lineage["late_rules"], REFERENCE}
    hollow = {row["doc_id"] for row in ledger.select(["doc_id", "rule"]).to_pylist() if row["rule"] in late}
    for row in ledger.select(["doc_id", "keep", "rule", "keeper_id"]).to_pylist():
        if row["keep"] != (row["rule"] is None):
            faults.append(f"{row['doc_id']}: keep is {row['keep']}, rule is {row['rule']}")
        if row["rule"] == "duplicate" and row["keeper_id"] not in keepers | hollow:
            faults.append(f"{row['doc_id']}: dropped for {row['keeper_id']}, which is not kept")
    report.check("a rule where dropped, a kept keeper for copies", ledger.num_rows, faults)


def check_data(
    release: Store, listed: dict[str, str], ledger: pa.Table, report: VerifyReport
) -> dict[str, str]:
    """Data holds exactly the kept documents, each once, under its language; returns doc_id -> digest of its text."""
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
                faults.append(f"{doc_id} stands twice in data/")
            if kept.get(doc_id) != row["language"] or row["language"] != folder:
                faults.append(
                    f"{doc_id} in {name}: language {row['language']}, ledger has {kept.get(doc_id)}"
                )
            texts[doc_id] = text_digest(row["text"])
    faults += [f"{doc_id} is kept but not in data/" for doc_id in sorted(set(kept) - set(texts))]
    report.check("data holds the kept documents, each once", len(texts), faults)
    return texts


def check_derived(
    release: Store, listed: dict[str, str], lineage: dict[str, Any], ledger: pa.Table, report: VerifyReport
) -> None:
    """Kept derived documents stand with kept parents, and once more in the part of their source."""
    if not lineage["derived"]:
        return
    kept = {row["doc_id"]: row["source"] for row in ledger.to_pylist() if row["keep"]}
    wanted: dict[str, set[str]] = {}
    for doc_id, source in kept.items():
        if source in lineage["derived"]:
            wanted.setdefault(lineage["derived"][source]["part"] or "data", set()).add(doc_id)
    faults = []
    for part in sorted({derived["part"] or "data" for derived in lineage["derived"].values()}):
        table = read_parts(release, listed, f"{part}/", ["doc_id", "parent_id"])
        rows = [row for row in table.to_pylist() if part != "data" or row["doc_id"] in wanted.get(part, ())]
        if sorted(row["doc_id"] for row in rows) != sorted(wanted.get(part, ())):
            faults.append(f"{part}/ does not hold the kept documents of its sources, each once")
        faults += [
            f"{row['doc_id']} is kept, its parent {row['parent_id']} is not"
            for row in rows
            if row["parent_id"] not in kept
        ]
    report.check("derived documents with their parents", sum(map(len, wanted.values())), faults)


def check_clusters(
    release: Store, listed: dict[str, str], lineage: dict[str, Any], ledger: pa.Table, report: VerifyReport
) -> None:
    """The table of clusters is what the ledger's rows add up to, in order."""
    found = read_parts(release, listed, "clusters/", None)
    if not found.column_names:
        return
    names = ledger["cluster"], ledger["doc_id"], ledger["snapshot"], ledger["source"]
    kept = np.asarray(ledger["keep"].combine_chunks()).astype(bool)
    late = pa.array(["duplicate", *lineage["late_rules"]], pa.string())  # rules that come after keepers
    eligible = kept | np.asarray(pc.is_in(ledger["rule"], late).combine_chunks()).astype(bool)
    expected = cluster_table(members(names, eligible, kept), found.schema)
    faults = []
    if not found.equals(expected):
        pairs = zip_longest(found.to_pylist(), expected.to_pylist())
        faults = [f"row {i}: {a}, the ledger has {b}" for i, (a, b) in enumerate(pairs) if a != b]
    report.check("clusters are what the ledger says", found.num_rows, faults)


def check_mix(
    release: Store,
    listed: dict[str, str],
    mix: str,
    lineage: dict[str, Any],
    ledger: pa.Table,
    data: dict[str, str],
    report: VerifyReport,
) -> None:
    """A mix's order, parts, epochs and token sums agree with each other, with data/ and with the ledger's copies."""
    with release.open(f"mixes/{mix}/order.parquet") as stream:
        order = pq.read_table(stream)
    faults = []
    parts = [name for name in sorted(listed) if name.startswith(f"mixes/{mix}/part-")]
    rows = order.to_pylist()
    if parts:
        found = read_parts(release, listed, f"mixes/{mix}/", ["doc_id", "text"]).to_pylist()
        if [row["doc_id"] for row in found] != [row["doc_id"] for row in rows]:
            faults.append("the parts are not in the order of order.parquet")
        faults += [
            f"{r['doc_id']}: other text than in data/"
            for r in found
            if text_digest(r["text"]) != data.get(r["doc_id"])
        ]
    seen: Counter[str] = Counter()
    for row in rows:
        if row["epoch"] != seen[row["doc_id"]]:
            faults.append(f"{row['doc_id']}: epoch {row['epoch']} at copy {seen[row['doc_id']]}")
        seen[row["doc_id"]] += 1
    faults += [f"{doc_id} is in the mix but not in data/" for doc_id in sorted(set(seen) - set(data))]
    if mix == lineage["default_mix"]:
        copies = dict(zip(ledger["doc_id"].to_pylist(), ledger["copies"].to_pylist(), strict=True))
        faults += [
            f"{d}: {n} copies in the ledger, {seen[d]} in the mix" for d, n in copies.items() if n != seen[d]
        ]
    repeat = lineage["mixes"][mix].get("repeat")
    if repeat and (n := sum(row["copies"] for row in repeat["classes"])) != len(rows):
        faults.append(f"{len(rows):,} documents, the classes of its repeats have {n:,}")
    if len(rows) != lineage["mixes"][mix]["documents"]:
        faults.append(f"{len(rows):,} documents, lineage says {lineage['mixes'][mix]['documents']:,}")
    report.check(f"mix {mix}: order, parts, copies", len(rows), faults)


def check_tokens(release: Store, mix: str, lineage: dict[str, Any], report: VerifyReport) -> None:
    """Token files hold the mix's documents, and its counted tokens with one end token for each document."""
    page = json.loads(release.get(f"tokens/{mix}/tokens.json"))
    n_docs = sum(part["documents"] for part in page["parts"])
    n_tokens = sum(part["tokens"] for part in page["parts"])
    expected, faults = lineage["mixes"][mix], []
    if n_docs != expected["documents"]:
        faults.append(f"{n_docs:,} documents, the mix has {expected['documents']:,}")
    if n_tokens != expected["tokens"] + n_docs:
        faults.append(
            f"{n_tokens:,} tokens; the mix has {expected['tokens']:,}, and {n_docs:,} documents end"
        )
    for part in page["parts"]:
        size = part["tokens"] * page["token_bytes"]
        for ending, wanted in (("bin", "megatron"), ("ds", "ds")):
            key = f"tokens/{mix}/{part['part']}.{ending}"
            if wanted in page["formats"] and release.size(key) != size:
                faults.append(f"{key} has {release.size(key):,} bytes, expected {size:,}")
    report.check(f"token files of {mix}: documents, tokens, bytes", n_tokens, faults)


def compare(
    report: VerifyReport, name: str, pairs: list[tuple[str, Any, Any]], describe: Callable[[Any], str] = str
) -> None:
    """Record one check of (what, found, expected) triples."""
    faults = [
        f"{what}: {describe(found)}, derived again {describe(expected)}"
        for what, found, expected in pairs
        if found != expected
    ]
    report.check(name, len(pairs), faults)
