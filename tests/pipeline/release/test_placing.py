"""Placement by blocks and ranges over a store: the same positions for any division, groups in parts of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.config.load import load_run
from pipeline.config.release_columns import RIGHTS_GROUPS
from pipeline.keyed_hash import keyed_hash
from pipeline.mapreduce.shuffle import read_exchange, write_exchange
from pipeline.mix.config import parse_mix
from pipeline.release.block_tasks import MAX_PART_GROUPS
from pipeline.release.facts import RIGHTS_GROUP
from pipeline.release.kept import make_blocks
from pipeline.release.passes import Passes
from pipeline.release.placement import Placing
from pipeline.release.work_folder import WorkFolder
from pipeline.runtime.engines import SerialEngine
from pipeline.runtime.progress import Progress
from pipeline.schema import ROW, ROW_BITS
from pipeline.storage.store import Store, open_store
from tests.helpers.build import tiny, write_run
from tests.helpers.mix_corpus import doc_ids

SIZES = (70, 0, 110, 1, 90)
"""Kept documents of each shard."""
PART_BYTES = 3000


def write_facts(store: Store, work: WorkFolder) -> pa.Table:
    """Facts of five shards, in files; returns all of them."""
    rng, ids, tables = np.random.default_rng(3), doc_ids(sum(SIZES)), []
    for ordinal, n in enumerate(SIZES):
        first = sum(SIZES[:ordinal])
        rows = np.arange(n, dtype=np.uint64) * np.uint64(2) + np.uint64(ordinal << ROW_BITS)
        table = pa.table(
            {
                ROW: rows, "doc_id": ids.slice(first, n), "language": rng.choice(["eng_Latn", "zho_Hans"], n).tolist(),
                "n_tokens": rng.integers(1, 50, n), "text_bytes": rng.integers(1, 300, n).astype(np.int32),
                "module": pa.nulls(n, pa.string()), "source": ["docs"] * n,
                RIGHTS_GROUP: rng.integers(0, 3, n).astype(np.int8),
            },
            schema=pa.schema(
                {ROW: pa.uint64(), "doc_id": pa.string(), "language": pa.string(), "n_tokens": pa.int64(),
                 "text_bytes": pa.int32(), "module": pa.string(), "source": pa.string(), RIGHTS_GROUP: pa.int8()}
            ),
        )  # fmt: skip
        write_exchange(store, work.facts(ordinal), table, np.zeros(n, np.int64), 1)
        tables.append(table)
    return pa.concat_tables(tables)


class Stopping(SerialEngine):
    """An engine that fails after some tasks, and counts them."""

    def __init__(self, n_tasks: int) -> None:
        self.n_left, self.n_done = n_tasks, 0

    def map(self, fn: Any, tasks: Any, follow: Any = None) -> Any:  # Any: see Engine.map
        """See Engine.map."""
        for result in super().map(fn, tasks, follow):
            if not self.n_left:
                raise KeyboardInterrupt
            self.n_left, self.n_done = self.n_left - 1, self.n_done + 1
            yield result


def make_placing(
    folder: Path, n: int, name: str, engine: SerialEngine | None = None, group: str = "", **changes: Any
) -> tuple[Placing, pa.Table]:  # Any: sections of a run file
    """A placement with n blocks and ranges over facts in a store of its own."""
    page = tiny(folder, **({"release": {"part_bytes": PART_BYTES, "name": "r"}} | changes))
    run, store = load_run(write_run(folder, page)), open_store(folder / name)
    work = WorkFolder(store, "r", "0123456789")
    facts = write_facts(store, work)
    work.resume()
    passes = Passes(store, engine or SerialEngine(), Progress(quiet=True), work, lambda _: None)
    blocks = make_blocks(store, SIZES, [work.facts(i) for i in range(len(SIZES))], [], n)
    return Placing(run, passes, blocks, group, n), facts


@pytest.mark.parametrize("group", ["", RIGHTS_GROUP])
@pytest.mark.parametrize("n", [1, 3, 5])
def test_positions_are_those_of_a_sort(tmp_path: Path, n: int, group: str) -> None:
    """Documents of a language follow their group and keyed hash, and each group is cut into parts by bytes, for any
    number of ranges."""
    placing, facts = make_placing(tmp_path, n, "store", group=group)
    placement = placing.place(placing.run.mix.mixes)
    assert placement.present == ((0, 2, 4), (0, 2, 3, 4), (0, 2, 3, 4))
    assert placement.n_tokens == sum(facts["n_tokens"].to_pylist())
    hashes, all_rows = keyed_hash(facts["doc_id"], placing.run.release.seed), facts[ROW].to_numpy()
    assert len(positions(placing, 2)) == sum(SIZES)
    groups = facts[RIGHTS_GROUP].to_numpy() * bool(group)
    rights: dict[str, list[str]] = {}
    for number, language in enumerate(["eng_Latn", "zho_Hans"]):
        expected: dict[int, tuple[int, int]] = {}
        n_parts = 0
        for one in np.unique(groups).tolist():
            rows = np.flatnonzero((np.array(facts["language"].to_pylist()) == language) & (groups == one))
            rows = rows[np.argsort(hashes[rows])]
            parts, places = cut_at_once(facts["text_bytes"].to_numpy()[rows].astype(np.int64))
            expected |= {
                int(all_rows[row]): (n_parts + int(part), int(place))
                for row, part, place in zip(rows, parts, places, strict=True)
            }
            paths = rights.setdefault(RIGHTS_GROUPS[one], [])
            paths += [f"data/{language}/part-{n_parts + i:05d}.parquet" for i in range(int(parts.max()) + 1)]
            n_parts += int(parts.max()) + 1
        assert positions(placing, number) == expected
        assert placement.outputs[number].n_parts == n_parts
    assert placement.rights == (rights if group else {})


def cut_at_once(sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Part, and row within it, of a sequence that is cut as a whole."""
    total, before = int(sizes.sum()), np.cumsum(sizes) - sizes
    n_parts = max(1, round(total / PART_BYTES))
    parts = np.minimum(before * n_parts // total, n_parts - 1)
    return parts, np.arange(len(sizes)) - np.searchsorted(parts, parts)


def test_seeds_of_the_release_and_of_a_mix_draw_the_orders(tmp_path: Path) -> None:
    """The order of data/ follows the seed of the release, the choice and order of a mix follow its own."""

    def placed(release: int, mix: int) -> tuple[dict[int, tuple[int, int]], list[str]]:
        name, mixes = (
            f"seeds{release}{mix}",
            {"m": {"by": "source", "share": {"docs": 1}, "documents": 50, "seed": mix}},
        )
        placing, _ = make_placing(
            tmp_path, 2, name, mix={"default": "m", "max_discard": 1.0, "mixes": mixes},
            release={"seed": release, "part_bytes": PART_BYTES},
        )  # fmt: skip
        placement = placing.place(placing.run.mix.mixes)
        placing.write_orders({"m": placement.orders["m"]}, {"m": "m.parquet"})
        order = pq.read_table(pa.BufferReader(placing.store.get("m.parquet")))
        return positions(placing, 0), order["doc_id"].to_pylist()

    first, other_release, other_mix = placed(1, 1), placed(2, 1), placed(1, 2)
    assert len(first[0]) > 100 and len(set(first[1])) == 50
    assert other_release[0] != first[0] and other_release[1] == first[1]
    assert other_mix[0] == first[0] and set(other_mix[1]) != set(first[1])


def positions(placing: Placing, output: int) -> dict[int, tuple[int, int]]:
    """Part and position of the documents of an output, by row."""
    found = {}
    for ordinal in range(len(SIZES)):
        table = read_exchange(placing.store, [placing.work.positions(ordinal)], 0)
        for row in table.to_pylist():
            if row["output"] == output:
                found[row[ROW] + (ordinal << ROW_BITS)] = row["part"], row["position"]
    return found


def test_groups_and_shards_divide_the_data(tmp_path: Path) -> None:
    """Groups have parts of their own, one group after another; by shard, documents of a shard are together, and the
    same for any blocks."""
    results = []
    for n in (1, 3, 5):
        placing, facts = make_placing(
            tmp_path, n, f"store{n}", group=RIGHTS_GROUP, release={"part_bytes": PART_BYTES, "order": "input"}
        )
        languages = {"eng_Latn": 0, "zho_Hans": 1}
        data, parts = placing.place_data(languages, {}, 271)
        table = pa.concat_tables(
            [read_exchange(placing.store, [key], 0) for key in placing.join(data)]
        ).sort_by([("output", "ascending"), ("part", "ascending"), ("position", "ascending")])
        results.append((table.to_pylist(), parts))
        group = dict(zip(facts[ROW].to_pylist(), facts[RIGHTS_GROUP].to_pylist(), strict=True))
        for output in (0, 1):
            mine = [row for row in table.to_pylist() if row["output"] == output]
            keys = [(group[row[ROW]], row[ROW] >> ROW_BITS) for row in mine]
            assert keys == sorted(keys)
            found: dict[int, set[int]] = {}
            for row in mine:
                found.setdefault(row["part"], set()).add(group[row[ROW]])
            owners = {part: {s % MAX_PART_GROUPS} for s, numbers in parts.items() for part in numbers
                      if s // MAX_PART_GROUPS == output}  # fmt: skip
            assert found == owners and len(found) > 3
    assert results[0] == results[1] == results[2]


SCHEDULE = [
    {"until": 0.5, "share": {"eng_Latn": 1, "zho_Hans": 3}},
    {"until": 1.0, "share": {"eng_Latn": 1, "zho_Hans": 1}},
]
TURNS = {"by": "language", "schedule": SCHEDULE, "max_epochs": 3}


def test_a_stopped_placement_goes_on(tmp_path: Path) -> None:
    """Stopped in any pass, the next run does what is left, with the orders of a run that was not stopped."""
    mixes = {"turns": parse_mix({"mixes": {"turns": TURNS}, "max_discard": 1.0}, "mix").mixes["turns"]}
    whole = Stopping(10**6)
    placing, _ = make_placing(tmp_path, 3, "whole", whole, mix={"max_discard": 1.0})
    placement = placing.place(mixes)
    expected = placing.write_orders(placement.orders, {"turns": "turns.parquet"})
    for n_tasks in (2, whole.n_done // 2, whole.n_done - 4):
        name = f"stopped{n_tasks}"
        placing, _ = make_placing(tmp_path, 3, name, Stopping(n_tasks), mix={"max_discard": 1.0})
        with pytest.raises(KeyboardInterrupt):
            placing.write_orders(placing.place(mixes).orders, {"turns": "turns.parquet"})
        rest = Stopping(10**6)
        placing, _ = make_placing(tmp_path, 3, name, rest, mix={"max_discard": 1.0})
        placement = placing.place(mixes)
        assert placing.write_orders(placement.orders, {"turns": "turns.parquet"}) == expected
        assert 0 < rest.n_done <= whole.n_done - n_tasks
        assert placement.mixes["turns"]["training"]["windows"] == 0 < placement.mixes["turns"]["documents"]
