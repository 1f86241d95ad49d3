"""Recompute a sample of decisions from raw records, and compare them with those of the build.

The documents of the sample, their keepers and their parents form a small corpus, over which every stage and global step
runs in memory. It contains the keeper of each removed duplicate, so that every document must get the same verdict as in
the build. Results that depend on the whole corpus, such as buckets and owners of passages, are read from the store.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from pipeline.annotate.views import view_text
from pipeline.annotate.wave import WaveReport, run_stage
from pipeline.config.phases import before_derived, phases
from pipeline.config.run_file import GlobalStep, RunFile, Source, StageStep, Step
from pipeline.dataset.shard import Columns, Shard
from pipeline.errors import UsageError
from pipeline.ingest.canonical import Rows
from pipeline.ingest.derive import derive_batch
from pipeline.ingest.ingest import find_groups, source_info
from pipeline.inspect.opened import Finished
from pipeline.inspect.release_files import each_part, part_names, read_checksums, read_rows, text_digest
from pipeline.inspect.verify import VerifyReport, compare
from pipeline.mapreduce.rows import cut_rows
from pipeline.mapreduce.shuffle import sort_keyed
from pipeline.rules.rules import judge_rules
from pipeline.runtime.limits import limits_of
from pipeline.schema import CANONICAL, OWNERS, REFERENCE, ROW
from pipeline.select.feeds import KeeperFeed, order_column
from pipeline.select.verdicts import Decision
from pipeline.stage import Record
from pipeline.storage.store import Store, open_input
from pipeline.translation import message

SHARDS_PER_SAMPLE = 16
"""Number of shards that a sample is taken from, at first; few, because raw inputs are read whole."""


def verify_store(release: Store, finished: Finished, n_sample: int, seed: int = 0) -> VerifyReport:
    """Compare a sample of the decisions and texts of a release with those recomputed from raw records.

    Args: release, its folder; n_sample, number of documents; seed, of the sample.
    Raises: UsageError if the release was not written from this build in its present state.
    """
    report = VerifyReport()
    lineage = json.loads(release.get("lineage.json"))
    if lineage["recipe"] != finished.releasing.recipe:
        raise UsageError(
            f"{release.url} was not written from this run file and store as they are now; run `bicorpus run` first"
        )
    listed = read_checksums(release)
    sample = choose_sample(release, listed, lineage["shards"], n_sample, seed)
    ledger_rows = with_relatives(finished, sample, release, listed)
    columns, verdicts, texts = decide_again(finished, read_again(finished, ledger_rows), ledger_rows)
    position = {doc_id: i for i, doc_id in enumerate(columns["doc_id"].to_pylist())}
    missing = [row for row in sample if row["doc_id"] not in position]
    report.check(
        message("sampled records are in their raw files"),
        len(sample),
        [f"{r['doc_id']} is not" for r in missing],
    )
    sample = [row for row in sample if row["doc_id"] in position]
    compare(
        report, message("decisions derived again from raw bytes"),
        [(row["doc_id"], row["rule"] or "kept", verdicts[position[row["doc_id"]]] or "kept") for row in sample],
    )  # fmt: skip
    released = released_texts(release, listed, {row["doc_id"] for row in sample})
    pairs = []
    for row in sample:
        digest = (
            text_digest(texts[position[row["doc_id"]]])
            if verdicts[position[row["doc_id"]]] is None
            else "absent"
        )
        pairs.append((row["doc_id"], released.get(row["doc_id"], "absent"), digest))
    compare(report, message("released texts derived again"), pairs)
    compare_annotations(finished, columns, sample, position, report)
    return report


def choose_sample(
    release: Store, listed: Mapping[str, str], shards: Mapping[str, Any], n_sample: int, seed: int
) -> list[dict[str, Any]]:
    """Sample ledger rows by a keyed hash of doc_id, from a few shards that are sampled in the same way.

    Args: shards, of the lineage: their numbers of rows; their parts of the ledger have the order of their names.
    """

    def rank(name: str) -> int:
        return xxhash.xxh3_64_intdigest(name.encode(), seed=seed)

    parts = dict(zip(sorted(shards), part_names(listed, "ledger/"), strict=False))
    names = sorted((name for name in parts if shards[name]["rows"]), key=rank)
    n_shards = SHARDS_PER_SAMPLE
    while n_shards < len(names) and sum(shards[name]["rows"] for name in names[:n_shards]) < n_sample:
        n_shards *= 2
    chosen: list[dict[str, Any]] = []
    for _, table in each_part(release, [parts[name] for name in names[:n_shards]], "ledger/", None):
        ranks = np.array([rank(name) for name in table["doc_id"].to_pylist()], np.uint64)
        first = np.argsort(ranks, kind="stable")[:n_sample]
        chosen = sorted([*chosen, *table.take(first).to_pylist()], key=lambda row: rank(row["doc_id"]))[
            :n_sample
        ]
    return chosen


def with_relatives(
    finished: Finished, sample: list[dict[str, Any]], release: Store, listed: Mapping[str, str]
) -> dict[str, dict[str, Any]]:
    """Ledger rows by doc_id: the sample, the keepers and parents of its documents, and recursively theirs."""
    shards = {shard.id: shard for shard in finished.session.shards}
    relatives: dict[str, dict[str, Any]] = {}
    pending = sample
    while pending:
        relatives |= {row["doc_id"]: row for row in pending}
        names = {row["keeper_id"] for row in pending} - {None}
        for row in pending:
            if row["shard"] in finished.session.parents:
                parents = finished.document_column(shards[row["shard"]], "parent_id")
                names.add(parents[row["row"]].as_py())
        names -= set(relatives)
        pending = read_rows(release, listed, "ledger/", names, None).to_pylist() if names else []
    return relatives


def read_again(finished: Finished, rows: dict[str, dict[str, Any]]) -> pa.Table:
    """Read the raw records of ledger rows, except of derived documents; canonical columns, in any order.

    Raises: InputError if an input file no longer exists.
    """
    positions: dict[str, dict[str, set[int]]] = {}
    shards = {shard.id: shard for shard in finished.session.shards}
    by_shard: dict[str, list[int]] = {}
    for row in rows.values():
        by_shard.setdefault(row["shard"], []).append(row["row"])
    for shard_id, numbers in by_shard.items():
        shard = shards[shard_id]
        if shard_id in finished.session.parents:
            continue
        inputs = finished.document_column(shard, "input").take(pa.array(numbers)).to_pylist()
        input_rows = finished.document_column(shard, "input_row").take(pa.array(numbers)).to_pylist()
        for name, position in zip(inputs, input_rows, strict=True):
            positions.setdefault(shard.source, {}).setdefault(name, set()).add(position)
    tables = [
        table
        for source in finished.run.sources
        if source.name in positions
        for table in read_records(finished, source, positions[source.name])
    ]
    return pa.concat_tables(tables, promote_options="default")  # sources import different scores


def read_records(finished: Finished, source: Source, positions: dict[str, set[int]]) -> Iterator[pa.Table]:
    """Yield the documents at some records of a source's files. positions: input path -> record positions."""
    files = {f.relative: f for group in find_groups(source, finished.run.ingest) for f in group.files}
    for name, file_positions in sorted(positions.items()):
        rows = Rows(source_info(source, files[name], finished.run.ingest))
        missing = set(file_positions)
        with (
            open_input(files[name].path) as stream,
            limits_of(source.reader_config, files[name].size) as limits,
        ):
            for record in limits.each(source.reader, stream, name, source.reader_config):
                if record.position in missing and _is_document(record):
                    rows.add(record)
                    missing.discard(record.position)
                if not missing:
                    break
        documents, _, scores = rows.take()
        for prefix, table in scores.items():
            for column in table.column_names:
                documents = documents.append_column(f"{prefix}.{column}", table[column])
        yield documents


def _is_document(record: Record) -> bool:
    return record.fields is not None


def decide_again(
    finished: Finished, documents: pa.Table, rows: dict[str, dict[str, Any]]
) -> tuple[Columns, list[str | None], list[str]]:
    """Run every step over documents in memory and judge them.

    Args: documents, those that were read; derived ones are derived from them again. rows, ledger rows by doc_id.
    Returns: columns by name; the rule that drops each document, or None; and its text with the edits of the release.
    """
    run = finished.run
    documents = pa.concat_tables(
        [documents, *derive_again(finished, documents, rows)], promote_options="default"
    )
    columns = measure_again(finished, documents, rows, all_steps(run))
    names = columns["source"].to_pylist()
    standing = [run.standing(name) for name in names]
    columns["rank"] = pa.chunked_array([pa.array([rank for rank, _ in standing], pa.int32())])
    columns["profile"] = pa.chunked_array([pa.array([profile for _, profile in standing], pa.string())])
    if run.owners is not None:
        stored = stored_rows(finished, run.owners, columns["doc_id"].to_pylist(), rows)
        columns |= {f"{OWNERS}.{name}": stored[name] for name in stored.column_names}
    outcomes = outcomes_again(finished, columns, rows)
    return columns, outcomes, view_text(run.release.edits, columns).to_pylist()


def all_steps(run: RunFile) -> list[StageStep | GlobalStep]:
    """The steps of a run file, in the order in which they run."""
    return [step for phase in phases(run) for step in phase.steps]


def measure_again(
    finished: Finished,
    documents: pa.Table,
    rows: dict[str, dict[str, Any]],
    steps: Sequence[StageStep | GlobalStep],
) -> Columns:
    """Run steps, in order, over documents in memory; returns columns by name.

    Global steps outside `clustering` and stages that ask a server are not run: their stored rows are read.
    """
    columns: Columns = {name: documents[name] for name in documents.column_names}
    shard = Shard("sample", "sample", documents.num_rows, 0)
    clustering_steps = clustering(finished)
    for step in steps:
        if isinstance(step, StageStep) and step.definition.kind != "service":
            table = run_stage(step, columns, shard, WaveReport(shard, {}))
        elif isinstance(step, GlobalStep) and step.name in clustering_steps:
            table = run_in_memory(step, columns, shard)
        else:
            table = stored_rows(finished, step, columns["doc_id"].to_pylist(), rows)
        columns |= {f"{step.name}.{name}": table[name] for name in table.column_names}
    return columns


def derive_again(
    finished: Finished, documents: pa.Table, rows: dict[str, dict[str, Any]]
) -> Iterator[pa.Table]:
    """Derive the documents of derived sources that are in `rows` from documents that were read again."""
    run = finished.run
    if not run.derived or not documents.num_rows:
        return
    steps = [step for wave in before_derived(run) for step in wave.steps]
    columns = measure_again(finished, documents, rows, steps)
    for derived in run.derived:
        inside = pc.is_in(columns["source"], pa.array(derived.parents))
        parents = {name: column.filter(inside) for name, column in columns.items()}
        derived_documents = derive_batch(derived, run.release.edits.of_parents(), parents)
        yield derived_documents.filter(
            pc.is_in(derived_documents["doc_id"], pa.array(sorted(rows), pa.string()))
        )


def outcomes_again(finished: Finished, columns: Columns, rows: dict[str, dict[str, Any]]) -> list[str | None]:
    """The rule that drops each document, or None, by rules, parents, keepers and late rules; parents come first."""
    run, decision, layout = finished.run, finished.decisions()[0], finished.releasing.layout
    doc_ids, parent_ids = columns["doc_id"].to_pylist(), columns["parent_id"].to_pylist()
    late = late_rows(finished, doc_ids, rows)
    references, first = precedence(finished, doc_ids, rows)
    verdicts = judge_rules(run.select, columns, decision.cuts, late)
    outcomes: list[str | None] = [run.select[i].name if i >= 0 else None for i in verdicts.rule]
    shard = Shard("sample", "sample", len(doc_ids), 0)
    for derived in (False, True):
        in_turn = [(parent in rows) == derived for parent in parent_ids]
        if derived:
            kept = {doc_id for doc_id, outcome in zip(doc_ids, outcomes, strict=True) if outcome is None}
            for i in np.flatnonzero(in_turn):
                outcomes[i] = outcomes[i] or (None if parent_ids[i] in kept else layout.orphan)
        eligible = np.array(in_turn) & (
            references | np.array([outcome is None for outcome in outcomes], bool)
        )
        if run.keep_one is not None and run.keep_one.of:
            computed = {"eligible": eligible, "fixed": references}
            for row in lost_rows(decision, {**columns, **computed}, first, shard):
                outcomes[row] = layout.duplicate
        for i in np.flatnonzero(np.array(in_turn) & (verdicts.late >= 0)):
            outcomes[i] = outcomes[i] or run.select[verdicts.late[i]].name
    return [REFERENCE if r else outcome for r, outcome in zip(references, outcomes, strict=True)]


def precedence(
    finished: Finished, doc_ids: list[str], rows: dict[str, dict[str, Any]]
) -> tuple[np.ndarray, np.ndarray]:
    """Which documents are references, bool (n_docs,), and the first value of their order, float64 (n_docs,)."""
    references, first = {}, {}
    shard_ids = {rows[doc_id]["shard"] for doc_id in doc_ids}
    for decision in finished.decisions():
        if decision.shard.id in shard_ids:
            references[decision.shard.id] = decision.references(finished.store)
            first[decision.shard.id] = KeeperFeed(decision, {}).first(finished.store)
    positions = [(rows[doc_id]["shard"], rows[doc_id]["row"]) for doc_id in doc_ids]
    return (
        np.array([references[shard][row] for shard, row in positions], bool),
        np.array([first[shard][row] for shard, row in positions], np.float64),
    )


def late_rows(finished: Finished, doc_ids: list[str], rows: dict[str, dict[str, Any]]) -> Columns | None:
    """Stored columns of owners that late rules read, for some documents; None without owners."""
    if finished.run.owners is None:
        return None
    schema = finished.run.owners.definition.writes
    values: dict[str, dict[str, Any]] = {}
    shards = {rows[doc_id]["shard"] for doc_id in doc_ids}
    for decision in finished.decisions():
        late = decision.late_columns(finished.store) if decision.shard.id in shards else None
        if late is not None:
            ids = [doc_id for doc_id in doc_ids if rows[doc_id]["shard"] == decision.shard.id]
            numbers = pa.array([rows[doc_id]["row"] for doc_id in ids], pa.int64())
            stored = pa.table({name: column.take(numbers) for name, column in late.items()}).to_pylist()
            values |= dict(zip(ids, stored, strict=True))
    return {
        f"{OWNERS}.{field.name}": pa.chunked_array(
            [pa.array([values[doc_id][f"{OWNERS}.{field.name}"] for doc_id in doc_ids], field.type)]
        )
        for field in schema
    }


def clustering(finished: Finished) -> set[str]:
    """Names of the global steps that clusters depend on; documents and their keepers suffice to compute them.

    Other steps, such as buckets over the whole corpus, are meaningless over a sample.
    """
    steps = {step.name: step for step in finished.run.globals}
    keep_one = finished.run.keep_one
    names: set[str] = set()
    pending = [keep_one.of] if keep_one and keep_one.of else []
    while pending:
        name = pending.pop()
        if name in steps and name not in names:
            names.add(name)
            pending += [column.partition(".")[0] for column in steps[name].reads()]
    return names


def stored_rows(
    finished: Finished, step: Step, doc_ids: list[str], rows: dict[str, dict[str, Any]]
) -> pa.Table:
    """Stored rows of a step for some documents, in their order."""
    names = [f"{step.name}.{column}" for column in step.definition.writes.names]
    values: dict[str, dict[str, Any]] = {}
    shards = {rows[doc_id]["shard"] for doc_id in doc_ids}
    for decision in finished.decisions():
        if decision.shard.id not in shards:
            continue
        judged = finished.judge_shard(decision, set(names))
        ids = [doc_id for doc_id in doc_ids if rows[doc_id]["shard"] == decision.shard.id]
        numbers = pa.array([rows[doc_id]["row"] for doc_id in ids])
        stored = pa.table({name: judged.columns[name].take(numbers) for name in names}).to_pylist()
        values |= dict(zip(ids, stored, strict=True))
    columns = [
        pa.array([values[doc_id][name] for doc_id in doc_ids], field.type)
        for name, field in zip(names, step.definition.writes, strict=True)
    ]
    return pa.table(columns, schema=step.definition.writes)


def run_in_memory(step: GlobalStep, columns: Columns, shard: Shard) -> pa.Table:
    """Run a global step over one table as the only shard; returns its row-aligned columns."""
    rows = np.arange(shard.n_rows, dtype=np.uint64)
    table = pa.table({**{name: columns[name] for name in step.definition.reads}, ROW: rows})
    keyed = sort_keyed(step.definition.map(table, step.config))
    outcome = step.definition.finish(step.definition.reduce(keyed, step.config), step.config)
    ((_, values),) = cut_rows(step, outcome, {0: shard})
    return values


def lost_rows(decision: Decision, columns: Mapping[str, Any], first: np.ndarray, shard: Shard) -> list[int]:
    """Rows removed in favour of another member of their cluster.

    Args: columns, by name, with `eligible` and `fixed`, bool (n_rows,); first, float64 (n_rows,), see order_column.
    """
    keep_one = decision.keep_one
    assert keep_one is not None and keep_one.keepers is not None
    inputs = dict(columns)
    inputs["cluster"] = columns[f"{keep_one.of}.cluster"]
    inputs["pairs"] = columns[f"{keep_one.of}.pairs"]
    for name in ("eligible", "fixed"):
        inputs[name] = pa.chunked_array([pa.array(columns[name])])
    inputs["order"] = pa.chunked_array([order_column(keep_one, dict(columns), shard.n_rows, first)])
    values = run_in_memory(keep_one.keepers, inputs, shard)
    is_keeper = values["is_keeper"].fill_null(True).to_pylist()
    return [row for row in range(shard.n_rows) if columns["eligible"][row] and not is_keeper[row]]


def released_texts(release: Store, listed: dict[str, str], doc_ids: set[str]) -> dict[str, str]:
    """Digest of the released text of some documents, by doc_id; those that are not in data/ are absent."""
    rows = read_rows(release, listed, "data/", doc_ids, ["doc_id", "text"]).to_pylist()
    return {row["doc_id"]: text_digest(row["text"]) for row in rows}


def compare_annotations(
    finished: Finished,
    columns: Columns,
    sample: list[dict[str, Any]],
    position: dict[str, int],
    report: VerifyReport,
) -> None:
    """Compare the stored annotations of stages with those computed from the raw records."""
    steps = [step for step in finished.run.annotate if step.definition.kind == "cpu"]
    names = sorted(f"{step.name}.{column}" for step in steps for column in step.definition.writes.names)
    by_shard: dict[str, list[dict[str, Any]]] = {}
    for row in sample:
        by_shard.setdefault(row["shard"], []).append(row)
    pairs = []
    for decision in finished.decisions():
        rows = by_shard.get(decision.shard.id)
        if not rows:
            continue
        judged = finished.judge_shard(decision, set(names) | (set(CANONICAL.names) & {"text_hash"}))
        stored = np.array([row["row"] for row in rows])
        positions = np.array([position[row["doc_id"]] for row in rows])
        for name in [*names, "text_hash"]:
            found = judged.columns[name].take(pa.array(stored)).to_pylist()
            expected = columns[name].take(pa.array(positions)).to_pylist()
            pairs += [(f"{r['doc_id']} {name}", f, e) for r, f, e in zip(rows, found, expected, strict=True)]
    compare(report, message("stored annotations measured again"), pairs, lambda value: repr(value)[:80])
