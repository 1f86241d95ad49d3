"""Compare two releases: documents added, removed or with another verdict, by language and by rule."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import polars as pl
import pyarrow.compute as pc

from pipeline.cells import pad, pad_left
from pipeline.errors import UsageError
from pipeline.inspect.drift import drift_rows, has_drifted, input_changes, recipe_changes, rule_changes
from pipeline.inspect.release_files import each_part, read_checksums
from pipeline.inspect.verify_ledger import ids
from pipeline.report.release_numbers import read_numbers
from pipeline.storage.store import Store
from pipeline.translation import message, t

EXAMPLES = 5
KEPT = "kept"
ABSENT = "not ingested"


def compare_releases(old: Store, new: Store) -> dict[str, Any]:  # Any: plain JSON
    """Compare two releases document by document.

    Returns: counts of both (`old`, `new`), `changes` (from, to, documents, examples) by outcome, kept documents by
    language, `texts`, the number of documents with another text, tokens of the mixes, changed `steps` with what changed
    of their `recipes`, bounds of `rules`, `inputs`, and `drift` of every measured column.
    Raises: UsageError if one of them is not a finished release.
    """
    for release in (old, new):
        if not release.exists("checksums.sha256"):
            raise UsageError(
                f"{release.url}: no checksums.sha256; this is no release, or it was not finished"
            )
    both = joined(outcomes(old), outcomes(new))
    lineages = [json.loads(release.get("lineage.json")) for release in (old, new)]
    numbers = [read_numbers(release.get("report.json")) for release in (old, new)]
    return {
        "old": {"url": old.url, **lineages[0]["counts"]},
        "new": {"url": new.url, **lineages[1]["counts"]},
        "changes": changed_outcomes(both, old, new),
        "languages": kept_by_language(both),
        "texts": changed_texts(old, new),
        "mixes": {
            name: [lineage["mixes"].get(name, {}).get("tokens") for lineage in lineages]
            for name in sorted({name for lineage in lineages for name in lineage["mixes"]})
        },
        "steps": changed_steps(*lineages),
        "recipes": recipe_changes(*(lineage["steps"] for lineage in lineages)),
        "rules": rule_changes(*numbers),
        "inputs": input_changes(*(lineage["inputs"] for lineage in lineages)),
        "drift": drift_rows(*numbers),
    }


def outcomes(release: Store) -> pl.DataFrame:
    """Outcome of every document of a release: id (64 bits of the hash of doc_id), outcome (rule or KEPT), language."""
    schema = {"id": pl.UInt64, "outcome": pl.Categorical, "language": pl.Categorical}
    frames = [pl.DataFrame(schema=schema)]
    for _, table in each_part(release, read_checksums(release), "ledger/", ["doc_id", "rule", "language"]):
        frames.append(
            pl.DataFrame(table.drop_columns(["doc_id"])).select(
                pl.Series("id", ids(table["doc_id"])),
                pl.col("rule").fill_null(KEPT).cast(pl.Categorical).alias("outcome"),
                pl.col("language").cast(pl.Categorical),
            )
        )
    return pl.concat(frames)


def joined(before: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    """Outcomes of both releases by id: outcome, language, outcome_after, language_after; ABSENT where there is none."""
    both = before.join(after, on="id", how="full", coalesce=True, suffix="_after")
    return both.with_columns(pl.col("outcome", "outcome_after").fill_null(ABSENT))


def changed_outcomes(both: pl.DataFrame, old: Store, new: Store) -> list[dict[str, Any]]:
    """Documents with another outcome, the most frequent change first, each with some of their ids."""
    pair = [
        pl.col("outcome").cast(pl.String).alias("from"),
        pl.col("outcome_after").cast(pl.String).alias("to"),
    ]
    groups = (
        both.filter(pl.col("outcome") != pl.col("outcome_after"))
        .group_by(pair)
        .agg(pl.len().alias("documents"), pl.col("id").bottom_k(EXAMPLES))
        .sort(["documents", "from", "to"], descending=[True, False, False])
    )
    names = names_of({i for row in groups["id"] for i in row}, old, new)
    return [
        {"from": a, "to": b, "documents": n, "examples": sorted(names[i] for i in row)}
        for a, b, n, row in groups.select("from", "to", "documents", "id").iter_rows()
    ]


def names_of(wanted: set[int], *releases: Store) -> dict[int, str]:
    """Ids of documents by 64 bits of their hash, read again from the ledgers."""
    found: dict[int, str] = {}
    numbers = np.array(sorted(wanted), np.uint64)
    for release in releases if wanted else ():
        for _, table in each_part(release, read_checksums(release), "ledger/", ["doc_id"]):
            own = ids(table["doc_id"])
            rows = np.flatnonzero(np.isin(own, numbers))
            found |= dict(zip(own[rows].tolist(), table["doc_id"].take(rows).to_pylist(), strict=True))
    return found


def kept_by_language(both: pl.DataFrame) -> dict[str, list[int]]:
    """Number of kept documents before and after, by language."""
    counts: dict[str, list[int]] = {}
    for i, end in enumerate(("", "_after")):
        kept = both.filter(pl.col(f"outcome{end}") == KEPT).group_by(f"language{end}").len()
        for name, n in kept.iter_rows():
            counts.setdefault(name, [0, 0])[i] = n
    return dict(sorted(counts.items()))


def changed_texts(old: Store, new: Store) -> int:
    """Number of documents kept in both releases whose record has another text."""
    before, after = kept_texts(old), kept_texts(new)
    both = before.join(after, on="id", suffix="_after")
    return both.filter(pl.col("text") != pl.col("text_after")).height


def kept_texts(release: Store) -> pl.DataFrame:
    """Kept documents of a release: id, text (64 bits of the hash of the record's text)."""
    schema = {"id": pl.UInt64, "text": pl.UInt64}
    parts = each_part(release, read_checksums(release), "data/", ["doc_id", "lineage"])
    tables = [
        pl.DataFrame(
            {"id": ids(table["doc_id"]), "text": ids(pc.struct_field(table["lineage"], "text_hash"))},
            schema=schema,
        )
        for _, table in parts
    ]
    return pl.concat([pl.DataFrame(schema=schema), *tables])


def changed_steps(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Names of steps that were added, removed or have another recipe. Args: lineages."""
    names = old["steps"].keys() | new["steps"].keys()
    recipes = [{name: steps["steps"].get(name, {}).get("recipe") for name in names} for steps in (old, new)]
    return sorted(name for name in names if recipes[0][name] != recipes[1][name])


DRIFTED = 12
"""Largest number of drifted columns that are printed; `--json` has all."""


def shown(value: float | None) -> str:
    """A bound for a terminal; none for a quantile, or where there is none."""
    return "-" if value is None else f"{value:g}"


def input_lines(inputs: dict[str, list[str]]) -> list[str]:
    """Changed input files for a terminal, one line by kind of change."""
    words = {"added": t("added"), "removed": t("removed"), "changed": t("changed")}
    return [
        t(f"inputs {words[kind]}: {len(names):,}, e.g. {names[0]}") for kind, names in inputs.items() if names
    ]


COUNTS = (message("read"), message("ingested"), message("kept"), message("kept_tokens"))
"""Counts of a release that are compared."""


def diff_lines(comparison: dict[str, Any]) -> list[str]:
    """The comparison for a terminal."""
    old, new = comparison["old"], comparison["new"]
    result = [pad("", 24) + pad_left(t("old"), 13) + pad_left(t("new"), 13)]
    result += [f"{pad(t(name), 24)} {old[name]:>12,} {new[name]:>12,}" for name in COUNTS]
    result += [
        f"{pad(t(f'kept {name}'), 24)} {a:>12,} {b:>12,}" for name, (a, b) in comparison["languages"].items()
    ]
    result += [
        t(f"{pad(f'mix {name}', 24)} {a or 0:>12,} {b or 0:>12,} tokens")
        for name, (a, b) in comparison["mixes"].items()
    ]
    result += [
        t(f"{change['documents']:>8,}  {change['from']} -> {change['to']}  e.g. {change['examples'][0]}")
        for change in comparison["changes"]
    ]
    result += [t(f"{comparison['texts']:>8,}  documents with another text")] if comparison["texts"] else []
    result += [
        t(f"step {name} changed: {', '.join(settings)}") for name, settings in comparison["recipes"].items()
    ]
    result += [
        t(f"rule {row['rule']}: {row['column']} {row['side']} {shown(row['old'])} -> {shown(row['new'])}")
        for row in comparison["rules"]
    ]
    result += input_lines(comparison["inputs"])
    drifted = [row for row in comparison["drift"] if has_drifted(row)]
    result += [
        t(
            f"drift {pad(row['column'], 28)} {pad(row['language'], 10)} PSI {row['psi']:.2f}, KS {row['ks']:.2f}"
        )
        for row in drifted[:DRIFTED]
    ]
    if len(drifted) > DRIFTED:
        result.append(t(f"and {len(drifted) - DRIFTED:,} more that drifted"))
    return (
        result
        if comparison["changes"] or comparison["steps"] or comparison["texts"]
        else [*result, t("no document changed")]
    )
