"""Clusters of a release: exact counts by snapshot and source, for any shards and partitions."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from pipeline.dataset.release_schema import CLUSTERS
from pipeline.release.clusters import (
    DOCUMENTS_PER_PART,
    MEMBERS,
    cluster_table,
    count_parts,
    counts_by,
    members,
    part_of,
)
from tests.helpers.build import build, cli, ledger, tiny, write_run

NAMES = ("2222aaaa", "a", "azzz2", "b7", "zz", "名字")
DOCUMENTS = st.lists(
    st.tuples(
        st.none() | st.sampled_from(NAMES),
        st.none() | st.sampled_from(["", "CC-MAIN-2024-22", "CC-MAIN-2025-30"]),
        st.sampled_from(["a", "b"]),
        st.integers(0, 2),
    ),
    max_size=24,
)
"""Cluster, snapshot, source, and 0 for a document that a rule drops, 1 for a copy, 2 for a kept one."""

Document = tuple[str | None, str | None, str, int]


def table(docs: list[Document], first: int = 0) -> pa.Table:
    """MEMBERS of documents; ids by number."""
    columns = [pa.array([doc[i] for doc in docs], pa.string()) for i in (0, 1, 2)]
    ids = pa.array([f"d{first + i:03d}" for i in range(len(docs))], pa.string())
    cluster, doc_id, snapshot, source = (pa.chunked_array([c]) for c in (columns[0], ids, *columns[1:]))
    state = np.array([doc[3] for doc in docs], np.int64)
    return members((cluster, doc_id, snapshot, source), state >= 1, state == 2)


def by_hand(docs: list[Document]) -> list[dict[str, Any]]:
    """The rows of a release's clusters, counted one by one."""
    rows = []
    for name in sorted({doc[0] for doc in docs if doc[0] is not None}, key=str.encode):
        inside = [(i, doc) for i, doc in enumerate(docs) if doc[0] == name]
        row: dict[str, Any] = {
            "cluster": name, "size": len(inside), "n_eligible": sum(doc[3] >= 1 for _, doc in inside),
            "n_kept": sum(doc[3] == 2 for _, doc in inside),
            "keepers": [f"d{i:03d}" for i, doc in inside if doc[3] == 2],
        }  # fmt: skip
        for column, field, place in (("snapshots", "snapshot", 1), ("sources", "source", 2)):
            n_docs = Counter(doc[place] for _, doc in inside)
            n_kept = Counter(doc[place] for _, doc in inside if doc[3] == 2)
            order = sorted(n_docs, key=lambda value: (value is None, value or ""))
            row[column] = [{field: v, "n_docs": n_docs[v], "n_kept": n_kept[v]} for v in order]
        rows.append(row)
    return rows


@given(DOCUMENTS, st.integers(0, 24), st.sampled_from([1, 2, 3, 7, 100]))
def test_clusters_are_counted_exactly_in_any_shards_and_partitions(
    docs: list[Document], cut: int, n_parts: int
) -> None:
    """Counted by hand, from two shards in either order, in any number of partitions put one after the other."""
    expected = by_hand(docs)
    shards = [table(docs[:cut]), table(docs[cut:], len(docs[:cut]))]
    for order in (shards, shards[::-1]):
        whole = pa.concat_tables(order)
        part = part_of(whole["cluster"], n_parts)
        assert ((part >= 0) & (part < n_parts)).all()
        tables = [cluster_table(whole.filter(pa.array(part == i)), CLUSTERS) for i in range(n_parts)]
        assert pa.concat_tables(tables).to_pylist() == expected


def test_counts_by_snapshot() -> None:
    """Counts of each pair, null snapshots last; a document of no cluster does not count."""
    cluster = pa.array(["b", "a", None, "a", "a", "a"])
    snapshot = pa.array(["s", "t", "s", "s", None, "t"])
    found = counts_by(cluster, snapshot, pa.array([True, True, True, False, False, False]))
    assert [list(row.values()) for row in found.to_pylist()] == [
        ["a", "s", 1, 0], ["a", "t", 2, 1], ["a", None, 1, 0], ["b", "s", 1, 1],
    ]  # fmt: skip


def test_ids_of_documents_fall_evenly() -> None:
    """Names in base32 fill the partitions in their order; the number of partitions comes from the documents alone."""
    rng = np.random.default_rng(0)
    letters = np.frombuffer(b"abcdefghijklmnopqrstuvwxyz234567", np.uint8)[rng.integers(0, 32, (20_000, 26))]
    names = pa.chunked_array([sorted(row.tobytes().decode() for row in letters)])
    part = part_of(names, 8)
    assert (np.diff(part) >= 0).all() and np.bincount(part, minlength=8).min() > 2_300
    assert part_of(names.slice(100, 5), 8).tolist() == part[100:105].tolist()
    assert [count_parts(n) for n in (0, 1, DOCUMENTS_PER_PART, DOCUMENTS_PER_PART + 1)] == [1, 1, 1, 2]
    assert cluster_table(MEMBERS.empty_table(), CLUSTERS).schema == CLUSTERS


COPIES = (
    "The river rises in the hills north of the town and reaches the sea after ninety miles of bends. " * 8
)
LONE = "北方的冬天来得很早，十月底山上就落了第一场雪，村里的人开始把柴火搬进屋子。" * 8


def test_a_release_counts_its_clusters(tmp_path: Path) -> None:
    """Ledger, data and clusters name snapshots; a member that a rule drops is counted and not eligible."""
    rows = [
        {"id": "0", "text": COPIES, "dump": "CC-MAIN-2024-22", "good": 1},
        {"id": "1", "text": COPIES + "More.", "dump": "CC-MAIN-2024-22", "good": 0},
        {"id": "2", "text": COPIES, "good": 1},
        {"id": "3", "text": COPIES, "dump": "CC-MAIN-2025-30", "good": 1},
        {"id": "4", "text": LONE, "dump": "CC-MAIN-2025-30", "good": 1},
    ]
    page = tiny(tmp_path, rows)
    page["sources"][0] |= {"columns": {"old.good": "good"}, "snapshot": "CC-MAIN-2023-06"}
    page |= {
        "annotate": ["stages.dedup.exact", "stages.minhash"],
        "global": ["stages.dedup.candidates", "stages.dedup"],
        "select": [{"name": "bad", "old.good": {"min": 1}, "if_null": "keep"}],
        "keep_one": {"of": "dedup"},
        "release": {"name": "v1"},
    }
    build(write_run(tmp_path, page), tmp_path / "store")
    release = tmp_path / "store" / "releases" / "v1"
    (row,) = pq.read_table(release / "clusters" / "part-00000.parquet").to_pylist()
    documents = {r["row"]: r for r in ledger(tmp_path / "store")}
    kept = [documents[i]["doc_id"] for i in (0, 2, 3) if documents[i]["keep"]]
    assert len(kept) == 1 and documents[1]["rule"] == "bad"
    assert [documents[i]["snapshot"] for i in range(5)] == [
        "CC-MAIN-2024-22", "CC-MAIN-2024-22", "CC-MAIN-2023-06", "CC-MAIN-2025-30", "CC-MAIN-2025-30",
    ]  # fmt: skip
    assert [row[name] for name in ("cluster", "size", "n_eligible", "n_kept", "keepers")] == [
        min(documents[i]["doc_id"] for i in range(4)), 4, 3, 1, kept,
    ]  # fmt: skip
    (keeper,) = (i for i in (0, 2, 3) if documents[i]["keep"])
    n_docs = {"CC-MAIN-2023-06": 1, "CC-MAIN-2024-22": 2, "CC-MAIN-2025-30": 1}
    home = documents[keeper]["snapshot"]
    assert row["snapshots"] == [
        {"snapshot": s, "n_docs": n, "n_kept": int(s == home)} for s, n in n_docs.items()
    ]
    assert row["sources"] == [{"source": "docs", "n_docs": 4, "n_kept": 1}]
    lineage = json.loads((release / "lineage.json").read_text(encoding="utf-8"))
    assert sum(counts["copies"] for counts in lineage["snapshots"].values()) == 2
    (report,) = cli("verify", release, "--json").ok().json
    assert report["checks"]["clusters are what the ledger says"] == 1


def test_rules_name_snapshots_and_the_lineage_counts_them(tmp_path: Path) -> None:
    """A rule drops a crawl as it would a source; documents, kept ones and copies of each are counted, also of none."""
    names = ["CC-MAIN-2024-22", "CC-MAIN-2024-22", "CC-MAIN-2025-30", None]
    rows = [{"id": str(i), "text": f"{LONE} {i * '再'}", "crawl": name} for i, name in enumerate(names)]
    page = tiny(tmp_path, rows) | {"release": {"name": "v1"}}
    page["select"] = [{"name": "old_crawl", "snapshot": {"not_in": ["CC-MAIN-2024-22"]}, "if_null": "keep"}]
    build(write_run(tmp_path, page), tmp_path / "store")
    release = tmp_path / "store" / "releases" / "v1"
    assert json.loads((release / "lineage.json").read_text(encoding="utf-8"))["snapshots"] == {
        "": {"documents": 1, "kept": 1, "copies": 0},
        "CC-MAIN-2024-22": {"documents": 2, "kept": 0, "copies": 0},
        "CC-MAIN-2025-30": {"documents": 1, "kept": 1, "copies": 0},
    }
    data = ds.dataset(release / "data", format="parquet").to_table(columns=["snapshot"])
    assert sorted(data["snapshot"].to_pylist(), key=str) == ["CC-MAIN-2025-30", None]
    assert not (release / "clusters").exists()  # no step looks for copies
