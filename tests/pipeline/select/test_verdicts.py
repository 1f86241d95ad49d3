"""Verdicts over one shard: which outcome wins, who may be counted, and what becomes of derived documents."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.config.run_file import Against, KeepOne
from pipeline.dataset.shard import Shard
from pipeline.dataset.sidecars import SidecarRef, write_sidecar
from pipeline.errors import AlignmentError
from pipeline.ingest.canonical import Rows, SourceInfo
from pipeline.rules.parse import parse_rules
from pipeline.schema import CANONICAL
from pipeline.select.feeds import KeeperFeed, order_column
from pipeline.select.verdicts import (
    CHOSEN,
    Decision,
    PopulationTask,
    VerdictTask,
    count_population,
    early_ref,
    final,
    final_ref,
    store_verdict,
)
from pipeline.stage import Record
from pipeline.storage.store import Store, open_store


def decision_over(
    store: Store, name: str, numbers: Sequence[int], parents: Sequence[str | None] | None = None
) -> Decision:
    """A shard of one document for each number, which is its `s.n`; documents below 10 fail the rule `low`."""
    rows = Rows(SourceInfo(name=name, input="f", fields={"text": ("text",)}))
    for i, number in enumerate(numbers):
        rows.add(Record(i, {"text": f"document {number}"}))
    documents = rows.take()[0]
    if parents is not None:
        documents = documents.set_column(
            CANONICAL.get_field_index("parent_id"), "parent_id", pa.array(parents, pa.string())
        )
    shard = Shard(name, name, len(numbers), 1)
    sink = pa.BufferOutputStream()
    pq.write_table(documents, sink)
    store.put(shard.key, sink.getvalue())
    ref = SidecarRef(f"annotations/s/v1-x/{name}.parquet", "x")
    write_sidecar(store, ref, pa.table({"n": pa.array(numbers, pa.int32())}), shard)
    low = {"name": "low", "s.n": {"min": 10}}
    quantile = {"name": "tail", "s.n": {"quantile": {"max": 0.5}}, "action": "flag"}
    return Decision(shard, tuple(parse_rules([low, quantile], "run.yaml: select")), {"s": ref}, {}, 0, "")


def with_keepers(decision: Decision, store: Store, is_keeper: Sequence[bool | None]) -> Decision:
    """The decision after keepers were chosen: None for a document in no cluster."""
    columns: dict[str, Any] = {"is_keeper": pa.array(is_keeper, pa.bool_())}
    columns |= {name: pa.nulls(len(is_keeper), dtype) for name, dtype in CHOSEN.items()}
    columns["kind"] = pa.array(["near"] * len(is_keeper), pa.string())
    ref = SidecarRef("global/keepers/x/rows/a.parquet", "k")
    write_sidecar(store, ref, pa.table(columns), decision.shard)
    return dataclasses.replace(decision, keepers=ref)


def test_a_copy_that_fails_a_rule_has_the_name_of_the_rule(tmp_path: Path) -> None:
    """Only a document that passes every rule is removed as a duplicate, with a kind."""
    store = open_store(str(tmp_path))
    decision = with_keepers(decision_over(store, "a", [20, 5, 30, 40]), store, [True, False, False, None])
    kept = final(decision, store)
    duplicate = len(decision.rules)
    assert kept.rule.tolist() == [-1, 0, duplicate, -1]
    assert kept.keep.tolist() == [True, False, False, True]
    assert kept.duplicate.to_pylist() == [None, None, "near", None]
    assert kept.may_be_keeper.tolist() == [True, False, False, True]


def test_references_are_no_population_and_are_no_duplicates(tmp_path: Path) -> None:
    """Quantiles are counted over documents that may be released; a reference has the outcome of references."""
    store = open_store(str(tmp_path))
    decision = decision_over(store, "a", [20, 5, 30])
    (counted,) = count_population(PopulationTask(store, decision))
    assert counted[3] == {5.0: 1, 20.0: 1, 30.0: 1}
    reference = dataclasses.replace(decision, reference=True)
    assert all(not counts for *_, counts in count_population(PopulationTask(store, reference)))
    kept = final(with_keepers(reference, store, [True, False, False]), store)
    assert kept.rule.tolist() == [len(decision.rules) + 2] * 3
    assert not kept.keep.any() and kept.may_be_keeper.all()


def test_a_derived_document_is_kept_with_its_parent_alone(tmp_path: Path) -> None:
    """A parent that is dropped, unknown or missing takes the derived document along; its own rules come first."""
    store = open_store(str(tmp_path))
    parent = decision_over(store, "a", [5, 20, 30])
    ids = parent.read(store, set())["doc_id"].to_pylist()
    derived = decision_over(store, "b", [50, 50, 50, 50, 3], [ids[1], ids[0], "nobody", None, "nobody"])
    kept = final(dataclasses.replace(derived, parent=parent), store)
    orphan = len(derived.rules) + 1
    assert kept.rule.tolist() == [-1, orphan, orphan, orphan, 0]
    assert final(derived, store).keep.tolist() == [True] * 4 + [False]


def test_an_earlier_release_is_known_by_ids(tmp_path: Path) -> None:
    """Its kept documents are references if it is excluded, also after others were erased from the shard."""
    store = open_store(str(tmp_path))
    decision = decision_over(store, "a", [20, 5, 30])
    ids = decision.read(store, set())["doc_id"].to_pylist()
    ledger = {"shard": ["a"] * 4, "doc_id": ["erased", *ids], "keep": [True, False, True, True]}
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(ledger), sink)
    store.put("releases/r/ledger/part-00000.parquet", sink.getvalue())
    found = {}
    for mode in ("exclude", "new_loses"):
        one = KeepOne(keepers=None, of=None, prefer=(), against=Against(release="r", mode=mode))
        earlier = "releases/r/ledger/part-00000.parquet"
        found[mode] = dataclasses.replace(decision, keep_one=one, earlier=earlier)
    assert found["exclude"].references(store).tolist() == [False, True, True]
    assert found["new_loses"].references(store).tolist() == [False] * 3
    assert found["new_loses"].kept_earlier(store).tolist() == [False, True, True]
    assert final(found["exclude"], store).may_be_keeper.tolist() == [True, True, True]
    assert KeeperFeed(found["new_loses"], {}).first(store).tolist() == [0.0, 1.0, 1.0]
    assert KeeperFeed(found["exclude"], {}).first(store).tolist() == [0.0, 2.0, 2.0]
    other = dataclasses.replace(found["exclude"], shard=dataclasses.replace(decision.shard, id="b"))
    with pytest.raises(AlignmentError, match="not the ledger"):
        other.kept_earlier(store)


def test_stored_verdicts_are_those_that_were_computed(tmp_path: Path) -> None:
    """Rules judged once and stored give the verdict that they gave, for other thresholds as well."""
    store = open_store(str(tmp_path))
    decision = decision_over(store, "a", [20, 5, 30, 7])
    early = dataclasses.replace(decision, early=early_ref(decision, "r", "rules"))
    plain = final(early, store)
    store_verdict(VerdictTask(store, early, early=True))
    stored = final(early, store)
    assert stored.rule.tolist() == plain.rule.tolist() == [-1, 0, -1, 0]
    assert (stored.failed == plain.failed).all()
    done = dataclasses.replace(early, verdict=final_ref(early, "r", "rules"))
    store_verdict(VerdictTask(store, done, early=False))
    store.delete(decision.refs["s"].key)  # from here on, nothing but the stored verdict can answer
    assert final(done, store).rule.tolist() == [-1, 0, -1, 0]
    assert early_ref(dataclasses.replace(decision, rank=1), "r", "rules") != early.early
    other = {"s": dataclasses.replace(decision.refs["s"], recipe="y")}  # annotations of other settings
    assert early_ref(dataclasses.replace(decision, refs=other), "r", "rules") != early.early
    unread = dict(decision.refs) | {"t": SidecarRef("annotations/t/v1-x/a.parquet", "y")}
    assert early_ref(dataclasses.replace(decision, refs=unread), "r", "rules") == early.early
    assert final_ref(dataclasses.replace(early, reference=True), "r", "rules") != done.verdict
    assert early_ref(dataclasses.replace(decision, rules=()), "r", "rules") is None


def test_null_and_nan_are_the_worst_preference() -> None:
    """Whether high or low is better, a document without the value comes last; the first values come before all."""
    columns = {
        "q.x": pa.chunked_array([pa.array([None, math.nan, 3.0, 1.0])]),
        "rank": pa.chunked_array([[2, 1, 1, 0]]),
    }
    for is_high, best in ((True, [3.0, 1.0]), (False, [-3.0, -1.0])):
        keep_one = KeepOne(keepers=None, of=None, prefer=(("q.x", is_high), ("rank", False)))
        order = order_column(keep_one, columns, 4)
        assert [keys[0] for keys in order.to_pylist()] == [-math.inf, -math.inf, *best]
        assert [keys[1] for keys in order.to_pylist()] == [-2.0, -1.0, -1.0, 0.0]


def test_late_rules_wait_for_the_owners(tmp_path: Path) -> None:
    """A rule about removed passages is judged once owners are chosen, after keepers, on stored verdicts too."""
    store = open_store(str(tmp_path))
    decision = decision_over(store, "a", [20, 5, 30, 40])
    late = {"name": "late", "owners.lost": {"max": 0}}
    rules = (*decision.rules, *parse_rules([late], "run.yaml: select"))
    before = with_keepers(dataclasses.replace(decision, rules=rules), store, [True, True, True, False])
    assert final(before, store).rule.tolist() == [-1, 0, -1, len(rules)]
    ref = SidecarRef("global/owners/x/rows/a.parquet", "o")
    write_sidecar(store, ref, pa.table({"lost": pa.array([0, 3, 3, 3], pa.int32())}), decision.shard)
    after = dataclasses.replace(before, judged=ref)
    assert final(after, store).rule.tolist() == [-1, 0, 2, len(rules)]
    early = dataclasses.replace(after, early=early_ref(before, "r", "rules"))
    store_verdict(VerdictTask(store, dataclasses.replace(early, judged=None), early=True))
    found = final(early, store)
    assert found.rule.tolist() == [-1, 0, 2, len(rules)]
    assert found.failed[2].tolist() == [False, True, True, True]
    waiting = final(dataclasses.replace(early, judged=None), store)
    assert waiting.rule.tolist() == [-1, 0, -1, len(rules)] and not waiting.failed[2].any()
