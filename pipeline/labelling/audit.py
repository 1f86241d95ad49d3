"""Audits of a build: documents drawn by source, language, outcome and tier, and the rates that verdicts give.

Kept documents are drawn to estimate how many should not be in the corpus, dropped ones to estimate how many a rule
removed wrongly. A stratum is a source, a language, an outcome (kept, or the rule that dropped) and a quality tier.
Rates are weighted by the sizes of strata; their intervals are Wilson's (JASA 22:209, 1927), for several strata with
the effective number of documents (Kish, Survey Sampling, 1965, section 11.7), which is at most the number that was
read.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import InputError, UsageError
from pipeline.inspect.opened import Finished
from pipeline.inspect.query import judged_table
from pipeline.keyed_hash import keyed_hash
from pipeline.labelling.answers import Read
from pipeline.labelling.draw import even
from pipeline.report.audit_numbers import AuditNumbers, AuditRate
from pipeline.select.verdicts import Decision
from pipeline.storage.store import Store
from pipeline.translation import t

KEPT = "kept"
"""Outcome of documents that no rule drops."""

STRATUM = ("source", "language", "outcome", "tier")
OUTCOMES = "outcomes"
"""Key of the metadata of drawn documents: outcome -> documents of the build."""

Z95 = 1.959963984540054
"""Quantile of the normal distribution for two-sided intervals of 95 %."""


def draw_audit(finished: Finished, documents: int, kept_share: float, seed: int) -> pa.Table:
    """Draw documents: doc_id, those of STRATUM, population, drawn and text, shuffled.

    population, drawn: documents of the stratum in the build, and in the sheet. Of the kept documents, strata have
    shares proportional to their size, and at least one if there are enough; of the dropped ones, rules have equal
    shares. The metadata has the population of each outcome. Raises: UsageError for a build without documents.
    """
    decisions = list(finished.decisions())
    tables = [_facts(finished, decision, i) for i, decision in enumerate(decisions)]
    table = pa.concat_tables(tables)
    if not table.num_rows:
        raise UsageError("the build has no documents to audit")
    table = choose(table, documents, kept_share, seed)
    texts: dict[str, str] = {}
    for i in sorted(set(table["shard"].to_pylist())):
        rows = table.filter(pc.equal(table["shard"], i))
        ids = dict(zip(rows["place"].to_pylist(), rows["doc_id"].to_pylist(), strict=True))
        for place, text in finished.shown_text(decisions[i], np.sort(rows["place"].to_numpy())):
            texts[ids[place]] = text
    shown = pa.array([texts[doc_id] for doc_id in table["doc_id"].to_pylist()], pa.large_string())
    return table.drop_columns(["shard", "place"]).append_column("text", shown)


def _facts(finished: Finished, decision: Decision, number: int) -> pa.Table:
    """Stratum of each document of a shard. Duplicates are no removals by a rule, and are left out."""
    layout = finished.releasing.layout
    named = {"language": layout.columns["language"], "tier": layout.columns.get("tier")}
    wanted = {"doc_id", "source", *(column for column in named.values() if column)}
    table = judged_table(finished, finished.judge_shard(decision, wanted))
    n_rows = table.num_rows
    none = pa.chunked_array([pa.repeat("", n_rows)])
    columns = {
        name: pc.fill_null(pc.cast(table[column], pa.string()), "") if column else none
        for name, column in named.items()
    }
    rules = {rule.name for rule in finished.run.select}
    outcome = pc.fill_null(table["rule"], KEPT)
    facts = pa.table(
        {
            "doc_id": table["doc_id"], "source": table["source"], "language": columns["language"],
            "outcome": outcome, "tier": columns["tier"],
            "shard": pa.repeat(number, n_rows), "place": np.arange(n_rows),
        }
    )  # fmt: skip
    return facts.filter(pc.is_in(outcome, pa.array([KEPT, *sorted(rules)])))


def choose(table: pa.Table, documents: int, kept_share: float, seed: int) -> pa.Table:
    """Choose documents from the facts of all, and add population and drawn; in the order of a keyed hash.

    The metadata has the population of each outcome: strata that are too many for the number drawn have no document,
    and what is left of a population tells how many they are.

    Args: table, with doc_id and STRATUM.
    """
    keys = pc.binary_join_element_wise(*(table[name] for name in STRATUM), "\x1f")
    stratum = np.unique(keys.to_numpy(zero_copy_only=False).astype(str), return_inverse=True)[1]
    hashes = keyed_hash(table["doc_id"], seed)
    outcomes = table["outcome"].to_numpy(zero_copy_only=False).astype(str)
    members = [np.flatnonzero(stratum == k) for k in range(int(stratum.max()) + 1)]
    members = [rows[np.argsort(hashes[rows], kind="stable")] for rows in members]
    of_rules: dict[str, list[int]] = {}
    for k, rows in enumerate(members):
        of_rules.setdefault(str(outcomes[rows[0]]), []).append(k)
    kept, dropped = of_rules.pop(KEPT, []), [ks for _, ks in sorted(of_rules.items())]
    n_kept = round(documents * kept_share) if dropped else documents
    taken = dict(zip(kept, proportional([len(members[k]) for k in kept], n_kept), strict=True))
    shares = even([sum(len(members[k]) for k in ks) for ks in dropped], documents - sum(taken.values()))
    for ks, n in zip(dropped, shares, strict=True):
        taken |= dict(zip(ks, proportional([len(members[k]) for k in ks], n), strict=True))
    rows = np.concatenate([members[k][:n] for k, n in sorted(taken.items())])
    population = np.array([len(members[stratum[row]]) for row in rows], np.int64)
    drawn = np.array([taken[int(stratum[row])] for row in rows], np.int64)
    chosen = table.take(pa.array(rows))
    chosen = chosen.append_column("population", pa.array(population)).append_column("drawn", pa.array(drawn))
    names, counts = np.unique(outcomes, return_counts=True)
    populations = dict(zip(names.tolist(), counts.tolist(), strict=True))
    chosen = chosen.replace_schema_metadata({OUTCOMES: json.dumps(populations)})
    return chosen.take(pa.array(np.argsort(keyed_hash(chosen["doc_id"], seed + 1), kind="stable")))


def proportional(sizes: Sequence[int], total: int) -> list[int]:
    """Share out a total in proportion to sizes, by largest remainders; at least one each if there are enough."""
    total = min(total, sum(sizes))
    least = [1 if total >= len(sizes) else 0] * len(sizes)
    left, all_ = total - sum(least), sum(sizes) - sum(least)
    exact = [left * (n - m) / all_ if all_ else 0.0 for n, m in zip(sizes, least, strict=True)]
    taken = [m + math.floor(x) for m, x in zip(least, exact, strict=True)]
    order = sorted(range(len(sizes)), key=lambda k: (math.floor(exact[k]) - exact[k], k))
    for k in order[: total - sum(taken)]:
        taken[k] += 1
    return taken


# Rates


@dataclass(frozen=True)
class Verdict:
    """A document that was read. is_bad: it should not be kept. weight: documents of the build that it represents."""

    doc_id: str
    source: str
    language: str
    outcome: str
    tier: str
    weight: float
    is_bad: bool


def verdicts_of(drawn: pa.Table, read: Read) -> list[Verdict]:
    """The verdicts on drawn documents: what most readers answered; documents with as many on both sides are bad.

    A stratum is represented by those of its documents that were read.
    Raises: InputError for an answer about another document, or if no verdict is among the answers.
    """
    answers: dict[str, list[bool]] = {}
    for labeller in read.answers.values():
        for doc_id, answer in labeller.items():
            if answer.keep is not None:
                answers.setdefault(doc_id, []).append(answer.keep)
    rows = {row["doc_id"]: row for row in drawn.to_pylist()}
    strange = sorted(set(answers) - set(rows))
    if strange:
        raise InputError(
            f"{strange[0]} is not among the documents that were drawn; name the table of this sheet"
        )
    if not answers:
        raise InputError("the answers have no verdict; fill the column `keep`")
    counts: dict[tuple[str, ...], int] = {}
    for doc_id in answers:
        stratum = tuple(rows[doc_id][name] for name in STRATUM)
        counts[stratum] = counts.get(stratum, 0) + 1
    found = []
    for doc_id, keeps in sorted(answers.items()):
        row = rows[doc_id]
        weight = row["population"] / counts[tuple(row[name] for name in STRATUM)]
        is_bad = 2 * sum(keeps) <= len(keeps)
        found.append(
            Verdict(doc_id=doc_id, weight=weight, is_bad=is_bad, **{name: row[name] for name in STRATUM})
        )
    return found


def wilson(rate: float, n: float) -> tuple[float, float]:
    """Wilson's interval of 95 % for a rate among n documents."""
    if n <= 0:
        return 0.0, 1.0
    z2 = Z95 * Z95
    middle = (rate + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 / (1 + z2 / n) * math.sqrt(rate * (1 - rate) / n + z2 / (4 * n * n))
    return max(middle - half, 0.0), min(middle + half, 1.0)


def rate_of(by: str, group: str, wrong: str, verdicts: Sequence[Verdict]) -> AuditRate:
    """Rate of wrong documents of a group. wrong: `bad`, kept ones that should not be; `good`, the reverse."""
    total = math.fsum(v.weight for v in verdicts)
    is_wrong = [v.is_bad == (wrong == "bad") for v in verdicts]
    rate = math.fsum(v.weight for v, some in zip(verdicts, is_wrong, strict=True) if some) / total
    effective = total * total / math.fsum(v.weight * v.weight for v in verdicts)
    low, high = wilson(rate, effective)
    return AuditRate(
        by=by, group=group, wrong=wrong, population=round(total), read=len(verdicts), found=sum(is_wrong),
        rate=round(rate, 6), low=round(low, 6), high=round(high, 6),
    )  # fmt: skip


def rates(verdicts: Sequence[Verdict]) -> list[AuditRate]:
    """Rates of bad documents among kept ones, in all and by source, language and tier; of good ones among dropped ones,
    in all and by rule."""
    kept = [v for v in verdicts if v.outcome == KEPT]
    dropped = [v for v in verdicts if v.outcome != KEPT]
    found = [rate_of("all", "kept", "bad", kept)] if kept else []
    for by in ("source", "language", "tier"):
        groups = sorted({getattr(v, by) for v in kept} - {""})
        found += [rate_of(by, g, "bad", [v for v in kept if getattr(v, by) == g]) for g in groups]
    found += [rate_of("all", "dropped", "good", dropped)] if dropped else []
    rules = sorted({v.outcome for v in dropped})
    return found + [rate_of("rule", r, "good", [v for v in dropped if v.outcome == r]) for r in rules]


def left_out(drawn: pa.Table) -> dict[str, int]:
    """Documents of strata of which none was drawn, by outcome; empty if every stratum has one."""
    populations = json.loads((drawn.schema.metadata or {}).get(OUTCOMES.encode(), b"{}"))
    represented: dict[str, int] = dict.fromkeys(populations, 0)
    strata = drawn.select([*STRATUM, "population"]).group_by([*STRATUM, "population"]).aggregate([])
    for row in strata.to_pylist():
        represented[row["outcome"]] = represented.get(row["outcome"], 0) + row["population"]
    missing = {outcome: n - represented[outcome] for outcome, n in populations.items()}
    return {outcome: n for outcome, n in missing.items() if n > 0}


def without_verdict(drawn: pa.Table, verdicts: Sequence[Verdict]) -> dict[str, int]:
    """Documents that no verdict represents, by outcome: of strata of which none was drawn, or none was read."""
    missing = left_out(drawn)
    read = {tuple(getattr(v, name) for name in STRATUM) for v in verdicts}
    strata = drawn.select([*STRATUM, "population"]).group_by([*STRATUM, "population"]).aggregate([])
    for row in strata.to_pylist():
        if tuple(row[name] for name in STRATUM) not in read:
            missing[row["outcome"]] = missing.get(row["outcome"], 0) + row["population"]
    return dict(sorted(missing.items()))


def audit_numbers(drawn: pa.Table, read: Read) -> AuditNumbers:
    """The numbers of an audit: its rates, readers and documents."""
    facts: Mapping[bytes, bytes] = drawn.schema.metadata or {}
    settings: dict[str, Any] = json.loads(facts.get(b"audit", b"{}"))
    verdicts = verdicts_of(drawn, read)
    return AuditNumbers(
        release=settings.get("release", ""), recipe=settings.get("recipe", ""), drawn=drawn.num_rows,
        read=len(verdicts), readers=len(read.answers), rates=rates(verdicts),
        unrepresented=without_verdict(drawn, verdicts),
    )  # fmt: skip


def described(drawn: pa.Table, release: str, recipe: str) -> pa.Table:
    """The drawn table without texts, with the release and the recipe of its decisions in its metadata."""
    facts = json.dumps({"release": release, "recipe": recipe})
    metadata = {**(drawn.schema.metadata or {}), b"audit": facts}
    return drawn.drop_columns(["text"]).replace_schema_metadata(metadata)


def store_audit(store: Store, numbers: AuditNumbers) -> str:
    """Put an audit where the next release of its name finds it; returns its key."""
    from pipeline.report.audit_numbers import audit_key, to_bytes

    key = audit_key(numbers.release)
    store.put(key, to_bytes(numbers))
    return key


def rate_lines(numbers: AuditNumbers) -> list[str]:
    """Lines of a table of rates for a terminal."""
    wrong = {"bad": t("should not be kept"), "good": t("removed wrongly")}
    lines = []
    for rate in numbers.rates:
        interval = f"{rate.low:.2%} – {rate.high:.2%}"
        counts = f"{rate.read:>6}{rate.found:>6}{rate.rate:>9.2%}"
        lines.append(f"{rate.by:<9}{rate.group:<24}{counts}  {interval:<17}  {wrong[rate.wrong]}")
    return lines
