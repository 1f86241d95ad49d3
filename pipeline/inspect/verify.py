"""Check a release from its files alone; `rederive` also recomputes a sample of its decisions from raw records.

The second check detects faults that counts cannot: if a list of removed rows is shifted by one row, all counts agree,
but a document that a rule drops is kept. Damage that left the checksums as they were is found by them; damage whose
checksums were made again is found by what files have in common: digests in the ledger, sums in the lineage, pages
that are written from numbers. A fault names its file; no damage ends in a traceback.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from pipeline import __version__
from pipeline.errors import UsageError
from pipeline.inspect.held_out import holdout_faults, parents_of
from pipeline.inspect.public import check_public
from pipeline.inspect.release_files import read_checksums
from pipeline.inspect.verify_data import check_clusters, check_data
from pipeline.inspect.verify_ledger import Ledger, check_keepers, read_ledger
from pipeline.inspect.verify_mix import Order, check_mix, check_tokens
from pipeline.inspect.verify_report import READABLE, VerifyReport, compare, reading
from pipeline.mix.holdout import HOLDOUT
from pipeline.release.files import sha256, to_json, with_digest
from pipeline.release.numbers import table_schemas_of
from pipeline.report.release_numbers import check_numbers, plain_numbers, read_numbers
from pipeline.report.release_pages import PAGES
from pipeline.report.release_pages import pages as release_pages
from pipeline.storage.store import Store
from pipeline.translation import message

__all__ = ["VerifyReport", "compare", "verify_files"]

NUMBERS = (
    "corpus", "name", "version", "counts", "funnel", "failed", "mixes", "default_mix", "recipe", "rules", "snapshots",
    "late_rules", "duplicates", "warnings", "quarantined",
)  # fmt: skip
"""Numbers that lineage.json and report.json share."""


def verify_files(release: Store, deep: bool = False, tokenizers: Sequence[str] = ()) -> VerifyReport:
    """Check a release from its own files: digests, conservation, ledger, data, mixes, token files and pages.

    Args: deep, tokenise every document of the token files again; tokenizers, files that may be the one they were made
    with, besides that of the package.
    Raises: UsageError if the release is not complete.
    """
    if not release.exists("checksums.sha256"):
        raise UsageError(f"{release.url}: no checksums.sha256; this is no release, or it was not finished")
    report = VerifyReport()
    listed: dict[str, str] = {}
    with reading(report, "checksums.sha256"):
        listed = read_checksums(release)
    digests = check_checksums(release, listed, report)
    names = sorted(listed)
    lineage: dict[str, Any] = {}
    with reading(report, "lineage.json"):
        lineage = json.loads(release.get("lineage.json"))
        ledger = read_ledger(release, names, lineage, report)
        check_counts(lineage, ledger, report)
        check_keepers(release, ledger, lineage, report)
        check_data(release, names, lineage, ledger, report)
        check_clusters(release, names, lineage, ledger, report)
        orders: dict[str, Order] = {}
        for mix in sorted(lineage["mixes"]):
            order = orders[mix] = check_mix(release, names, mix, lineage, ledger, report)
            if f"tokens/{mix}/tokens.json" in listed:
                with reading(report, f"tokens/{mix}/tokens.json"):
                    check_tokens(release, names, mix, lineage, ledger, order, report, deep, tokenizers)
        if HOLDOUT in orders:
            found = holdout_faults(release, ledger, parents_of(release, names, ledger), orders)
            report.check(message("nothing held out is in a mix"), *found)
    check_written(lineage, digests, listed, report)
    check_pages(release, listed, lineage, report)
    with reading(report, "lineage.json"):
        check_public(release, listed, report)
    return report


def check_checksums(release: Store, listed: dict[str, str], report: VerifyReport) -> dict[str, str]:
    """Every listed file has its digest, and there are no other files; returns the digest of each file."""
    faults, digests = [], {}
    present = {key for key, _ in release.list("")}
    for name, expected in sorted(listed.items()):
        if name not in present:
            faults.append(message(f"{name} is missing"))
            continue
        with release.open(name) as stream:
            found = digests[name] = hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]
        if found != expected:
            faults.append(message(f"{name} has SHA-256 {found}; checksums.sha256 has {expected}"))
    strays = present - set(listed) - {"checksums.sha256"}
    faults += [message(f"{name} is not listed in checksums.sha256") for name in sorted(strays)]
    if not listed:
        faults.append(message("checksums.sha256 lists no file"))
    report.check(message("files have their checksums"), len(listed), faults)
    return digests


def check_counts(lineage: dict[str, Any], ledger: Ledger, report: VerifyReport) -> None:
    """Conservation: read = ingested + quarantined + erased, ingested = kept + dropped, and the ledger agrees."""
    counts, faults = lineage["counts"], []
    shard_rows = sum(shard["rows"] for shard in lineage["shards"].values())
    quarantined = sum(sum(reasons.values()) for reasons in lineage["quarantined"].values())
    derived = ledger.is_source(lineage["derived"])
    kinds = sum(sum(kinds.values()) for kinds in lineage.get("duplicates", {}).get("language", {}).values())
    for what, found, expected in (
        ("rows read", counts["read"], counts["ingested"] + counts["quarantined"] + counts["erased"]),
        ("ingested", counts["ingested"], counts["kept"] + counts["dropped"]),
        ("ledger rows", len(ledger), counts["ingested"]),
        ("rows of shards", shard_rows, counts["ingested"]),
        ("quarantined by reason", quarantined, counts["quarantined"]),
        ("kept in the ledger", int(np.count_nonzero(ledger.keep)), counts["kept"]),
        ("derived documents", int(np.count_nonzero(derived)), counts["derived"]),
        ("duplicates by kind", kinds, int(np.count_nonzero(ledger.is_rule(["duplicate"])))),
    ):
        if found != expected:
            faults.append(message(f"{what}: {found:,}, expected {expected:,}"))
    report.check(message("counts are conserved"), counts["read"], faults)


def check_written(
    lineage: dict[str, Any], digests: dict[str, str], listed: dict[str, str], report: VerifyReport
) -> None:
    """Files have the digests of the lineage, and the lineage has its own; a checksum that neither has is named.

    Args: digests, of the files that are there; listed, of the checksums.
    """
    written = (lineage.get("digests") or {}).get("files")
    if written is None:
        return
    faults = [] if with_digest(lineage)["digest"] == lineage.get("digest") else ["lineage.json"]
    faults += [name for name, digest in sorted(written.items()) if digests.get(name) != digest]
    what = [message(f"{name}: not the file that was written") for name in faults]
    sound = {name: digests.get(name) for name, digest in written.items() if digests.get(name) == digest}
    if "lineage.json" not in faults and sha256(to_json(lineage).encode()) == digests.get("lineage.json"):
        sound["lineage.json"] = digests["lineage.json"]
    what += [
        message(f"checksums.sha256: {name} is the file that was written, and has another checksum")
        for name, digest in sorted(sound.items())
        if listed.get(name, digest) != digest
    ]
    report.check(message("files are those of the lineage"), len(written), what)


def check_pages(
    release: Store, listed: dict[str, str], lineage: dict[str, Any], report: VerifyReport
) -> None:
    """Card and Croissant file are what is written from the numbers, which are those of the lineage.

    The page report.html is not written again: another version of Plotly has other bytes.
    """
    faults: list[str] = []
    with reading(report, "report.json"):
        data = release.get("report.json")
        plain = json.loads(data)
        expected = {name: lineage[name] for name in NUMBERS if name in lineage and name in plain}
        of_lineage = plain_numbers(
            check_numbers({**plain, **expected})
        )  # in the form of the report, with its defaults
        found = plain_numbers(read_numbers(data))
        faults += [
            message(f"report.json: {name} differs from lineage.json")
            for name in expected
            if found[name] != of_lineage[name]
        ]
        if lineage.get("version") != __version__ or "digests" not in lineage:
            report.skip(message("README.md and croissant.json"), message("written by another version"))
        elif READABLE not in report.faults:
            faults += page_faults(release, listed, data)
    report.check(message("pages are written from the numbers"), len(NUMBERS), faults)


def page_faults(release: Store, listed: dict[str, str], data: bytes) -> list[str]:
    """Pages that differ from those written again from report.json."""
    numbers = read_numbers(data)
    described = [name for name in sorted(listed) if name not in PAGES]
    files = [
        {
            "path": name,
            "rows": n_rows(release, listed, name),
            "bytes": release.size(name),
            "sha256": listed[name],
        }
        for name in described
    ]
    schemas = table_schemas_of(release, described)
    expected = release_pages(numbers, files, schemas)
    return [
        message(f"{name}: not what is written from report.json and the files")
        for name, text in sorted(expected.items())
        if name not in listed or release.get(name) != text.encode()
    ]


def n_rows(release: Store, listed: dict[str, str], name: str) -> int:
    """Rows of a Parquet file, documents of a token file, lines of any other, as the release counted them."""
    folder, _, file = name.rpartition("/")
    if f"{folder}/tokens.json" in listed:
        for part in json.loads(release.get(f"{folder}/tokens.json"))["parts"]:
            if file.startswith(part["part"]):
                return int(part["documents"])
    if name.endswith(".parquet"):
        with release.open(name) as stream:
            return int(pq.read_metadata(stream).num_rows)
    return release.get(name).decode().count("\n")
