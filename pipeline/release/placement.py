"""Placement of kept documents in a release: the part in data/, and the positions in each mix.

Computed on one node: about 100 bytes of memory per kept document and mix.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.config.run_file import RunFile
from pipeline.errors import ConfigError
from pipeline.keyed_hash import keyed_hash
from pipeline.mix.config import Mix
from pipeline.mix.holdout import HOLDOUT
from pipeline.mix.order import cell_index, copies, positions
from pipeline.mix.plan import MixPlan, count_tokens, plan_quotas
from pipeline.mix.repeat import Repeat
from pipeline.mix.strata import strata_of
from pipeline.mix.warnings import warnings_of
from pipeline.release.facts import HELD, OTHER_LANGUAGES, ShardFacts
from pipeline.release.mix_numbers import (
    MAX_GROUPS,
    by_language,
    curve_rows,
    group_rows,
    mixed_rows,
    phase_rows,
    training_rows,
)
from pipeline.release.order import cut_at_marks, ordered
from pipeline.schema import ROW


@dataclass(frozen=True)
class Output:
    """A set of parts that release writes: data of one language, a mix, or derived documents in a form of their own.

    folder: below the release. materialise: whether the parts are written with their text; tokens: whether token files
    are. is_part: whether the modules of derived documents define the rows; several may write to one folder.
    """

    folder: str
    mix: str | None
    n_parts: int
    materialise: bool
    tokens: bool = False
    is_part: bool = False

    @property
    def gathered(self) -> bool:
        """Whether texts are gathered for its parts."""
        return self.materialise or self.tokens


@dataclass(frozen=True)
class Placement:
    """Outputs and the rows written to them.

    table: row (uint64), output (int32), part (int32), position (int64, order inside the output). orders: mix ->
    table of pipeline.dataset.release_schema.ORDER. mixes: mix -> what was planned and what was realised, for the
    report. warnings: about the mixes.
    """

    outputs: tuple[Output, ...]
    table: pa.Table
    orders: Mapping[str, pa.Table]
    mixes: Mapping[str, Mapping[str, Any]]  # Any: plain JSON
    warnings: tuple[str, ...] = ()


def place(run: RunFile, facts: pa.Table, planned: Mapping[str, Mix]) -> Placement:
    """Order documents by keyed hash per language, plan every mix, and cut both into parts by text bytes.

    Args: facts, one row per kept document in row order: row, doc_id, language, n_tokens, text_bytes, module (of a
    derived document), and the columns that mixes go by. planned: the mixes by name, their repeats fitted.
    """
    sizes = facts["text_bytes"].to_numpy().astype(np.int64)
    language = facts["language"].to_numpy(zero_copy_only=False).astype(object)
    outputs: list[Output] = []
    chosen: list[pa.Table] = []
    data_part = np.zeros(len(sizes), np.int32)
    data_row = np.zeros(len(sizes), np.int32)
    hashes, places = keyed_hash(facts["doc_id"], run.release.seed), facts[ROW].to_numpy()

    def in_parts(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if run.release.order == "hash":
            return cut_parts(sizes[rows], run.release.part_bytes)
        return cut_at_marks(sizes[rows], hashes[rows], run.release.part_bytes)

    for name in sorted(set(language)):
        rows = np.flatnonzero(language == name)
        rows = ordered(rows, places, hashes, run.release.order)
        part, row_of_part = in_parts(rows)
        data_part[rows], data_row[rows] = part, row_of_part
        chosen.append(_chosen(facts, rows, len(outputs), part))
        outputs.append(Output(f"data/{name}", None, int(part.max()) + 1, True))
    modules = facts["module"].to_numpy(zero_copy_only=False).astype(object)
    folders = {derived.module: derived.definition.part for derived in run.derived if derived.definition.part}
    for folder in sorted(set(folders.values()), key=str):
        rows = np.flatnonzero([folders.get(module) == folder for module in modules])
        rows = ordered(rows, places, hashes, run.release.order)
        part, _ = in_parts(rows)
        chosen.append(_chosen(facts, rows, len(outputs), part))
        n_parts = int(part.max()) + 1 if len(part) else 0
        outputs.append(Output(str(folder), None, n_parts, True, is_part=True))
    orders, mixes = {}, {}
    warnings: list[str] = []
    for name, mix in sorted(planned.items()):
        order, report, lines = _mix_order(run, facts, mix)
        warnings += lines
        document = order["document"].to_numpy()
        part, row_of_part = cut_parts(sizes[document], run.release.part_bytes)
        chosen.append(_chosen(facts, document, len(outputs), part))
        n_parts = int(part.max()) + 1 if len(part) else 0
        tokens = run.tokens is not None and name in run.tokens.mixes
        outputs.append(Output(f"mixes/{name}", name, n_parts, mix.materialise, tokens))
        if not mix.materialise:
            part, row_of_part = data_part[document], data_row[document]
        orders[name] = pa.table(
            {
                "doc_id": facts["doc_id"].combine_chunks().take(pa.array(document)),
                "part": pa.array(part, pa.int32()),
                "row": pa.array(row_of_part, pa.int32()),
                "epoch": order["epoch"].cast(pa.int32()),
            }
        )
        mixes[name] = report
    table = pa.concat_tables(chosen) if chosen else _NO_ROWS
    return Placement(tuple(outputs), table, orders, mixes, tuple(warnings))


_NO_ROWS = pa.schema(
    {ROW: pa.uint64(), "output": pa.int32(), "part": pa.int32(), "position": pa.int64()}
).empty_table()


def cut_parts(sizes: np.ndarray, part_bytes: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut a sequence into parts of about part_bytes; returns part and row within the part, int32 (n,) each."""
    before = np.cumsum(sizes) - sizes
    total = int(sizes.sum())
    n_parts = max(1, round(total / part_bytes))
    part = np.minimum(before * n_parts // max(total, 1), n_parts - 1).astype(np.int32)
    part = np.unique(part, return_inverse=True)[1].astype(np.int32) if len(part) else part
    starts = np.searchsorted(part, np.arange(n_parts))
    return part, (np.arange(len(sizes)) - starts[part]).astype(np.int32)


def _chosen(facts: pa.Table, rows: np.ndarray, output: int, part: np.ndarray) -> pa.Table:
    return pa.table(
        {
            ROW: facts[ROW].combine_chunks().take(pa.array(rows)),
            "output": pa.repeat(pa.scalar(output, pa.int32()), len(rows)),
            "part": pa.array(part, pa.int32()),
            "position": pa.array(np.arange(len(rows)), pa.int64()),
        }
    )


def to_fit(run: RunFile) -> tuple[tuple[str, Repeat], ...]:
    """The repeats that are fitted to documents removed by rules, by mix."""
    mixes = sorted(run.mix.mixes.items())
    return tuple((name, mix.repeat) for name, mix in mixes if mix.repeat and mix.repeat.fit)


def fitted_mixes(run: RunFile, reports: Sequence[ShardFacts]) -> dict[str, Mix]:
    """All mixes by name, with repeats fitted to the sum of what shards report; see facts.counts_to_fit."""
    mixes = dict(run.mix.mixes)
    for name, repeat in to_fit(run):
        counts = np.zeros((len(repeat.bounds) + 1, 2), np.int64)
        for report in reports:
            counts += np.array(report.fits.get(name, 0), np.int64)
        mixes[name] = replace(mixes[name], repeat=repeat.fitted(counts.tolist()))
    return mixes


def rows_of(facts: pa.Table, mix: Mix) -> np.ndarray:
    """Rows of the documents that a mix may contain: those held out, or all others; int64 (n,)."""
    if HELD not in facts.column_names:
        return np.arange(facts.num_rows)
    return np.flatnonzero(facts[HELD].to_numpy(zero_copy_only=False) == (mix.name == HOLDOUT))


@dataclass(frozen=True)
class Planned:
    """A planned mix, and what its documents are: stratum, size in the units of the mix, tokens, and how often each is
    taken in one pass; (n_docs,)."""

    plan: MixPlan
    strata: pa.ChunkedArray
    sizes: np.ndarray
    tokens: np.ndarray
    times: np.ndarray


def plan_mix(run: RunFile, facts: pa.Table, mix: Mix) -> Planned:
    """Quotas of one mix. facts: of the documents that it may contain, see `rows_of`.

    Raises: MixError when its shares cannot be met.
    """
    whole = pa.chunked_array([pa.repeat("", facts.num_rows)])
    strata = strata_of([facts[column] for column in mix.columns]) if mix.columns else whole
    tokens = count_column(facts, mix)
    sizes = {"tokens": tokens, "documents": np.ones_like(tokens)}.get(mix.unit)
    if sizes is None:
        sizes = facts["text_bytes"].to_numpy().astype(np.int64)
    times = mix.repeat.of(facts[mix.repeat.column]) if mix.repeat else np.ones(facts.num_rows, np.int64)
    plan = plan_quotas(count_tokens(strata, sizes * times), mix, run.mix.max_discard)
    return Planned(plan, strata, sizes, tokens, times)


def _mix_order(run: RunFile, facts: pa.Table, mix: Mix) -> tuple[pa.Table, dict[str, Any], list[str]]:
    """Plan one mix and put its documents, repeats included, into training order; its numbers, and warnings."""
    rows = rows_of(facts, mix)
    facts = facts if len(rows) == len(facts) else facts.take(pa.array(rows))
    planned = plan_mix(run, facts, mix)
    plan, sizes, tokens = planned.plan, planned.sizes, planned.tokens
    cells = cell_index(planned.strata, plan)
    hashes = keyed_hash(facts["doc_id"], mix.seed)
    n_copies = copies(cells, sizes, hashes, plan, planned.times)
    order = positions(hashes, n_copies, cells, sizes, plan)
    groups = group_rows(cells, sizes, tokens, n_copies, plan)
    left_out = int(sizes[n_copies == 0].sum())
    languages = by_language(facts["language"], sizes, n_copies)
    report = {
        "unit": mix.unit, "preset": mix.preset, "groups": groups, "tokens": sum(g["tokens"] for g in groups),
        "available": int(sizes.sum()), "discarded_share": left_out / max(int(sizes.sum()), 1),
        "documents": len(order), "languages": language_rows(languages),
    }  # fmt: skip
    if 1 < len(plan.groups) <= MAX_GROUPS:
        report["training"] = training_rows(order, cells, sizes, plan)
    if len(plan.phases) > 1:
        report["phases"] = phase_rows(order, sizes)
    if mix.curve:
        report["curve"] = curve_rows(cells, sizes, n_copies, plan)
    if mix.repeat:
        report["repeat"] = mix.repeat.report(facts[mix.repeat.column], tokens, n_copies)
    if OTHER_LANGUAGES in facts.column_names:
        other = facts[OTHER_LANGUAGES].to_numpy(zero_copy_only=False).astype(np.float64)
        report["mixed"] = mixed_rows(other, facts["language"], tokens, n_copies)
    warnings = [] if mix.name == HOLDOUT else warnings_of(plan, languages, run.mix.warn)
    order = order.set_column(0, "document", pa.array(rows[order["document"].to_numpy()]))
    return order, report, warnings


def group_plans(plan: MixPlan) -> list[dict[str, Any]]:
    """The groups of a planned mix as plain data: group, available, asked, share, epochs, exhausted."""
    return [
        {
            "group": group.name, "available": group.available, "asked": group.asked, "share": group.share,
            "epochs": group.epochs, "exhausted": group.is_exhausted,
        }
        for group in plan.groups
    ]  # fmt: skip


def planned_languages(planned: Planned, language: pa.ChunkedArray) -> dict[str, tuple[int, int]]:
    """Available and planned units of each language, if each cell takes its languages in proportion."""
    table = pa.table(
        {
            "cell": cell_index(planned.strata, planned.plan),
            "language": language,
            "units": planned.sizes * planned.times,
        }
    )
    counts: dict[str, tuple[int, int]] = {}
    for row in table.group_by(["cell", "language"]).aggregate([("units", "sum")]).to_pylist():
        available, taken = counts.get(row["language"], (0, 0))
        cell = planned.plan.cells[row["cell"]] if row["cell"] >= 0 else None
        asked = row["units_sum"] * cell.asked // max(cell.available, 1) if cell else 0
        counts[row["language"]] = available + row["units_sum"], taken + asked
    return dict(sorted(counts.items()))


def language_rows(languages: Mapping[str, tuple[int, int]]) -> list[dict[str, Any]]:
    """Languages of a mix: available and taken units, the share of both, and epochs."""
    available, taken = (max(sum(counts[i] for counts in languages.values()), 1) for i in (0, 1))
    return [
        {
            "language": name, "available": n, "taken": m, "available_share": n / available, "share": m / taken,
            "epochs": m / max(n, 1),
        }
        for name, (n, m) in languages.items()
    ]  # fmt: skip


def count_column(facts: pa.Table, mix: Mix) -> np.ndarray:
    """Tokens of each document, int64; zeros where the run counts no tokens and the mix needs none.

    Raises: ConfigError if a mix asks for tokens and a kept document has no count.
    """
    tokens = facts["n_tokens"]
    if tokens.null_count:
        if mix.unit == "tokens" and (mix.by or mix.total or mix.curve):
            raise ConfigError(
                f"mix {mix.name} asks for tokens, but {tokens.null_count:,} of {facts.num_rows:,} kept documents have "
                "no token count; annotate with stages.tokens, and keep its gate looser than the rules"
            )
        tokens = pc.fill_null(tokens, 0)
    return tokens.to_numpy().astype(np.int64)


def by_shard(placement: Placement, n_shards: int, bits: int) -> Sequence[pa.Table]:
    """Cut the placement into one table per shard, rows numbered inside the shard."""
    rows = placement.table[ROW].to_numpy()
    order = np.argsort(rows, kind="stable")
    bounds = np.searchsorted(rows[order], np.arange(n_shards + 1, dtype=np.uint64) << np.uint64(bits))
    tables = []
    for i in range(n_shards):
        cut = placement.table.take(pa.array(order[bounds[i] : bounds[i + 1]]))
        local = (cut[ROW].to_numpy() & np.uint64((1 << bits) - 1)).astype(np.int64)
        tables.append(cut.set_column(0, ROW, pa.array(local)))
    return tables
