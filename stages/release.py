"""What a release holds: the schema of every file in it, and the plain README with its numbers.

Reads columns by name; where those names come from is the run file's `release.columns`, with COLUMNS as default.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

COLUMNS: Mapping[str, Any] = {
    "language": "language.label",
    "language_score": "language.score",
    "domain": "domain.label",
    "quality_bucket": "cuts.bucket",
    "quality": {"reference": "quality.reference", "intact": "quality.intact"},
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
    """Schema of data and mix parts; scores are the names of the quality struct's fields, at least one."""
    quality = pa.struct({name: pa.float32() for name in scores})
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

ORPHAN = "parent_dropped"
"""Rule name of derived documents whose parent was dropped."""


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
    lines += funnel_table(summary["funnel"], summary["rules"])
    for name, mix in sorted(summary["mixes"].items()):
        lines += ["", f"## Mix `{name}`", ""]
        lines += [
            "| group | documents | tokens | share asked | share | epochs |",
            "|---|---:|---:|---:|---:|---:|",
        ]
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


SHOWN_LANGUAGES = 6
"""Languages with a column of their own in the README; lineage.json has them all."""


def funnel_table(funnel: Mapping[str, Mapping[str, int]], rules: Sequence[str]) -> list[str]:
    """Markdown lines: what became of the documents, one row per outcome, the largest languages in columns.

    Args: funnel, language -> outcome -> documents; rules, names of the drop rules in the order they decide.
    """
    languages = sorted(funnel, key=lambda name: (-sum(funnel[name].values()), name))
    shown, rest = languages[:SHOWN_LANGUAGES], languages[SHOWN_LANGUAGES:]
    columns = [[name] for name in shown] + ([rest] if rest else []) + [languages]
    heads = [*shown, *([f"{len(rest)} others"] if rest else []), "all"]
    lines = [f"| | {' | '.join(heads)} |", f"|---|{'---:|' * len(heads)}"]
    found = {outcome for row in funnel.values() for outcome in row}

    def line(name: str, outcomes: Iterable[str]) -> str:
        outcomes = list(outcomes)
        values = [sum(funnel[n].get(o, 0) for n in names for o in outcomes) for names in columns]
        return f"| {name} | {' | '.join(f'{value:,}' for value in values)} |"

    lines.append(line("ingested", found))
    lines += [line(rule, [rule]) for rule in dict.fromkeys([*rules, ORPHAN, DUPLICATE]) if rule in found]
    lines.append(line("kept", ["kept"]))
    return lines
