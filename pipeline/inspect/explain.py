"""Why a document is kept or dropped: every annotation, and every rule with value, threshold and margin."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import UsageError
from pipeline.ingest.canonical import doc_id as make_doc_id
from pipeline.ingest.canonical import text_hash
from pipeline.inspect.neighbours import neighbours
from pipeline.inspect.opened import Finished, Judged
from pipeline.inspect.query import shortest, shortest_bound
from pipeline.names import nearest
from pipeline.report.text_diff import differences
from pipeline.rules.language_parts import language_part_rows
from pipeline.rules.rules import Condition, Rule, explain_limits
from pipeline.schema import CANONICAL
from pipeline.select.verdicts import Decision
from pipeline.translation import message

EXCERPT = 200
N_COPIES = 5


def find_document(
    finished: Finished, doc_id: str | None, url: str | None, text: str | None, record: tuple[str, int] | None
) -> tuple[Decision, int]:
    """Find one document by exactly one of: id, URL, its whole text, or (path of the input or its end, record number).

    Raises: UsageError if there is none, with the reason if the record was quarantined.
    """
    if doc_id:
        return finished.locate(doc_id)
    if url:
        return finished.locate_by("url", url)
    if text is not None:
        return finished.locate_by("text_hash", text_hash(text.replace("\r\n", "\n").replace("\r", "\n")))
    assert record is not None
    return find_record(finished, *record)


def find_record(finished: Finished, path: str, row: int) -> tuple[Decision, int]:
    """Find the record `row` (from 0) of an input file, given its path below the source root, or a longer path.

    Raises: UsageError if there is none, with the reason if the record was quarantined.
    """
    for name, group in finished.session.groups().items():
        for file in group["files"]:
            if path != file["path"] and not path.endswith("/" + file["path"]):
                continue
            doc_id = make_doc_id(group["source"], file["path"], row)
            for decision in finished.decisions():
                if decision.shard.id.rpartition("-")[0] != name:
                    continue
                ids = finished.document_column(decision.shard, "doc_id").to_pylist()
                if doc_id in ids:
                    return decision, ids.index(doc_id)
            raise UsageError(quarantine_note(finished, group["source"], name, file["path"], row))
    paths = {file["path"] for group in finished.session.groups().values() for file in group["files"]}
    raise UsageError(f"no input {path!r} in this build{nearest(path, paths)}")


def quarantine_note(finished: Finished, source: str, group: str, path: str, row: int) -> str:
    """Return why a record of an input is not a document."""
    key = f"quarantine/{source}/{group}.parquet"
    if finished.store.exists(key):
        with finished.store.open(key) as stream:
            for entry in pq.read_table(stream).to_pylist():
                if entry["input"] == path and entry["input_row"] == row:
                    detail = f" ({entry['detail']})" if entry["detail"] is not None else ""
                    return message(f"{path}:{row} is in quarantine: {entry['reason']}{detail}; see {key}")
    return message(f"{path} has no record {row}; records count from 0")


def explain_document(
    finished: Finished,
    decision: Decision,
    row: int,
    locate: Callable[[str], tuple[Decision, int]] | None = None,
    copies: Callable[[str], dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """All annotations, rules and verdicts of one document, as plain data.

    locate, copies: faster ways to find a document by id, and what was removed in favour of one, if a caller has them.
    """
    names = finished.run.annotation_columns() | (set(CANONICAL.names) - {"text"})
    judged = finished.judge_shard(decision, names)
    values = {
        name: shortest(column[row].as_py(), column.type) for name, column in sorted(judged.columns.items())
    }
    ((_, text),) = finished.shown_text(decision, np.array([row]))
    outcome = judged.outcomes(finished.releasing.layout)[row]
    row_columns = {name: column.slice(row, 1) for name, column in judged.columns.items()}
    late = {
        name: shortest(column[row].as_py(), column.type)
        for name, column in (decision.late_columns(finished.store) or {}).items()
    }
    rules = [
        explain_rule(
            rule, values | late, bool(judged.kept.failed[i, row]), decision, find_part(rule, row_columns)
        )
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
        "keeper": explain_keeper(finished, judged, row, text, locate or finished.locate),
        "kept_for": (copies or partial(kept_for, finished))(values["doc_id"]) if outcome is None else None,
        "neighbours": neighbours(finished, values),
        "annotations": {name: readable(value) for name, value in values.items() if "." in name},
    }


def explain_keeper(
    finished: Finished, judged: Judged, row: int, text: str, locate: Callable[[str], tuple[Decision, int]]
) -> dict[str, Any] | None:
    """The document in favour of which a document is removed: their similarity, and where they differ; None without
    one."""
    kept = judged.kept
    doc_id = kept.keeper_id[row].as_py()
    similarity = shortest(kept.similarity[row].as_py(), kept.similarity.type)
    if doc_id is None:
        return None
    decision, keeper_row = locate(doc_id)
    ((_, keeper_text),) = finished.shown_text(decision, np.array([keeper_row]))
    origin = {
        name: finished.document_column(decision.shard, name)[keeper_row].as_py() for name in ("source", "url")
    }
    threshold = threshold_of(finished)
    return {
        "doc_id": doc_id, **origin, "kind": kept.kind[row].as_py(), "similarity": similarity,
        "compared": kept.verified[row].as_py(), "threshold": threshold,
        "margin": None if threshold is None else round(similarity - threshold, 6),
        "differences": differences(text, keeper_text),
    }  # fmt: skip


def threshold_of(finished: Finished) -> float | None:
    """The similarity threshold of the step that verifies pairs; None if it has no such setting."""
    keep_one = finished.run.keep_one
    steps = {step.name: step for step in finished.run.globals}
    config = steps[keep_one.of].config if keep_one and keep_one.of else None
    return getattr(config, "threshold", None)


def kept_for(finished: Finished, doc_id: str) -> dict[str, Any]:
    """Number of duplicates removed in favour of a document, and a few of them."""
    examples: list[dict[str, Any]] = []
    n_copies = 0
    for decision in finished.decisions() if finished.run.keep_one else ():
        judged = finished.judge_shard(decision, set())
        is_removed = (
            np.asarray(pc.fill_null(pc.equal(judged.kept.keeper_id, doc_id), False)) & judged.kept.is_copy
        )
        n_copies += int(is_removed.sum())
        for row in np.flatnonzero(is_removed)[: N_COPIES - len(examples)]:
            similarity = shortest(judged.kept.similarity[int(row)].as_py(), judged.kept.similarity.type)
            kind = judged.kept.kind[int(row)].as_py()
            copy = {
                "doc_id": judged.columns["doc_id"][int(row)].as_py(),
                "kind": kind,
                "similarity": similarity,
            }
            examples.append(copy)
    return {"copies": n_copies, "some": examples}


def readable(value: Any) -> Any:  # Any: a value of any column
    """Return hashes in hex, and other values unchanged."""
    return value.hex() if isinstance(value, bytes) else value


def explain_rule(
    rule: Rule,
    values: dict[str, Any],
    failed: bool,
    decision: Decision | None,
    part: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """One rule and one document: whether the rule applies, the document fails it, and each condition with its margin.

    A rule whose `where` the document does not match does not apply, and its conditions have no margins.

    decision: with the quantiles of the build; None for a document outside of one. part: for a rule by language parts,
    the values of the deciding part, see find_part; its language is included.
    """
    values = values | (part or {})
    where = [explain_condition(condition, values, decision) for condition in rule.where]
    applies = failed or all(matches(condition) for condition in where)
    conditions = [explain_condition(condition, values, decision) for condition in rule.conditions]
    if not applies:
        conditions = [{k: v for k, v in condition.items() if k != "margin"} for condition in conditions]
    return {
        "name": rule.name,
        "action": rule.action,
        "applies": applies,
        "fails": failed,
        **({"part": next(iter(part.values()))} if part else {}),
        "conditions": conditions,
        "where": where,
    }


def matches(condition: Mapping[str, Any]) -> bool:
    """Whether the value of an explained condition passes its tests; null does not."""
    value = condition["value"]
    return (
        value is not None
        and ("in" not in condition or value in condition["in"])
        and ("not_in" not in condition or value not in condition["not_in"])
        and ("min" not in condition or value >= condition["min"])
        and ("max" not in condition or value <= condition["max"])
    )


def find_part(rule: Rule, columns: Mapping[str, pa.ChunkedArray]) -> dict[str, Any] | None:
    """Values of the language part that decides a rule for a document: the first that fails, else the first in its
    scope.

    Args: columns, of the one row.
    Returns: None if the rule applies to the whole document, or it has no parts.
    """
    if rule.parts is None:
        return None
    rows, table = language_part_rows(columns, rule.parts, rule.columns() - {rule.parts})
    parts = shortest(columns[rule.parts][0].as_py(), columns[rule.parts].type) if len(rows) else []
    if not parts:
        return None
    undivided = replace(rule, parts=None)
    in_scope = np.ones(len(rows), bool)
    for condition in rule.where:
        in_scope &= np.asarray(condition.passes(table).fill_null(False).combine_chunks()).astype(bool)
    order = np.lexsort((~in_scope, ~undivided.fails(table)))
    values: dict[str, Any] = parts[order[0]]
    return values


def explain_condition(
    condition: Condition, values: dict[str, Any], decision: Decision | None
) -> dict[str, Any]:
    """Value and thresholds of a condition; margin: distance to the threshold, positive if the number passes."""
    value = values.get(condition.column)
    low, high = condition.min, condition.max
    if condition.quantile is not None and decision is not None and decision.cuts is not None:
        low, high = (
            None if limit is None else shortest_bound(limit)
            for limit in explain_limits(decision.cuts, condition, values)
        )
    margins = []
    if isinstance(value, (int, float)):
        margins += [value - low] if low is not None else []
        margins += [high - value] if high is not None else []
    explanation: dict[str, Any] = {"column": condition.column, "value": value, "min": low, "max": high}
    explanation |= {
        "in": condition.among,
        "not_in": condition.not_among,
        "quantile": condition.quantile and condition.quantile.plain(),
    }
    explanation["margin"] = round(min(margins), 6) if margins else None
    return {key: item for key, item in explanation.items() if item is not None or key in ("column", "value")}
