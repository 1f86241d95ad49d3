"""Compare two releases: which documents came, went or changed their verdict, by language and by rule."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import UsageError
from pipeline.inspect.release_files import read_checksums, read_parts
from pipeline.storage.store import Store

EXAMPLES = 5
KEPT = "kept"
ABSENT = "not ingested"


def compare_releases(old: Store, new: Store) -> dict[str, Any]:  # Any: plain JSON
    """What changed from one release to another, document by document.

    Returns: counts of both, `changes` (from, to, documents, examples) by outcome, kept documents by language,
    documents with another text, and the tokens of the mixes.
    Raises: UsageError if one is no finished release.
    """
    for release in (old, new):
        if not release.exists("checksums.sha256"):
            raise UsageError(
                f"{release.url}: no checksums.sha256; not a release, or one that was not finished"
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
    }


def outcomes(release: Store) -> dict[str, tuple[str, str]]:
    """doc_id -> (rule or kept, language)."""
    ledger = read_parts(release, read_checksums(release), "ledger/", ["doc_id", "rule", "language"])
    columns = (ledger[name].to_pylist() for name in ("doc_id", "rule", "language"))
    return {doc_id: (rule or KEPT, language) for doc_id, rule, language in zip(*columns, strict=True)}


def by_language(
    before: dict[str, tuple[str, str]], after: dict[str, tuple[str, str]]
) -> dict[str, list[int]]:
    """Language -> kept documents before and after."""
    counts = [
        Counter(language for rule, language in side.values() if rule == KEPT) for side in (before, after)
    ]
    return {name: [side[name] for side in counts] for name in sorted(counts[0].keys() | counts[1].keys())}


def changed_texts(old: Store, new: Store) -> int:
    """Documents in both releases whose record itself holds another text now."""
    tables = []
    for release in (old, new):
        data = read_parts(release, read_checksums(release), "data/", ["doc_id", "lineage"])
        hashes = pc.struct_field(data["lineage"], "text_hash") if data.num_rows else pa.array([], pa.string())
        tables.append(
            dict(zip(data["doc_id"].to_pylist() if data.num_rows else [], hashes.to_pylist(), strict=True))
        )
    return sum(tables[0][doc_id] != tables[1][doc_id] for doc_id in tables[0].keys() & tables[1].keys())


def changed_steps(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Names of steps that were added, removed or given another recipe."""
    names = old["steps"].keys() | new["steps"].keys()
    return sorted(name for name in names if old["steps"].get(name) != new["steps"].get(name))


def diff_lines(found: dict[str, Any]) -> list[str]:
    """The comparison for a terminal."""
    old, new = found["old"], found["new"]
    result = [f"{'':<24} {'old':>12} {'new':>12}"]
    result += [
        f"{name:<24} {old[name]:>12,} {new[name]:>12,}"
        for name in ("read", "ingested", "kept", "kept_tokens")
    ]
    result += [f"kept {name:<19} {a:>12,} {b:>12,}" for name, (a, b) in found["languages"].items()]
    result += [
        f"mix {name:<20} {a or 0:>12,} {b or 0:>12,} tokens" for name, (a, b) in found["mixes"].items()
    ]
    result += [
        f"{change['documents']:>8,}  {change['from']} -> {change['to']}  e.g. {change['examples'][0]}"
        for change in found["changes"]
    ]
    result += [f"{found['texts']:>8,}  documents with another text"] if found["texts"] else []
    result += [f"steps that changed: {', '.join(found['steps'])}"] if found["steps"] else []
    return (
        result if found["changes"] or found["steps"] or found["texts"] else [*result, "no document changed"]
    )
