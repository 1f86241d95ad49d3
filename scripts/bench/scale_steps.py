"""Steps and inputs for `scale_candidates` in place of text: planted similarities, scores and lengths."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.dataset.shard import Shard
from pipeline.dataset.sidecars import SidecarRef, read_columns
from pipeline.schema import ROW
from pipeline.stage import Global
from pipeline.storage.store import Store
from scripts.bench.scale_corpus import compare, lay_out, names_of, number
from stages import dedup
from stages.kernels.text.hashing import mix_all

LANGUAGES = ("zho_Hans", "eng_Latn", "zho_Hant", "jpn_Jpan")


@dataclass(frozen=True, kw_only=True)
class Pairs(dedup.Config):
    """Settings of dedup, and the corpus that defines similarities: see scale_corpus.lay_out."""

    shard_documents: int = 1
    n_documents: int = 1
    seed: int = 1

    @staticmethod
    def of(shard_documents: int, n_documents: int, seed: int) -> Pairs:
        """The settings of a corpus."""
        return Pairs(shard_documents=shard_documents, n_documents=n_documents, seed=seed)


def pairs_step() -> Global:
    """`stages.dedup` with planted similarities in place of texts; it remembers no pairs."""
    return replace(
        dedup.GLOBAL, config=Pairs, reads=("doc_id", "candidates.partners"), map=map_pairs, reduce=pass_on,
        sparse=None, memory=None, data=(),
    )  # fmt: skip


def map_pairs(table: pa.Table, config: Pairs) -> pa.Table:
    """Documents with candidates and, of pairs of which they are the smaller row, the similarity: `key` and COMPARED."""
    table = table.filter(pc.is_valid(table["candidates.partners"])).combine_chunks()
    rows, partners = table[ROW].to_numpy(), table["candidates.partners"].combine_chunks()
    owner, other = rows[pc.list_parent_indices(partners).to_numpy()], pc.list_flatten(partners).to_numpy()
    left, right = owner[other > owner], other[other > owner]
    layout = lay_out(config.n_documents, config.seed)
    first, second = (number(end.astype(np.int64), config.shard_documents) for end in (left, right))
    similarity = compare(first, second, layout.n_documents, layout.odd, layout.starts, layout.kinds)
    differs = np.zeros(len(left), bool)
    columns = [
        mix_all(left),
        left,
        right,
        pa.nulls(len(left), pa.string()),
        similarity,
        similarity,
        *[differs] * 4,
    ]
    nulls = [pa.nulls(len(rows), dtype) for dtype in (pa.uint64(), *dedup.MEMORY.types)]
    names = [mix_all(rows), rows, nulls[0], table["doc_id"], *nulls[1:]]
    schema = pa.schema([pa.field("key", pa.uint64()), *dedup.COMPARED])
    return pa.concat_tables([pa.table(part, schema=schema) for part in (columns, names)])


def pass_on(table: pa.Table, config: Pairs) -> pa.Table:
    """Return the compared pairs of one partition: a table of COMPARED."""
    return table.select(dedup.COMPARED.names)


@dataclass(frozen=True)
class PlantedFeed:
    """Columns of documents without text: stored ones where there are any, and values that follow from the row."""

    shard: Shard
    refs: Mapping[str, SidecarRef]

    def batches(self, store: Store, reads: tuple[str, ...], first_row: int) -> Iterator[pa.Table]:
        """See Feed.batches."""
        rows = np.arange(self.shard.n_rows, dtype=np.uint64) + np.uint64(first_row)
        stored = {"cluster": "dedup.cluster", "pairs": "dedup.pairs"}
        wanted = {name: stored.get(name, name) for name in reads}
        names = {name for name in wanted.values() if name.partition(".")[0] in self.refs}
        columns = read_columns(store, self.shard, self.refs, names)
        made = {
            name: columns[source] if source in columns else planted(name, rows)
            for name, source in wanted.items()
        }
        yield pa.table({**made, ROW: rows})


def planted(name: str, rows: np.ndarray) -> pa.Array:
    """A column of documents by row: uint64 (n,)."""
    chance = mix_all(rows ^ np.uint64(sum(name.encode())))
    if name == "doc_id":
        return names_of(rows.astype(np.int64))
    if name in ("eligible", "passes_base", "fixed"):
        return pa.array((chance % np.uint64(10) > 0) & (name != "fixed"))
    if name == "order":
        offsets = pa.array(np.arange(len(rows) + 1), pa.int32())
        return pa.ListArray.from_arrays(offsets, pa.array((chance % np.uint64(5000)).astype(np.float64)))
    if name.startswith("exact."):
        hashes = np.stack([chance, mix_all(chance)], axis=1)
        return pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(rows), [None, pa.py_buffer(hashes)])
    if name == "language.label":
        return pa.array(LANGUAGES).take(pa.array((chance % np.uint64(7) % np.uint64(4)).astype(np.int64)))
    if name == "text_bytes":
        return pa.array((chance % np.uint64(9000)).astype(np.int32))
    # a score: log-odds in thousandths, roughly normal
    parts = [(chance >> np.uint64(shift)) % np.uint64(4096) for shift in (0, 12, 24, 36)]
    return pa.array(
        (np.rint(sum(part.astype(np.float64) for part in parts) / 2 - 4096) / 1000).astype(np.float32)
    )
