"""Compare two releases: documents added, removed or with another verdict, by language and by rule."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.cells import pad, pad_left
from pipeline.errors import UsageError
from pipeline.inspect.drift import drift_rows, has_drifted, input_changes, recipe_changes, rule_changes
from pipeline.inspect.release_files import read_checksums, read_parts
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
    before, after = outcomes(old), outcomes(new)
    changed: Counter[tuple[str, str]] = Counter()
    examples: dict[tuple[str, str], list[str]] = {}
    for doc_id in sorted(before.keys() | after.keys()):
        change = (before.get(doc_id, (ABSENT, ""))[0], after.get(doc_id, (ABSENT, ""))[0])
        if change[0] != change[1]:
            changed[change] += 1
            examples.setdefault(change, []).append(doc_id)
    lineages = [json.loads(release.get("lineage.json")) for release in (old, new)]
    numbers = [read_numbers(release.get("report.json")) for release in (old, new)]
    return {
        "old": {"url": old.url, **lineages[0]["counts"]},
        "new": {"url": new.url, **lineages[1]["counts"]},
        "changes": [
            {"from": a, "to": b, "documents": n, "examples": examples[a, b][:EXAMPLES]}
            for (a, b), n in sorted(changed.items(), key=lambda item: (-item[1], item[0]))
        ],
        "languages": by_language(before, after),
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


def outcomes(release: Store) -> dict[str, tuple[str, str]]:
    """Outcome of every document of a release: doc_id -> (rule or KEPT, language)."""
    ledger = read_parts(release, read_checksums(release), "ledger/", ["doc_id", "rule", "language"])
    columns = (ledger[name].to_pylist() for name in ("doc_id", "rule", "language"))
    return {doc_id: (rule or KEPT, language) for doc_id, rule, language in zip(*columns, strict=True)}


def by_language(
    before: dict[str, tuple[str, str]], after: dict[str, tuple[str, str]]
) -> dict[str, list[int]]:
    """Number of kept documents before and after, by language."""
    counts = [
        Counter(language for rule, language in release_outcomes.values() if rule == KEPT)
        for release_outcomes in (before, after)
    ]
    return {
        name: [release_outcomes[name] for release_outcomes in counts]
        for name in sorted(counts[0].keys() | counts[1].keys())
    }


def changed_texts(old: Store, new: Store) -> int:
    """Number of documents kept in both releases whose record has another text."""
    tables = []
    for release in (old, new):
        data = read_parts(release, read_checksums(release), "data/", ["doc_id", "lineage"])
        hashes = pc.struct_field(data["lineage"], "text_hash") if data.num_rows else pa.array([], pa.string())
        tables.append(
            dict(zip(data["doc_id"].to_pylist() if data.num_rows else [], hashes.to_pylist(), strict=True))
        )
    return sum(tables[0][doc_id] != tables[1][doc_id] for doc_id in tables[0].keys() & tables[1].keys())


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
