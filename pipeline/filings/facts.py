"""What filings take from a release beyond its report: domains by size, flags of kept documents, rules on opt-outs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import UsageError
from pipeline.inspect.release_files import read_checksums
from pipeline.inspect.run_page import sections_of
from pipeline.report.release_numbers import ReleaseNumbers, read_numbers
from pipeline.rules.presets import expand_presets
from pipeline.storage.store import Store

HOST = r"^[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#@]*@)?(?P<host>[^/?#:]+)"

CRAWLED, PUBLIC_DATA, LICENSED, PRIVATE, USER, SYNTHETIC, OTHER = (
    "crawled", "public_dataset", "licensed", "private", "user", "synthetic", "other",
)  # fmt: skip
CATEGORIES = (PUBLIC_DATA, LICENSED, PRIVATE, CRAWLED, USER, SYNTHETIC, OTHER)
"""Categories of sources of the EU template, sections 2.1 to 2.6."""

PAGES = ("stages.readers.warc", "stages.readers.wet", "stages.readers.html")
"""Readers of files that a crawler wrote."""


@dataclass(frozen=True)
class Opened:
    """A finished release: its numbers, run file as plain data, domains (name, documents, bytes, tokens; largest first),
    kept documents by flag."""

    numbers: ReleaseNumbers
    run: Mapping[str, Any]  # Any: YAML
    domains: list[tuple[str, int, int, int]]
    flags: dict[str, int]
    opt_outs: int | None

    def category(self, source: str, facts: Mapping[str, Any]) -> str | None:
        """Category of a source: as the facts state, else by its reader or provenance; None if neither tells."""
        stated = (facts.get("sources") or {}).get(source)
        if stated is not None:
            if stated not in CATEGORIES:
                raise UsageError(
                    f"facts: sources.{source} is {stated!r}; expected one of {', '.join(CATEGORIES)}"
                )
            return str(stated)
        row = next(s for s in self.numbers.sources if s.source == source)
        if row.reader in PAGES:
            return CRAWLED
        machine = sum(n for name, n in row.provenances.items() if name.lower() == "llm")
        return SYNTHETIC if machine * 2 > row.kept else None

    def rules_on(self, *words: str) -> dict[str, int]:
        """Rules that read a column with one of these words, those of presets too, and the documents they dropped."""
        dropped: dict[str, int] = {}
        for row in self.numbers.funnel.values():
            for outcome, n in row.items():
                dropped[outcome] = dropped.get(outcome, 0) + n
        named = {}
        for rule in expand_presets(self.run.get("select") or [], "run.yaml: select"):
            if not isinstance(rule, dict):
                continue
            columns = [key for test in (rule, rule.get("where") or {}) for key in test if "." in key]
            if any(word in column for word in words for column in columns):
                named[str(rule.get("name"))] = dropped.get(str(rule.get("name")), 0)
        return named


def open_release(release: Store) -> Opened:
    """Read what filings need of a finished release.

    Raises: UsageError for a folder that is none.
    """
    if not release.exists("checksums.sha256") or not release.exists("report.json"):
        raise UsageError(
            f"{release.url}: no finished release; expected the folder of one, as store/releases/v1"
        )
    listed = read_checksums(release)
    sums: list[pa.Table] = []
    opt_outs, has_rights = 0, False
    for name in sorted(n for n in listed if n.startswith("data/") and "/part-" in n):
        with release.open(name) as stream:
            present = set(pq.read_schema(stream).names)
        wanted = [c for c in ("url", "n_tokens", "text", "rights") if c in present]
        with release.open(name) as stream:
            for batch in pq.ParquetFile(stream).iter_batches(4096, columns=wanted):
                table = pa.Table.from_batches([batch])
                sums.append(by_host(table))
                if "rights" in wanted:
                    found = pc.struct_field(table["rights"], "opt_out")
                    has_rights |= found.null_count < len(found)
                    opt_outs += int(pc.sum(found.cast(pa.int64())).as_py() or 0)
        sums = [add_hosts(sums)] if sums else []
    return Opened(
        numbers=read_numbers(release.get("report.json")), run=sections_of(release),
        domains=domain_rows(sums), flags=kept_flags(release, listed), opt_outs=opt_outs if has_rights else None,
    )  # fmt: skip


def by_host(table: pa.Table) -> pa.Table:
    """Documents, bytes of text and tokens by host; documents without a URL are left out."""
    host = pc.utf8_lower(pc.struct_field(pc.extract_regex(table["url"], HOST), "host"))
    host = pc.replace_substring_regex(host, r"^www\.", "")
    facts = pa.table(
        {
            "host": host, "documents": pa.repeat(1, len(table)),
            "bytes": pc.cast(pc.binary_length(table["text"]), pa.int64()),
            "tokens": pc.cast(pc.fill_null(table["n_tokens"], 0), pa.int64()),
        }
    )  # fmt: skip
    return facts.filter(pc.is_valid(host))


def add_hosts(tables: list[pa.Table]) -> pa.Table:
    """Sum tables of `by_host`."""
    names = ("documents", "bytes", "tokens")
    summed = pa.concat_tables(tables).group_by("host").aggregate([(name, "sum") for name in names])
    return summed.select(["host", *(f"{name}_sum" for name in names)]).rename_columns(["host", *names])


def domain_rows(sums: list[pa.Table]) -> list[tuple[str, int, int, int]]:
    """Domains with documents, bytes and tokens, the largest first."""
    if not sums:
        return []
    rows = add_hosts(sums).to_pylist()
    rows.sort(key=lambda row: (-row["bytes"], row["host"]))
    return [(row["host"], row["documents"], row["bytes"], row["tokens"]) for row in rows]


def kept_flags(release: Store, listed: Mapping[str, str]) -> dict[str, int]:
    """Kept documents by the rules that only flag, from the ledger."""
    flags: dict[str, int] = {}
    for name in sorted(n for n in listed if n.startswith("ledger/part-")):
        with release.open(name) as stream:
            table = pq.read_table(stream, columns=["keep", "flags"])
        found = pc.list_flatten(table.filter(table["keep"])["flags"])
        for row in pc.value_counts(found).to_pylist():
            flags[row["values"]] = flags.get(row["values"], 0) + row["counts"]
    return flags
