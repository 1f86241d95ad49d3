"""Kept documents in blocks of consecutive shards, and what a mix must know of them to be planned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import ConfigError
from pipeline.keyed_hash import keyed_hash
from pipeline.mapreduce.shuffle import read_exchange
from pipeline.mix.blocks import Documents
from pipeline.mix.config import Mix
from pipeline.mix.holdout import HOLDOUT
from pipeline.mix.order import cell_index
from pipeline.mix.plan import NO_STRATUM, MixPlan, plan_quotas
from pipeline.mix.strata import check_strata, strata_of
from pipeline.release.facts import HELD
from pipeline.schema import ROW
from pipeline.storage.store import Store

ROWS_PER_BLOCK = 1 << 20
"""Kept documents of a block, and copies of a range: about 0.5 GB of memory for either."""


@dataclass(frozen=True)
class Block:
    """Consecutive shards whose kept documents one task places.

    shards: ordinals; facts, held: exchange files of the facts of each shard, and of the documents held out, if any are.
    """

    store: Store
    number: int
    shards: tuple[int, ...]
    facts: tuple[str, ...]
    held: tuple[str, ...] = ()

    def read(self) -> pa.Table:
        """Facts of the kept documents, in row order."""
        table = read_exchange(self.store, self.facts, 0).combine_chunks()
        if self.held:
            table = table.append_column(HELD, read_exchange(self.store, self.held, 0)[HELD])
        return table


def block_starts(n_kept: Sequence[int], n_blocks: int | None = None) -> list[int]:
    """Ordinals of the first shard of each block, and the number of shards. Args: kept documents of each shard;
    n_blocks, for tests."""
    n = len(n_kept)
    if n_blocks is not None:
        return sorted({i * n // n_blocks for i in range(n_blocks)} | {0, n})
    ends = np.cumsum(np.array(n_kept, np.int64))
    numbers = (ends - np.array(n_kept, np.int64)) // ROWS_PER_BLOCK
    return [*np.unique(numbers, return_index=True)[1].tolist(), n]


def make_blocks(
    store: Store,
    n_kept: Sequence[int],
    facts: Sequence[str],
    held: Sequence[str],
    n_blocks: int | None = None,
) -> list[Block]:
    """Blocks of about ROWS_PER_BLOCK kept documents. Args: by shard; held is empty if no documents are held out."""
    return [
        Block(store, i, tuple(range(a, b)), tuple(facts[a:b]), tuple(held[a:b]))
        for i, (a, b) in enumerate(pairwise(block_starts(n_kept, n_blocks)))
    ]


def rows_of(facts: pa.Table, mix: Mix) -> pa.Table:
    """The documents that a mix may contain: those held out, or all others."""
    if HELD not in facts.column_names:
        return facts
    return facts.filter(pa.array(facts[HELD].to_numpy(zero_copy_only=False) == (mix.name == HOLDOUT)))


def strata_names(facts: pa.Table, mix: Mix) -> pa.ChunkedArray:
    """Stratum of each document, string (n_docs,), plain or dictionary-encoded; null for none."""
    if not mix.columns:
        return pa.chunked_array([pa.repeat(NO_STRATUM, facts.num_rows)])
    return strata_of([facts[column] for column in mix.columns])


def tokens_of(facts: pa.Table) -> np.ndarray:
    """Tokens of each document, int64, zero where there is no count."""
    return facts["n_tokens"].fill_null(0).to_numpy().astype(np.int64)


def sizes_of(facts: pa.Table, mix: Mix) -> np.ndarray:
    """Size of each document in the units of a mix: int64 (n_docs,)."""
    if mix.unit == "tokens":
        return tokens_of(facts)
    if mix.unit == "documents":
        return np.ones(facts.num_rows, np.int64)
    return facts["text_bytes"].to_numpy().astype(np.int64)


def times_of(facts: pa.Table, mix: Mix) -> np.ndarray:
    """How often each document is taken in one pass: int64 (n_docs,)."""
    return mix.repeat.of(facts[mix.repeat.column]) if mix.repeat else np.ones(facts.num_rows, np.int64)


def documents_of(facts: pa.Table, plan: MixPlan) -> Documents:
    """The documents of a block that a mix may contain, see `rows_of`, as the mix counts them."""
    mix = plan.mix
    return Documents(
        facts[ROW].to_numpy().astype(np.int64), cell_index(strata_names(facts, mix), plan), sizes_of(facts, mix),
        keyed_hash(facts["doc_id"], mix.seed), times_of(facts, mix),
    )  # fmt: skip


_SUMS = ("n_docs", "n_items", "units", "sizes", "nulls")


def count_strata(facts: pa.Table, mix: Mix) -> pa.Table:
    """Count the documents that a mix may contain by stratum and language.

    Args: facts, of a block, see `rows_of`.
    Returns: stratum, language, and int64: n_docs; n_items, of one pass, repeats included, and their units; sizes, of
    the documents without repeats; nulls, documents without a count of tokens.
    """
    times, sizes = times_of(facts, mix), sizes_of(facts, mix)
    table = pa.table(
        {
            "stratum": strata_names(facts, mix).cast(pa.string()).fill_null(NO_STRATUM),
            "language": facts["language"].cast(pa.string()),
            "n_docs": np.ones_like(times),
            "n_items": times,
            "units": sizes * times,
            "sizes": sizes,
            "nulls": facts["n_tokens"].is_null().cast(pa.int64()),
        }
    )
    return merge_counts([table])


def merge_counts(tables: Sequence[pa.Table]) -> pa.Table:
    """Add up tables of `count_strata`."""
    groups = pa.concat_tables(tables).group_by(["stratum", "language"])
    sums = groups.aggregate([(name, "sum") for name in _SUMS])
    return sums.select(["stratum", "language", *(f"{name}_sum" for name in _SUMS)]).rename_columns(
        ["stratum", "language", *_SUMS]
    )


def plan_mix(mix: Mix, counts: pa.Table, max_discard: float) -> MixPlan:
    """Quotas of one mix. Args: counts, of all documents that it may contain, see `count_strata`.

    Raises: MixError when its shares cannot be met; ConfigError if it asks for tokens and a document has no count.
    """
    nulls, n_docs = (int(pc.sum(counts[name]).as_py() or 0) for name in ("nulls", "n_docs"))
    if nulls and mix.unit == "tokens" and (mix.by or mix.total or mix.curve):
        raise ConfigError(
            f"mix {mix.name} asks for tokens, but {nulls:,} of {n_docs:,} kept documents have "
            "no token count; annotate with stages.tokens, and keep its gate looser than the rules"
        )
    units = sums_by(counts, "stratum", "units")
    check_strata(len(units))
    return plan_quotas(units, mix, max_discard)


def sums_by(counts: pa.Table, by: str, name: str) -> dict[str, int]:
    """Sums of one column of counts by stratum or language, sorted."""
    sums = counts.group_by(by).aggregate([(name, "sum")])
    return dict(sorted(zip(sums[by].to_pylist(), sums[f"{name}_sum"].to_pylist(), strict=True)))


def cells_of_strata(plan: MixPlan, strata: Iterable[str]) -> dict[str, int]:
    """Cell of each stratum, -1 for none."""
    if not plan.mix.columns:
        return dict.fromkeys(strata, 0)
    cell_of = {stratum: i for i, cell in enumerate(plan.cells) for stratum in cell.strata}
    return {stratum: cell_of.get(stratum, -1) for stratum in strata}


def items_by_cell(plan: MixPlan, counts: pa.Table) -> dict[int, int]:
    """Copies of one pass over each cell."""
    by_stratum = sums_by(counts, "stratum", "n_items")
    found: dict[int, int] = {}
    for stratum, cell in cells_of_strata(plan, by_stratum).items():
        found[cell] = found.get(cell, 0) + by_stratum[stratum]
    return found


def planned_languages(plan: MixPlan, counts: pa.Table) -> dict[str, tuple[int, int]]:
    """Available and planned units of each language, if each cell takes its languages in proportion."""
    cells = cells_of_strata(plan, counts["stratum"].unique().to_pylist())
    units: dict[tuple[int, str], int] = {}
    for row in counts.select(["stratum", "language", "units"]).to_pylist():
        key = cells[row["stratum"]], row["language"]
        units[key] = units.get(key, 0) + row["units"]
    found: dict[str, tuple[int, int]] = {}
    for (number, language), n in units.items():
        available, taken = found.get(language, (0, 0))
        cell = plan.cells[number] if number >= 0 else None
        asked = n * cell.asked // max(cell.available, 1) if cell else 0
        found[language] = available + n, taken + asked
    return dict(sorted(found.items()))


def length_counts(facts: pa.Table) -> dict[str, list[int]]:
    """Kept documents per power-of-two bin of tokens, by language; see `merge_lengths`."""
    bins = np.frexp(np.maximum(tokens_of(facts), 1))[1] - 1
    coded = facts["language"].cast(pa.string()).combine_chunks().dictionary_encode()
    codes = coded.indices.to_numpy(zero_copy_only=False)
    return {
        name: np.bincount(bins[codes == i]).tolist() for i, name in enumerate(coded.dictionary.to_pylist())
    }


def merge_lengths(parts: Iterable[Mapping[str, Sequence[int]]]) -> dict[str, list[int]]:
    """Add up the results of `length_counts`."""
    found: dict[str, list[int]] = {}
    for part in parts:
        for name, counts in part.items():
            known = found.setdefault(name, [])
            known += [0] * (len(counts) - len(known))
            for i, n in enumerate(counts):
                known[i] += n
    return found
