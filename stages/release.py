"""What a release holds: the schema of every file in it, and the plain README with its numbers.

Reads columns by name; where those names come from is the run file's `release.columns`, with COLUMNS as default.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

COLUMNS: Mapping[str, Any] = {
    "language": "language.label",
    "language_score": "language.score",
    "domain": "domain.label",
    "quality_bucket": "cuts.bucket",
    "quality": {},
    "perplexity": "fluency.perplexity",
    "cluster": "dedup.cluster",
    "cluster_size": "dedup.cluster_size",
    "n_tokens": "tokens.n_tokens",
}
"""Release column -> annotation column; `quality` maps score names to columns. Absent annotations give nulls."""

NO_LANGUAGE = "und"
"""Folder of documents without a language label."""

LINEAGE = pa.struct({"input": pa.string(), "row": pa.int64(), "text_hash": pa.string()})


def data_schema(scores: Sequence[str]) -> pa.Schema:
    """Schema of data and mix parts; scores are the names of the quality struct's fields."""
    quality = pa.struct({name: pa.float32() for name in (scores or ("none",))})
    return pa.schema(
        {
            "doc_id": pa.string(),
            "text": pa.large_string(),
            "language": pa.string(),
            "language_score": pa.float32(),
            "source": pa.string(),
            "domain": pa.string(),
            "url": pa.string(),
            "date": pa.string(),
            "license": pa.string(),
            "provenance": pa.string(),
            "quality_bucket": pa.int32(),
            "quality": quality,
            "perplexity": pa.float32(),
            "cluster_size": pa.int32(),
            "n_tokens": pa.int32(),
            "parent_id": pa.string(),
            "lineage": LINEAGE,
        }
    )


LEDGER = pa.schema(
    {
        "doc_id": pa.string(),
        "source": pa.string(),
        "shard": pa.string(),
        "row": pa.int32(),
        "language": pa.string(),
        "keep": pa.bool_(),
        "rule": pa.string(),
        "flags": pa.list_(pa.string()),
        "cluster": pa.string(),
        "keeper_id": pa.string(),
        "similarity": pa.float32(),
        "cluster_size": pa.int32(),
        "quality_bucket": pa.int32(),
        "perplexity": pa.float32(),
        "copies": pa.int32(),
    }
)
"""One row for every ingested document. rule: the first failing rule, null exactly when kept; copies: times in the
default mix, 0 when the ratio left the document out."""

ORDER = pa.schema({"doc_id": pa.string(), "part": pa.int32(), "row": pa.int32(), "epoch": pa.int32()})
"""One row per document of a mix, in training order; part and row place it in the mix's or the data's parts."""

DUPLICATE = "duplicate"
"""Rule name of documents for which another member of their cluster was kept."""


def readme(summary: Mapping[str, Any]) -> str:  # Any: the JSON summary of a release
    """Write the release's README: what it is, the funnel per language, the mixes, how to check it."""
    counts = summary["counts"]
    lines = [
        f"# {summary['name']}",
        "",
        f"{counts['kept']:,} documents, {counts['kept_tokens']:,} tokens, from {counts['read']:,} records read. Built "
        f"with bicorpus {summary['version']} from `run.yaml`; `lineage.json` names every input file by its digest.",
        "",
        f"rows read {counts['read']:,} = ingested {counts['ingested']:,} + quarantined {counts['quarantined']:,} + "
        f"erased {counts['erased']:,}; ingested = kept {counts['kept']:,} + dropped {counts['dropped']:,}.",
        "",
        "## Funnel",
        "",
    ]
    lines += funnel_table(summary["funnel"])
    for name, mix in sorted(summary["mixes"].items()):
        lines += ["", f"## Mix `{name}`", ""]
        lines += ["| group | documents | tokens | share asked | share | epochs |", "|---|---:|---:|---:|---:|---:|"]
        lines += [
            f"| {g['group']} | {g['n_docs']:,} | {g['tokens']:,} | {g['asked_share']:.2%} | {g['share']:.2%} "
            f"| {g['epochs']:.2f} |"
            for g in mix["groups"]
        ]
        lines += ["", f"{mix['discarded_share']:.1%} of the kept tokens are left out of this mix."]
    lines += [
        "",
        "## Files",
        "",
        "`data/` every kept document once; `mixes/` documents in training order; `ledger/` one row for every ingested "
        "document with the rule that dropped it; `licenses.csv`; `checksums.sha256` (`sha256sum -c`).",
        "",
        "Check it with `bicorpus verify`.",
        "",
    ]
    return "\n".join(lines)


def funnel_table(funnel: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Markdown lines: one row per outcome, one column per language; the largest languages first."""
    languages = sorted(funnel, key=lambda name: (-sum(funnel[name].values()), name))
    outcomes = sorted({o for row in funnel.values() for o in row}, key=lambda o: (o != "kept", o))
    lines = [f"| | {' | '.join(languages)} | all |", f"|---|{'---:|' * (len(languages) + 1)}"]
    for outcome in outcomes:
        values = [funnel[name].get(outcome, 0) for name in languages]
        lines.append(f"| {outcome} | {' | '.join(f'{v:,}' for v in values)} | {sum(values):,} |")
    totals = [sum(funnel[name].values()) for name in languages]
    lines.append(f"| ingested | {' | '.join(f'{v:,}' for v in totals)} | {sum(totals):,} |")
    return lines
