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
from pipeline.mix.order import copies, group_index, positions, realised
from pipeline.mix.plan import MixPlan, count_tokens, plan_quotas
from pipeline.mix.repeat import Repeat
from pipeline.release.facts import ShardFacts
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
    table of pipeline.dataset.release_schema.ORDER. plans and groups: mix -> what was planned and what was realised,
    for the report.
    """

    outputs: tuple[Output, ...]
    table: pa.Table
    orders: Mapping[str, pa.Table]
    mixes: Mapping[str, Mapping[str, Any]]  # Any: plain JSON


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
    hashes = keyed_hash(facts["doc_id"], run.release.seed)
    for name in sorted(set(language)):
        rows = np.flatnonzero(language == name)
        rows = rows[np.argsort(hashes[rows], kind="stable")]
        part, row_of_part = cut_parts(sizes[rows], run.release.part_bytes)
        data_part[rows], data_row[rows] = part, row_of_part
        chosen.append(_chosen(facts, rows, len(outputs), part))
        outputs.append(Output(f"data/{name}", None, int(part.max()) + 1, True))
    modules = facts["module"].to_numpy(zero_copy_only=False).astype(object)
    folders = {derived.module: derived.definition.part for derived in run.derived if derived.definition.part}
    for folder in sorted(set(folders.values()), key=str):
        rows = np.flatnonzero([folders.get(module) == folder for module in modules])
        rows = rows[np.argsort(hashes[rows], kind="stable")]
        part, _ = cut_parts(sizes[rows], run.release.part_bytes)
        chosen.append(_chosen(facts, rows, len(outputs), part))
        n_parts = int(part.max()) + 1 if len(part) else 0
        outputs.append(Output(str(folder), None, n_parts, True, is_part=True))
    orders, mixes = {}, {}
    for name, mix in sorted(planned.items()):
        order, report = _mix_order(run, facts, mix)
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
    return Placement(tuple(outputs), pa.concat_tables(chosen) if chosen else _NO_ROWS, orders, mixes)


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


def plan_mix(
    run: RunFile, facts: pa.Table, mix: Mix
) -> tuple[MixPlan, pa.ChunkedArray, np.ndarray, np.ndarray]:
    """Token quotas of one mix, with the stratum and the tokens of each document, and how often it is repeated.

    Raises: MixError when its shares cannot be met.
    """
    strata = facts[mix.by] if mix.by else pa.chunked_array([pa.repeat("", facts.num_rows)])
    tokens = count_column(facts, mix)
    times = mix.repeat.of(facts[mix.repeat.column]) if mix.repeat else np.ones(facts.num_rows, np.int64)
    return (
        plan_quotas(count_tokens(strata, tokens * times), mix, run.mix.max_discard),
        strata,
        tokens,
        times,
    )


def _mix_order(run: RunFile, facts: pa.Table, mix: Mix) -> tuple[pa.Table, dict[str, Any]]:
    """Plan one mix and put its documents, repeats included, into training order."""
    plan, strata, tokens, times = plan_mix(run, facts, mix)
    groups = group_index(strata, plan)
    hashes = keyed_hash(facts["doc_id"], mix.seed)
    n_copies = copies(groups, tokens, hashes, plan, times)
    order = positions(hashes, n_copies, groups, tokens, plan)
    realised_groups = realised(groups, tokens, n_copies, plan).to_pylist()
    left_out = int(tokens[n_copies == 0].sum())
    report = {
        "groups": realised_groups, "tokens": sum(g["tokens"] for g in realised_groups),
        "available": int(tokens.sum()),
        "discarded_share": left_out / max(int(tokens.sum()), 1), "documents": len(order),
    }  # fmt: skip
    if mix.repeat:
        report["repeat"] = mix.repeat.report(facts[mix.repeat.column], tokens, n_copies)
    return order, report


def count_column(facts: pa.Table, mix: Mix) -> np.ndarray:
    """Tokens of each document, int64; zeros where the run counts no tokens and the mix needs none.

    Raises: ConfigError if a mix asks for tokens and a kept document has no count.
    """
    tokens = facts["n_tokens"]
    if tokens.null_count:
        if mix.by or mix.tokens:
            raise ConfigError(
                f"mix {mix.name} asks for tokens, but {tokens.null_count:,} of {facts.num_rows:,} kept docum"
                f"ents have "
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
