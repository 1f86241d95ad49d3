"""The numbers of measured columns, rules and samples in report.json, and how those of shards add up to them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from pipeline.report.profile import merge
from pipeline.report.rule_counts import bounds_of
from pipeline.report.signals import distribution, limited_domains, quantiles
from pipeline.rules.rules import Rule

SHARES = (0.1, 0.5, 0.9)
"""Quantiles of perplexity that are given for each language and domain."""

FEWEST = 20
"""Fewest documents of a language and domain for which they are given."""

BOUND_COUNTS = ("kept", "alone", "others", "kept_bytes", "alone_bytes")


class Histogram(msgspec.Struct, frozen=True, kw_only=True):
    """Documents by value. bins: joined bins in ascending order, see pipeline.report.signals; all of equal length."""

    bins: list[int]
    kept: list[int]
    dropped: list[int]


class BoundNumbers(msgspec.Struct, frozen=True, kw_only=True):
    """Documents in the scope of a rule by the value that one of its bounds is for.

    place: among the bounds of the rule. side: `min` or `max`. value: None for a quantile. bins: of
    pipeline.report.profile, in ascending order. kept, alone, others: documents that are kept, that are lost to this
    rule alone, and all others; kept_bytes, alone_bytes: their bytes of text. All of equal length.
    """

    rule: str
    action: str
    place: int
    column: str
    side: str
    value: float | None
    bins: list[int]
    kept: list[int]
    alone: list[int]
    others: list[int]
    kept_bytes: list[int]
    alone_bytes: list[int]


class RuleNumbers(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule takes. scope: documents that it applies to. failed: that fail it. decided: that it is the reason for.

    alone: dropped ones that fail no other drop rule, with their bytes of text. sources: source -> failed and alone.
    """

    rule: str
    action: str
    scope: int
    failed: int
    decided: int
    alone: int
    alone_bytes: int
    sources: dict[str, tuple[int, int]]


class RuleSample(msgspec.Struct, frozen=True, kw_only=True):
    """A document on one side of a rule: `taken`, `outside` close to the threshold, or `inside`; see rule_samples."""

    rule: str
    side: str
    doc_id: str
    language: str
    source: str
    alone: bool
    column: str | None
    value: float | None
    bound: float | None
    keep: bool
    text: str


class DomainPerplexity(msgspec.Struct, frozen=True, kw_only=True):
    """Perplexity of a language in a domain: upper edges of the bins of its quantiles SHARES."""

    language: str
    domain: str
    documents: int
    kept: int
    quantiles: list[float]


def signal_numbers(counted: Iterable[dict[str, Any]]) -> dict[str, Any]:  # Any: plain JSON
    """Add up what `count_signals` returns for each shard."""
    total = merge(counted)
    spans = {name: values for name, values in sorted((total.get("spans") or {}).items()) if values}
    return {
        "signals": {
            column: {language: distribution(bins) for language, bins in sorted(groups.items())}
            for column, groups in sorted((total.get("numbers") or {}).items())
            if groups
        },
        "spans": {name: dict(sorted(values.items())) for name, values in spans.items()},
        "domain_perplexity": domain_rows(limited_domains(total.get("domains")) or {}),
    }


def domain_rows(domains: Mapping[str, Mapping[str, Mapping[str, list[int]]]]) -> list[dict[str, Any]]:
    """Quantiles of perplexity by language and domain, the largest first."""
    rows = []
    for language, groups in domains.items():
        for domain, bins in groups.items():
            kept, dropped = (sum(column) for column in zip(*bins.values(), strict=True))
            if kept + dropped >= FEWEST:
                facts = {"language": language, "domain": domain, "documents": kept + dropped, "kept": kept}
                rows.append({**facts, "quantiles": quantiles(bins, SHARES)})
    return sorted(rows, key=lambda row: (-row["documents"], row["language"], row["domain"]))


def rule_numbers(rules: Sequence[Rule], counted: Sequence[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    """Add up what `count_rules` returns for each shard. Args: counted, with the source of each shard."""
    total = merge(counts for _, counts in counted)
    sources: dict[str, dict[str, tuple[int, int]]] = {}
    for source, counts in counted:
        for name, (failed, _, alone, *_) in counts["rules"].items():
            known = sources.setdefault(name, {}).get(source, (0, 0))
            sources[name][source] = (known[0] + failed, known[1] + alone)
    rows = []
    for name, action in {rule.name: rule.action for rule in rules}.items():
        failed, decided, alone, alone_bytes, scope = (total.get("rules") or {}).get(name, [0] * 5)
        rows.append(
            {
                "rule": name, "action": action, "scope": scope, "failed": failed, "decided": decided, "alone": alone,
                "alone_bytes": alone_bytes,
                "sources": {s: list(n) for s, n in sorted(sources.get(name, {}).items()) if n[0]},
            }
        )  # fmt: skip
    counts = total.get("bounds") or {}
    bounds = []
    for bound in bounds_of(rules):
        bins = counts.get(bound["rule"], {}).get(str(bound["place"]), {})
        order = sorted(bins, key=int)
        columns = zip(*(bins[code] for code in order), strict=True) if order else [()] * len(BOUND_COUNTS)
        named = {name: list(values) for name, values in zip(BOUND_COUNTS, columns, strict=True)}
        bounds.append({**bound, "bins": [int(code) for code in order], **named})
    return {"rule_counts": rows, "bounds": [bound for bound in bounds if bound["bins"]]}
