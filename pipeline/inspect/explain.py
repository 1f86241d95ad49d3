"""Why a document is in a release or not: every annotation, every rule with value, threshold and margin."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import UsageError
from pipeline.ingest.canonical import doc_id as make_doc_id
from pipeline.ingest.canonical import text_hash
from pipeline.inspect.opened import Finished, Judged
from pipeline.inspect.query import shortest
from pipeline.report.text_diff import columns, differences
from pipeline.rules.language_parts import part_rows
from pipeline.rules.rules import Condition, Rule, group_name
from pipeline.schema import CANONICAL
from pipeline.select.verdicts import Decision

EXCERPT = 200
N_COPIES = 5
N_PLACES = 8


def find_document(
    finished: Finished, doc_id: str | None, url: str | None, text: str | None, place: tuple[str, int] | None
) -> tuple[Decision, int]:
    """Find one document by exactly one of: id, URL, its whole text, or (input path or its end, record number).

    Raises: UsageError when nothing is found; a quarantined record is named with its reason.
    """
    if doc_id:
        return finished.locate(doc_id)
    if url:
        return finished.locate_by("url", url)
    if text is not None:
        return finished.locate_by("text_hash", text_hash(text.replace("\r\n", "\n").replace("\r", "\n")))
    assert place is not None
    return find_record(finished, *place)


def find_record(finished: Finished, path: str, row: int) -> tuple[Decision, int]:
    """Find the record `row` (from 0) of an input file, named by its path below the source root or a longer path."""
    for name, group in finished.session.groups().items():
        for file in group["files"]:
            if path != file["path"] and not path.endswith("/" + file["path"]):
                continue
            wanted = make_doc_id(group["source"], file["path"], row)
            for decision in finished.decisions():
                if decision.shard.id.rpartition("-")[0] != name:
                    continue
                ids = finished.document_column(decision.shard, "doc_id").to_pylist()
                if wanted in ids:
                    return decision, ids.index(wanted)
            raise UsageError(quarantine_note(finished, group["source"], name, file["path"], row))
    raise UsageError(f"no input {path!r} in this build")


def quarantine_note(finished: Finished, source: str, group: str, path: str, row: int) -> str:
    """Say why a record of an input is no document."""
    key = f"quarantine/{source}/{group}.parquet"
    if finished.store.exists(key):
        with finished.store.open(key) as stream:
            for entry in pq.read_table(stream).to_pylist():
                if entry["input"] == path and entry["input_row"] == row:
                    return f"{path}:{row} is in quarantine: {entry['reason']} ({entry['detail']}); see {key}"
    return f"{path} has no record {row}; records count from 0"


def explain_document(finished: Finished, decision: Decision, row: int) -> dict[str, Any]:
    """All that is known of one document, as plain data."""
    names = finished.run.annotation_columns() | (set(CANONICAL.names) - {"text"})
    judged = finished.judge_shard(decision, names)
    values = {
        name: shortest(column[row].as_py(), column.type) for name, column in sorted(judged.columns.items())
    }
    ((_, text),) = finished.text(judged.shard, [row])  # type: ignore[arg-type]  # any index array will do
    outcome = judged.outcomes(finished.releasing.layout)[row]
    here = {name: column.slice(row, 1) for name, column in judged.columns.items()}
    late = {
        name: shortest(column[row].as_py(), column.type)
        for name, column in (decision.late_columns(finished.store) or {}).items()
    }
    rules = [
        explain_rule(rule, values | late, bool(judged.kept.failed[i, row]), decision, find_part(rule, here))
        for i, rule in enumerate(decision.rules)
    ]
    return {
        "doc_id": values["doc_id"],
        "document": {name: values[name] for name in CANONICAL.names if name != "text"},
        "excerpt": text[:EXCERPT],
        "shard": judged.shard.id,
        "row": row,
        "keep": outcome is None,
        "rule": outcome,
        "rules": rules,
        "keeper_id": judged.kept.keeper_id[row].as_py(),
        "similarity": shortest(judged.kept.similarity[row].as_py(), judged.kept.similarity.type),
        "cluster_size": values.get(finished.releasing.layout.columns["cluster_size"] or ""),
        "keeper": explain_keeper(finished, judged, row, text),
        "kept_for": kept_for(finished, values["doc_id"]) if outcome is None else None,
        "annotations": {name: readable(value) for name, value in values.items() if "." in name},
    }


def explain_keeper(finished: Finished, judged: Judged, row: int, text: str) -> dict[str, Any] | None:
    """The document that one of a cluster goes for, how like it is, and where the two differ; None for no such."""
    kept = judged.kept
    doc_id = kept.keeper_id[row].as_py()
    similarity = shortest(kept.similarity[row].as_py(), kept.similarity.type)
    if doc_id is None:
        return None
    decision, place = finished.locate(doc_id)
    ((_, other),) = finished.text(decision.shard, np.array([place]))
    origin = {
        name: finished.document_column(decision.shard, name)[place].as_py() for name in ("source", "url")
    }
    threshold = threshold_of(finished)
    return {
        "doc_id": doc_id, **origin, "kind": kept.kind[row].as_py(), "similarity": similarity,
        "compared": kept.verified[row].as_py(), "threshold": threshold,
        "margin": None if threshold is None else round(similarity - threshold, 6),
        "differences": differences(text, other),
    }  # fmt: skip


def threshold_of(finished: Finished) -> float | None:
    """Least similarity of a verified pair, where the step that verifies has such a setting."""
    keep_one = finished.run.keep_one
    steps = {step.name: step for step in finished.run.globals}
    config = steps[keep_one.of].config if keep_one and keep_one.of else None
    return getattr(config, "threshold", None)


def kept_for(finished: Finished, doc_id: str) -> dict[str, Any]:
    """How many copies a document was kept for, and a few of them."""
    found: list[dict[str, Any]] = []
    n_copies = 0
    for decision in finished.decisions() if finished.run.keep_one else ():
        judged = finished.judge_shard(decision, set())
        mine = np.asarray(pc.fill_null(pc.equal(judged.kept.keeper_id, doc_id), False)) & judged.kept.is_copy
        n_copies += int(mine.sum())
        for row in np.flatnonzero(mine)[: N_COPIES - len(found)]:
            similarity = shortest(judged.kept.similarity[int(row)].as_py(), judged.kept.similarity.type)
            kind = judged.kept.kind[int(row)].as_py()
            copy = {
                "doc_id": judged.columns["doc_id"][int(row)].as_py(),
                "kind": kind,
                "similarity": similarity,
            }
            found.append(copy)
    return {"copies": n_copies, "some": found}


def readable(value: Any) -> Any:  # Any: a value of any column
    """Hashes in hex."""
    return value.hex() if isinstance(value, bytes) else value


def explain_rule(
    rule: Rule,
    values: dict[str, Any],
    failed: bool,
    decision: Decision,
    part: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """One rule against one document: does it apply, does it fail, and by how much.

    part: values of the part that decides a rule by parts, the first that fails, else the first that the rule is for;
    its language is named.
    """
    values = values | (part or {})
    return {
        "name": rule.name,
        "action": rule.action,
        "fails": failed,
        **({"part": next(iter(part.values()))} if part else {}),
        "conditions": [explain_condition(condition, values, decision) for condition in rule.conditions],
        "where": [explain_condition(condition, values, decision) for condition in rule.where],
    }


def find_part(rule: Rule, columns: Mapping[str, pa.ChunkedArray]) -> dict[str, Any] | None:
    """Values of the part that decides a rule for a document, given its row; None where it is judged as a whole."""
    if rule.parts is None:
        return None
    rows, table = part_rows(columns, rule.parts, rule.columns() - {rule.parts})
    parts = shortest(columns[rule.parts][0].as_py(), columns[rule.parts].type) if len(rows) else []
    if not parts:
        return None
    whole = replace(rule, parts=None)
    meant = np.ones(len(rows), bool)
    for condition in rule.where:
        meant &= np.asarray(condition.passes(table).fill_null(False).combine_chunks()).astype(bool)
    order = np.lexsort((~meant, ~whole.fails(table)))
    found: dict[str, Any] = parts[order[0]]
    return found


def explain_condition(condition: Condition, values: dict[str, Any], decision: Decision) -> dict[str, Any]:
    """Value against threshold; margin is how far a number is inside (positive) or outside (negative)."""
    value = values.get(condition.column)
    low, high = condition.min, condition.max
    if condition.quantile is not None and decision.cuts is not None:
        q_low, q_high, by = condition.quantile
        group = group_name(by, values)
        low = None if q_low is None else decision.cuts.cut(condition.column, by, group, q_low)
        high = None if q_high is None else decision.cuts.cut(condition.column, by, group, q_high)
    margins = []
    if isinstance(value, (int, float)):
        margins += [value - low] if low is not None else []
        margins += [high - value] if high is not None else []
    found: dict[str, Any] = {"column": condition.column, "value": value, "min": low, "max": high}
    found |= {"in": condition.among, "not_in": condition.not_among, "quantile": condition.quantile}
    found["margin"] = round(min(margins), 6) if margins else None
    return {key: item for key, item in found.items() if item is not None or key in ("column", "value")}


def explanation_text(found: dict[str, Any]) -> str:
    """The explanation for a terminal."""
    document = found["document"]
    verdict = "kept" if found["keep"] else f"dropped by {found['rule']}"
    lines = [
        f"{found['doc_id']}  {verdict}",
        f"  {document['source']}/{document['input']}:{document['input_row']}  "
        f"shard {found['shard']} row {found['row']}",
    ]
    lines += [f"  url {document['url']}"] if document["url"] else []
    start = " ".join(found["excerpt"].split())
    lines += [f"  text {start[:100]}{'…' if len(start) > 100 else ''}", "rules"]
    for rule in found["rules"]:
        mark = "FAILS" if rule["fails"] else "ok"
        tests = "; ".join(condition_text(condition) for condition in rule["conditions"])
        where = " and ".join(condition_text(condition) for condition in rule["where"])
        lines.append(
            f"  {mark:<5} {rule['name']:<28} {tests}"
            + (f"  where {where}" if where else "")
            + (f"  (the {rule['part']} part)" if "part" in rule else "")
        )
    lines += keeper_lines(found)
    lines.append("annotations")
    for name, value in found["annotations"].items():
        text = repr(value)
        lines.append(f"  {name:<32} {text if len(text) < 100 else text[:97] + '...'}")
    return "\n".join(lines)


KINDS = {
    "raw": "the same text",
    "exact": "the same but for width, case, marks or script",
    "near": "a near copy",
}


def keeper_lines(found: dict[str, Any]) -> list[str]:
    """The keeper of a copy with both texts where they differ, or the copies of a keeper."""
    keeper, copies = found["keeper"], found["kept_for"]
    if copies and copies["copies"]:
        some = ", ".join(f"{c['doc_id']} ({c['kind']}, {c['similarity']:.3f})" for c in copies["some"])
        return [f"kept for {copies['copies']:,} copies: {some}{', …' if copies['copies'] > N_COPIES else ''}"]
    if keeper is None:
        return []
    how = "" if keeper["compared"] else ", at least: both are that close to a third document"
    limit = (
        f" (threshold {keeper['threshold']}, margin {keeper['margin']:+.3f})" if keeper["threshold"] else ""
    )
    lines = [
        f"keeper {keeper['doc_id']}  {keeper['source']}  {keeper['url'] or ''}".rstrip(),
        f"  {KINDS[keeper['kind']]}: similarity {keeper['similarity']:.3f}{how}{limit}; cluster of "
        f"{found['cluster_size']}",
    ]
    places = keeper["differences"]
    if places:
        width = shutil.get_terminal_size((120, 24)).columns - 2
        lines += [f"  {line}" for line in columns(places[:N_PLACES], width)]
        if len(places) > N_PLACES:
            lines.append(f"  and {len(places) - N_PLACES:,} more places")
    return lines


def condition_text(condition: dict[str, Any]) -> str:
    """`signals.n_chars 37 (min 100, margin -63)`."""
    facts = [
        f"{k} {condition[k]}" for k in ("min", "max", "in", "not_in", "quantile", "margin") if k in condition
    ]
    return f"{condition['column']} {condition['value']!r} ({', '.join(facts)})"
