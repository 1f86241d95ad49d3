"""Jobs over tables in memory, which the module `bicorpus` offers."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.cells import pad
from pipeline.config.run_file import StageStep
from pipeline.errors import UsageError
from pipeline.inspect.explain_text import rule_text
from pipeline.inspect.query import shortest
from pipeline.jobs.copies import DedupSettings, Signed
from pipeline.jobs.forms import with_columns
from pipeline.jobs.frames import as_frame, spread
from pipeline.jobs.inputs import Batch
from pipeline.jobs.judging import Judge, Use, check_given, make_judge
from pipeline.jobs.steps import Measured, Named, make_step, measure_batches, order_steps
from pipeline.schema import CANONICAL
from pipeline.translation import t

KEEP, RULE = "bicorpus.keep", "bicorpus.rule"
KEEPER, KIND, SIMILARITY = "bicorpus.keeper", "bicorpus.kind", "bicorpus.similarity"
"""Columns of marked rows."""


def annotate_table(
    data: Any, stages: Sequence[Named], text: str | None, workers: int
) -> Any:  # Any: see as_frame
    """See bicorpus.annotate."""
    frame = as_frame(data, text)
    given = check_given(frame.table.column_names)
    steps = order_steps([make_step(stage) for stage in stages], given)
    writes = pa.schema([(f"{s.name}.{f.name}", f.type) for s in steps for f in s.definition.writes])
    tables = [
        spread(batch, measured.columns)
        for batch, measured in measure_batches(
            steps, _with_given(frame.batches(), given), _usable(steps, workers)
        )
    ]
    return frame.back(with_columns(frame.table, pa.concat_tables(tables) if tables else writes.empty_table()))


def _with_given(batches: Iterable[Batch], given: Sequence[str]) -> Iterator[Batch]:
    """Batches whose documents also have the columns of stages that the table has."""
    for batch in batches:
        assert batch.original is not None  # batches of a table have its rows
        columns = batch.original.select(given).take(pa.array(batch.index)) if given else None
        yield replace(batch, documents=with_columns(batch.documents, columns))


def _usable(steps: Sequence[StageStep], workers: int) -> int:
    """Number of processes; one for functions of a notebook, which other processes cannot import."""
    if workers <= 1:
        return 1
    try:
        data = pickle.dumps(tuple(steps))
    except (pickle.PicklingError, AttributeError, TypeError):
        return 1
    return 1 if b"__main__" in data else workers


def filter_table(
    data: Any, use: Use | Sequence[Use], text: str | None, mark: bool, without: Sequence[str], workers: int
) -> Any:
    """See bicorpus.filter."""
    frame = as_frame(data, text)
    given = check_given(frame.table.column_names)
    judge = make_judge(_uses(use), without, given)
    keep, rules = list[np.ndarray](), list[Any]()
    for batch, measured in measure_batches(
        judge.steps, _with_given(frame.batches(), given), _usable(judge.steps, workers)
    ):
        kept, why = _judged(judge, batch, measured)
        keep.append(kept)
        rules += why
    kept_rows = np.concatenate([*keep, np.empty(0, bool)])
    if mark:
        marks = pa.table({KEEP: pa.array(kept_rows, pa.bool_()), RULE: pa.array(rules, pa.string())})
        return frame.back(with_columns(frame.table, marks))
    return frame.back(frame.table.filter(pa.array(kept_rows, pa.bool_())))


def _uses(use: Use | Sequence[Use]) -> list[Use]:
    return (
        [use]
        if isinstance(use, (str, Mapping)) or callable(use) or not isinstance(use, Sequence)
        else list(use)
    )


def _judged(judge: Judge, batch: Batch, measured: Measured) -> tuple[np.ndarray, list[str | None]]:
    """Whether each row of a batch is kept, and the rule that drops it, or why it is no document."""
    n_rows = len(batch.records)
    keep, rules = np.zeros(n_rows, bool), np.full(n_rows, None, object)
    sound = np.array([r for r in range(batch.documents.num_rows) if r not in measured.failed], np.int64)
    failing, _ = judge.failing(batch.documents.take(pa.array(sound)), measured.columns.take(pa.array(sound)))
    keep[batch.index[sound[failing < 0]]] = True
    for document, rule in zip(sound[failing >= 0], failing[failing >= 0], strict=True):
        rules[batch.index[document]] = judge.rules[rule].name
    for document in measured.failed:
        rules[batch.index[document]] = "stage_failed"
    reasons = dict(
        zip(batch.quarantined["input_row"].to_pylist(), batch.quarantined["reason"].to_pylist(), strict=True)
    )
    for i, record in enumerate(batch.records):
        rules[i] = reasons.get(record.position, rules[i])
    return keep, rules.tolist()


def dedup_table(data: Any, text: str | None, settings: DedupSettings, mark: bool, workers: int) -> Any:
    """See bicorpus.dedup."""
    frame = as_frame(data, text)
    rows = list[np.ndarray]()
    n_rows = frame.table.num_rows
    keep = np.ones(n_rows, bool)  # rows that are no document are no copies
    keeper, kind, similarity = np.arange(n_rows), np.full(n_rows, None, object), np.full(n_rows, np.nan)
    with Signed(settings) as signed:
        for batch, measured in measure_batches(signed.steps, frame.batches(), workers):
            signed.add(batch, measured)
            rows.append(batch.index + int(batch.records[0].position))
        if signed.n_docs:
            positions, facts = np.concatenate(rows), signed.facts()
            keep[positions] = facts["kept"].to_numpy()
            keeper[positions] = positions[facts["keeper"].to_numpy()]
            kind[positions] = np.array(facts["kind"].to_pylist(), object)
            similarity[positions] = facts["similarity"].to_numpy(zero_copy_only=False)
    if not mark:
        return frame.back(frame.table.filter(pa.array(keep)))
    marks = pa.table(
        {
            KEEP: pa.array(keep),
            KEEPER: pa.array(keeper),
            KIND: pa.array(kind.tolist(), pa.string()),
            SIMILARITY: pa.array(similarity, pa.float32(), from_pandas=True),
        }
    )
    return frame.back(with_columns(frame.table, marks))


@dataclass(frozen=True)
class Explanation:
    """Why a text is kept or dropped.

    keep: whether it passes; rule: the rule that drops it, None if it is kept, or why it is no document. rules: every
    rule, as `bicorpus explain --json` has it; columns: every measurement by name, such as `language.label`.
    """

    keep: bool
    rule: str | None
    rules: tuple[Mapping[str, Any], ...]
    columns: Mapping[str, Any]

    def __str__(self) -> str:
        failed = sorted(
            (r for r in self.rules if r["fails"]),
            key=lambda r: (r["name"] != self.rule, r["action"] != "drop"),
        )
        lines = [t("kept") if self.keep else t(f"dropped by {self.rule}")]
        lines += [
            f"  {pad(t('FAILS') if r['action'] == 'drop' else t(r['action']), 5)} {r['name']}  "
            f"{rule_text(dict(r), False)}"
            for r in failed
        ]
        n_apply = sum(bool(rule["applies"]) for rule in self.rules)
        return "\n".join([*lines, t(f"  {n_apply:,} of {len(self.rules):,} rules apply to it")])


def explain_one(
    text: str, use: Use | Sequence[Use], without: Sequence[str], fields: Mapping[str, Any]
) -> Explanation:
    """See bicorpus.explain."""
    unknown = [name for name in fields if name not in CANONICAL.names]
    if unknown:
        raise UsageError(
            f"{', '.join(unknown)}: no column of a document; there are {', '.join(CANONICAL.names)}"
        )
    judge = make_judge(_uses(use), without)
    frame = as_frame([{**fields, "text": text}], "text")
    ((batch, measured),) = measure_batches(judge.steps, frame.batches())
    if not batch.documents.num_rows or measured.failed:
        reason = next(iter(measured.failed.values()), None) or batch.quarantined["reason"][0].as_py()
        return Explanation(False, reason, (), {})
    failing, failed = judge.failing(batch.documents, measured.columns)
    table = judge.columns(batch.documents, measured.columns)
    rules = tuple(judge.explain(i, 0, bool(failed[i, 0]), table) for i in range(len(judge.rules)))
    columns = {
        name: shortest(measured.columns[name][0].as_py(), measured.columns[name].type)
        for name in measured.columns.column_names
    }
    rule = judge.rules[failing[0]].name if failing[0] >= 0 else None
    return Explanation(rule is None, rule, rules, columns)
