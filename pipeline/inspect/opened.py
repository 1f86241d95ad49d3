"""A finished build, opened for inspection: its shards, annotations and decisions, without recomputing them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.config.phases import GlobalPhase, Wave, before_derived, phases
from pipeline.config.release_columns import Layout, mix_columns, release_columns
from pipeline.config.run_file import RunFile
from pipeline.dataset.shard import Columns, Shard, read_shard_rows
from pipeline.errors import UsageError
from pipeline.mix.holdout import HOLDOUT
from pipeline.mix.warnings import warnings_of
from pipeline.planning.plan import PhasePlan, Plan, plan_phase, stored_result
from pipeline.planning.session import Session
from pipeline.planning.state import derived_groups, ingested_groups
from pipeline.release.facts import HELD, FactsTask, facts_of
from pipeline.release.held_out import Links, held_out
from pipeline.release.kept import count_strata, merge_counts, plan_mix, planned_languages, rows_of, sums_by
from pipeline.release.placement import fitted_mixes, group_plans, to_fit
from pipeline.release.run import Releasing
from pipeline.runtime.engines import Engine, SerialEngine
from pipeline.runtime.progress import Progress
from pipeline.schema import OWNERS
from pipeline.select.selector import Selection
from pipeline.select.verdicts import Decision, Kept, final, outcome_names
from pipeline.spans import apply_spans
from pipeline.storage.store import Store
from pipeline.translation import message


@dataclass(frozen=True)
class Judged:
    """One shard with its verdict. columns: by name, annotations and canonical ones, without text."""

    shard: Shard
    decision: Decision
    columns: Columns
    kept: Kept

    def outcomes(self, layout: Layout) -> np.ndarray:
        """Name of the rule that dropped each row, None for a kept row: object (n_rows,)."""
        return outcome_names(self.decision.rules, layout.duplicate, layout.orphan, None)[self.kept.rule]


class Finished:
    """A run file, and a store that has all of its annotations and global results; see open_build."""

    def __init__(self, session: Session) -> None:
        self.session, self.run, self.store = session, session.run_file, session.store
        self.releasing = Releasing(session)
        self.raw = False  # whether texts are shown without the replacements of the release

    @cached_property
    def selection(self) -> Selection:
        """The decisions over every shard, made once; keepers and owners that the store lacks are computed."""
        selection = self.releasing.selector.decide(store=False)
        self.session.add_owners(selection.owners, selection.owners_result)
        return selection

    def decisions(self) -> list[Decision]:
        """Decisions over every shard."""
        return self.selection.decisions

    def judge_shard(self, decision: Decision, columns: set[str]) -> Judged:
        """Read columns of a shard and its verdict."""
        refs = self.session.recipes.refs(columns | self.releasing.columns, decision.shard)
        loose = self.session.recipes.loose(columns | self.releasing.columns, decision.shard)
        decision = replace(decision, refs={**decision.refs, **refs}, loose=loose)
        values = decision.read(self.store, columns | decision.rule_columns())
        return Judged(decision.shard, decision, values, final(decision, self.store))

    def text(self, shard: Shard, rows: np.ndarray) -> Iterator[tuple[int, str]]:
        """Yield (row, canonical text) of some rows of a shard, in row order. rows: integers (n,)."""
        is_read = np.zeros(shard.n_rows, bool)
        is_read[rows] = True
        for start, batch in read_shard_rows(self.store, shard, ["text"], is_read):
            for row in np.flatnonzero(is_read[start : start + batch.num_rows]):
                yield start + int(row), batch["text"][int(row)].as_py()

    def shown_text(self, decision: Decision, rows: np.ndarray) -> Iterator[tuple[int, str]]:
        """Yield (row, text) as `text` does, with the spans of the release that are replaced, such as personal data.

        Spans that the release deletes, as boilerplate lines are, stay: the text is shown to explain what was measured.
        """
        spans = dict(self.replaced(decision, rows))
        for row, text in self.text(decision.shard, rows):
            found = spans.get(row)
            yield row, apply_spans(text, found, self.run.release.edits.replace) if found else text

    def replaced(
        self, decision: Decision, rows: np.ndarray
    ) -> Iterator[tuple[int, list[tuple[int, int, str]]]]:
        """Yield (row, spans) of some rows of a shard: (start, end, kind) of what the release replaces in them."""
        edits = self.run.release.edits
        spans = [(column, kinds) for column, kinds in edits.spans if not column.startswith(f"{OWNERS}.")]
        if self.raw or not edits.replace or not spans:
            return
        columns = decision.read(self.store, {column for column, _ in spans})
        for row in map(int, rows):
            yield (
                row,
                [
                    (span["start"], span["end"], span["kind"])
                    for column, kinds in spans
                    for span in columns[column][row].as_py() or ()
                    if span["kind"] in edits.replace and (kinds is None or span["kind"] in kinds)
                ],
            )

    def locate(self, doc_id: str) -> tuple[Decision, int]:
        """Find a document by id: its decision and its row.

        Raises: UsageError if no shard of the run has it.
        """
        for decision in self.decisions():
            row = _index(self.document_column(decision.shard, "doc_id"), doc_id)
            if row is not None:
                return decision, row
        raise UsageError(f"no document {doc_id!r} in this build; `bicorpus show` lists some")

    def locate_by(self, column: str, value: object) -> tuple[Decision, int]:
        """Find the first document with a value in a canonical column.

        Raises: UsageError if there is none.
        """
        for decision in self.decisions():
            row = _index(self.document_column(decision.shard, column), value)
            if row is not None:
                return decision, row
        raise UsageError(f"no document with {column} {value!r} in this build")

    def document_column(self, shard: Shard, column: str) -> pa.ChunkedArray:
        """One canonical column of a shard."""
        with self.store.open(shard.key) as stream:
            return pq.read_table(stream, columns=[column])[column]


def open_build(
    run: RunFile,
    store: Store,
    unused: frozenset[str] = frozenset(),
    engine: Engine | None = None,
    progress: Progress | None = None,
) -> Finished:
    """Open a build for which everything except the release has been computed.

    Args: unused, steps that may be missing, because no decision reads them; engine and progress, for writing a release
    (default: this process, silent).
    Raises: UsageError with the first missing inputs, derived source or steps; StoreError if the store cannot be read.
    """
    store.check(write=False)
    session = Session(run, store, engine or SerialEngine(), progress or Progress(quiet=True))
    names, missing = ingested_groups(run, session.state)
    if missing:
        raise UsageError(
            f"{store.url}: {len(missing):,} inputs are not ingested ({missing[0].label}); run `bicorpus run` first"
        )
    session.add_groups(names)
    for wave in before_derived(run) if run.derived else ():
        session.take_open(wave)
    derived, to_derive = derived_groups(run, session.state, session.recipes, session.shards)
    if to_derive:
        raise UsageError(f"{store.url}: {to_derive[0][0].name} is not derived yet; run `bicorpus run` first")
    session.add_derived(derived)
    for phase in phases(run):
        if isinstance(phase, Wave):
            session.take_open(phase)
        result = stored_result(phase, session.recipes, session.state, session.shards)
        plan = plan_phase(phase, session.recipes, session.state, session.shards, result)
        if isinstance(phase, GlobalPhase) and result is not None:
            session.add_result(phase.step, result)
        pending = {name for name, n in plan.steps.items() if n} - unused
        if pending:
            names_ = ", ".join(sorted(pending))
            raise UsageError(f"{store.url}: not computed: {names_}; run `bicorpus run` first")
    return Finished(session)


def plan_release(plan: Plan, run: RunFile, store: Store) -> None:
    """Complete a plan with the release, keepers and owners, and the sizes of the mixes.

    Mixes are planned once all annotations exist. Until keepers are chosen, duplicates count as available; until owners
    are, so do repeated passages.

    Raises: MixError if a ratio cannot be met.
    """
    pending = {name for phase in plan.phases for name, n in phase.steps.items() if n}
    needed = {column.partition(".")[0] for column in release_columns(run)}
    selection: Selection | None = None
    if not plan.ingest and not plan.derive and not pending & needed:
        releasing = open_build(run, store, unused=frozenset(pending)).releasing
        if releasing.is_current():
            plan.release = message("up to date")
        selection = releasing.selector.find()
        decisions = selection.decisions if selection else releasing.selector.rules_only()
        if selection and run.late:
            session = releasing.session
            session.add_owners(selection.owners, selection.owners_result)
            phase = plan_phase(Wave(run.late), session.recipes, session.state, session.shards)
            plan.phases.append(phase)
            decisions = decisions if phase.n_tasks else releasing.measure_edited(selection)
        plan_mixes(
            plan, run, store, decisions, releasing.layout, selection is not None or run.keep_one is None
        )
    if run.keep_one is not None:
        n_tasks = 0 if selection else 1
        for step in (run.keep_one.keepers, run.keep_one.owners):
            if step is not None:
                reasons = {} if selection else {step.name: "rules, order, clusters or passages changed"}
                plan.phases.append(
                    PhasePlan(step.name, "global", plan.shards, n_tasks, {step.name: n_tasks}, reasons, 0)
                )


def plan_mixes(
    plan: Plan, run: RunFile, store: Store, decisions: Sequence[Decision], layout: Layout, deduplicated: bool
) -> None:
    """Add the sizes of the mixes to a plan, and warnings about them.

    Args: deduplicated, whether the decisions leave duplicates out.
    Raises: MixError if a ratio cannot be met.
    """
    by, fits, holdout = mix_columns(run), to_fit(run), run.mix.holdout
    tasks = [FactsTask(store, d, i, layout, by, "", fits, holdout=holdout) for i, d in enumerate(decisions)]
    tables, reports, links = zip(*(facts_of(task) for task in tasks), strict=True)
    if holdout:
        held = held_out(store, Links(links.__getitem__, len(links)), holdout)
        tables = tuple(t.append_column(HELD, pa.array(h)) for t, h in zip(tables, held, strict=True))
    for name, mix in sorted(fitted_mixes(run, reports).items()):
        counts = merge_counts([count_strata(rows_of(table, mix), mix) for table in tables])
        planned = plan_mix(mix, counts, run.mix.max_discard)
        plan.mixes[name] = {
            "unit": mix.unit, "available": planned.available, "asked": planned.total,
            "discarded": planned.discarded, "distinct": sum(sums_by(counts, "stratum", "sizes").values()),
            "deduplicated": deduplicated, "groups": group_plans(planned),
        }  # fmt: skip
        if name != HOLDOUT:
            plan.warnings += warnings_of(planned, planned_languages(planned, counts), run.mix.warn)


def _index(values: pa.ChunkedArray, value: object) -> int | None:
    import pyarrow.compute as pc

    row = pc.index(values, pa.scalar(value, values.type)).as_py()
    return None if row < 0 else row
