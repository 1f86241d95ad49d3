"""Erase documents and their near copies from a store, and keep them out of later ingests."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.config.run_file import RunFile
from pipeline.dataset.shard import SHARDS, Shard, opened
from pipeline.dataset.tombstones import PENDING, RECEIPTS, Tombstones, open_key, write_tombstones
from pipeline.erasure.changes import Changes, Leaving, changes_of, load_changes
from pipeline.erasure.find import (
    ASKED,
    CLUSTER,
    NEAR,
    Asked,
    FindTask,
    QuarantineTask,
    Scanned,
    ScanTask,
    SketchTask,
    all_shards,
    cluster_rows,
    find_rows,
    require,
    run_all,
    scan_quarantine,
    scan_shard,
    sketch_rows,
    with_derived,
    write_work,
)
from pipeline.erasure.readdress import readdressed
from pipeline.erasure.receipt import Plain, holding_releases, imports_of, inputs_of
from pipeline.erasure.rewrite import apply
from pipeline.errors import LeaseError, StoreError, UsageError
from pipeline.inspect.opened import Finished, open_build
from pipeline.planning.erasing import erase_about
from pipeline.runtime.engines import Engine, SerialEngine
from pipeline.runtime.progress import Progress
from pipeline.storage.catalog import Catalog
from pipeline.storage.exclusion import ERASURES, RUNS, check_not_alone, hold_alone
from pipeline.storage.lease import Lease, delete_given_up, hold
from pipeline.storage.store import Store
from pipeline.translation import message


def erase(
    run: RunFile, store: Store, asked: Asked, engine: Engine, progress: Progress, *, dry_run: bool = False,
    delete_releases: bool = False, others: Sequence[str] = (),
) -> Plain:  # fmt: skip
    """Erase documents; returns the receipt, which is stored too.

    Args: run, a run file of the store: its clusters are erased whole, and sidecars of its stages keep their place;
    delete_releases, whether releases of the store that hold an erased document are deleted; others, URLs of releases
    outside the store, to be searched.
    Raises: UsageError if an id is unknown; LeaseError if anything else uses the store.
    """
    store.check(write=not dry_run)
    with hold_alone(store, ERASURES) as lease:
        if not dry_run:
            finish(store, engine, progress, lease)
        elif load_changes(store) is not None:
            raise UsageError(
                "an erasure was stopped before its end; `bicorpus run` or `bicorpus erase` finishes it"
            )
        return Erasing(run, store, asked, engine, progress).run(dry_run, delete_releases, others, lease)


def finish(store: Store, engine: Engine, progress: Progress, lease: Lease) -> None:
    """Apply the changes of an erasure that was stopped. lease: of erasures, held."""
    changes = load_changes(store)
    if changes is not None:
        progress.say(message("an erasure was stopped before its end; it is finished first"))
        complete(store, changes, engine, lease)


def complete(store: Store, changes: Changes, engine: Engine, lease: Lease) -> Plain:
    """Apply changes, delete the releases that are to go, and write the receipt, which is returned.

    Each step may be repeated, until the changes are deleted at the end.

    Raises: LeaseError if the lease is lost; the next run or erasure goes on.
    """
    receipt: Plain = dict(changes.receipt)
    receipt["store"] = {**apply(store, changes, engine, lease.check), **receipt["store"]}
    for name in receipt["deleted_releases"]:
        lease.check()
        store.delete(f"releases/_heads/{name}.json")
        store.delete_prefix(f"releases/{name}")
    text = json.dumps(receipt, ensure_ascii=False, indent=1, sort_keys=True)
    lease.check()
    store.put(receipt["key"], text.encode())
    store.delete(PENDING)
    return receipt


def before_run(store: Store, name: str, say: Callable[[str], None], waits: bool = True) -> Lease:
    """Take the lease of a run, wait for an erasure or `gc` in progress, and finish an erasure that was stopped.

    Raises: LeaseError if an erasure or `gc` is in progress and the run does not wait.
    """
    delete_given_up(store, RUNS)  # of runs that were killed
    said = False
    while True:
        lease = hold(store, f"{RUNS}{name}")
        try:
            while (busy := reason_to_wait(store)) is not None:
                if not waits:
                    raise busy
                if not said:
                    say(message("waiting: documents are being erased from the store, or objects deleted"))
                    said = True
                time.sleep(2)
            if load_changes(store) is None:
                return lease
        except BaseException:
            after_run(store, lease)
            raise
        lease.release()
        with suppress(LeaseError), hold_alone(store, ERASURES) as alone:  # another run may finish it
            finish(store, SerialEngine(), Progress(quiet=True), alone)
        time.sleep(random.uniform(0, 1))


def reason_to_wait(store: Store) -> LeaseError | None:
    """Return the error of an erasure or `gc` in progress, None without one."""
    try:
        check_not_alone(store)
    except LeaseError as error:
        return error
    return None


def after_run(store: Store, lease: Lease) -> None:
    """Give the lease of a run back; its name is never used again."""
    lease.release()
    with suppress(
        StoreError
    ):  # the error of the run is the one to report; a lease that is given up does no harm
        store.delete(lease.key)


class Erasing:
    """One erasure. Call `run`."""

    def __init__(self, run: RunFile, store: Store, asked: Asked, engine: Engine, progress: Progress) -> None:
        self.run_file, self.store, self.asked, self.engine, self.progress = (
            run,
            store,
            asked,
            engine,
            progress,
        )
        now = datetime.now(UTC)
        self.name = f"{now:%Y%m%dT%H%M%S}-{now.microsecond:06d}"
        self.made = now.isoformat(timespec="seconds")
        self.key, self.header = open_key(store)
        self.groups = Catalog.load(store, SHARDS).entries
        self.shards = all_shards(store)
        self.work = f"exchange/erase-{self.name}"
        self.notes: list[str] = []

    def run(self, dry_run: bool, delete_releases: bool, others: Sequence[str], lease: Lease) -> Plain:
        """See `erase`."""
        try:
            return self._run(dry_run, delete_releases, others, lease)
        finally:
            self.store.delete_prefix(self.work)

    def _run(self, dry_run: bool, delete_releases: bool, others: Sequence[str], lease: Lease) -> Plain:
        finished = self.build()
        asked = self.find()
        members = {} if self.asked.only_this_copy or finished is None else cluster_rows(finished, asked)
        tombstones = self.tombstones(asked, members)
        scanned = self.scan(tombstones)
        hidden = self.quarantined() if tombstones.has_texts else {}
        leaving = with_derived(self.store, [self.leaving(s, asked, members) for s in scanned], self.groups)
        documents = self.documents(leaving, scanned)
        changes = changes_of(leaving, self.groups)
        doc_ids = [document["doc_id"] for document in documents]
        releases = holding_releases(self.store, doc_ids, others)
        mine = [e["release"] for e in releases if delete_releases and e.get("stored") and e["files"]]
        outside = [e["release"] for e in releases if not e.get("stored") or e["release"] not in mine]
        receipt: Plain = {
            "id": self.name, "made": self.made, "dry_run": dry_run, "only_this_copy": self.asked.only_this_copy,
            "asked": {name: len(values) for name, values in self.asked.values().items() if values}
            | ({"text": len(self.asked.text)} if self.asked.text else {}),
            "documents": documents, "tombstones": tombstones.table.num_rows, "quarantined": sum(hidden.values()),
            "store": {}, "releases": releases, "deleted_releases": mine,
            "outside": {"inputs": inputs_of(documents), "imports": imports_of(self.store), "releases": outside},
            "notes": self.notes, "key": "",
        }  # fmt: skip
        if dry_run:
            return receipt
        lease.check()
        answers = self.erase_answers(doc_ids)
        recipes = {} if finished is None else readdressed(finished, changes)
        facts = {"made": self.made, "tombstones": tombstones.table.num_rows}
        write_tombstones(self.store, self.name, tombstones.table)
        hidden_in = tuple(key for key, n in hidden.items() if n)
        receipt |= {"key": f"{RECEIPTS}/{self.name}.json", "store": {"answers": sum(answers.values())}}
        done = Changes(self.name, self.header, facts, changes, recipes, hidden_in, receipt)
        done.save(self.store)
        return complete(self.store, done, self.engine, lease)

    def build(self) -> Finished | None:
        """The finished build of the run file; None, with a note, if there is none."""
        try:
            return open_build(self.run_file, self.store)
        except UsageError as error:
            self.notes.append(
                message(f"without the clusters of {self.run_file.path}, whose build is not finished: {error}")
            )
            return None

    def erase_answers(self, doc_ids: Sequence[str]) -> dict[str, int]:
        """Erase the answers of language models about documents; returns their number by folder."""
        if next(self.store.list("requests"), None) is None:
            return {}
        try:
            return erase_about(self.run_file, self.store, doc_ids)
        except UsageError as error:  # an input that is gone, or a stage without its files
            self.notes.append(message(f"answers of language models were not looked at: {error}"))
            return {}

    def find(self) -> dict[str, set[int]]:
        """Rows of the documents asked for by a value, by shard id."""
        values = self.asked.values()
        found: dict[str, set[int]] = {}
        names: set[str] = set()
        tasks = [FindTask(self.store, shard, values) for shard in self.shards] if any(values.values()) else []
        for shard, rows in run_all(self.engine, find_rows, tasks):
            names |= rows.keys()
            if rows:
                found[shard.id] = {row for some in rows.values() for row in some}
        require(self.asked, names)
        return found

    def tombstones(self, asked: dict[str, set[int]], members: dict[str, set[int]]) -> Tombstones:
        """Tombstones of what is erased; written to the work folder, for tasks."""
        module: Any = Tombstones(pa.table({}), self.key).module  # Any: stages.tombstones
        values = self.asked.values()
        if self.asked.only_this_copy:
            by_id = set(values["doc_id"])
            for shard in self.shards:
                if shard.id in asked:
                    by_id |= self.ids(shard, asked[shard.id])
            table = module.value_tombstones("doc_id", sorted(by_id), self.key)
        else:
            kept = [
                module.value_tombstones(kind, sorted(values[kind]), self.key)
                for kind in ("source_id", "url", "host")
            ]
            table = pa.concat_tables(
                [*kept, *self.sketches(asked), module.tombstones_of(list(self.asked.text), self.key)]
            )
            more = {shard: rows - asked.get(shard, set()) for shard, rows in members.items()}
            write_work(self.store, f"{self.work}/asked.parquet", table)
            table = pa.concat_tables([table, *self.sketches(more, f"{self.work}/asked.parquet")])
            table = distinct(table)
        write_work(self.store, f"{self.work}/all.parquet", table)
        return Tombstones(table, self.key)

    def ids(self, shard: Shard, rows: set[int]) -> set[str]:
        """Ids of some rows of a shard."""
        with opened(self.store, shard.key) as stream:
            column = pq.ParquetFile(stream).read(["doc_id"])["doc_id"]
        return set(column.take(pa.array(sorted(rows))).to_pylist())

    def sketches(self, rows: dict[str, set[int]], covered: str = "") -> list[pa.Table]:
        """Tombstones of the texts of some rows, by shard id. covered: see SketchTask."""
        tasks = [
            SketchTask(self.store, shard, tuple(sorted(rows[shard.id])), self.key, covered)
            for shard in self.shards
            if rows.get(shard.id)
        ]
        return run_all(self.engine, sketch_rows, tasks)

    def scan(self, tombstones: Tombstones) -> list[Scanned]:
        """All documents of the store that tombstones are of, by shard."""
        if not tombstones.table.num_rows:
            return []
        tasks = [ScanTask(self.store, shard, f"{self.work}/all.parquet", self.key) for shard in self.shards]
        found = []
        with self.progress.phase(message("look for copies"), len(tasks), "shards") as phase:
            for scanned in self.engine.map(scan_shard, tasks):
                phase.step(scanned.shard.text_bytes)
                found += [scanned] if scanned.documents else []
        return sorted(found, key=lambda one: one.shard)

    def quarantined(self) -> dict[str, int]:
        """Quarantined records that contain an erased text, by file."""
        files = sorted(key for key, _ in self.store.list("quarantine") if key.endswith(".parquet"))
        tasks = [QuarantineTask(self.store, file, f"{self.work}/all.parquet", self.key) for file in files]
        return dict(run_all(self.engine, scan_quarantine, tasks))

    def leaving(self, scanned: Scanned, asked: dict[str, set[int]], members: dict[str, set[int]]) -> Leaving:
        """The documents of a shard that leave, with reasons."""
        mine, near = asked.get(scanned.shard.id, set()), members.get(scanned.shard.id, set())
        rows = {document["row"]: document for document in scanned.documents}
        why = {row: ASKED if row in mine else CLUSTER if row in near else NEAR for row in rows}
        return Leaving(
            scanned.shard, {row: d["doc_id"] for row, d in rows.items()},
            {row: d["text_bytes"] for row, d in rows.items()}, why,
        )  # fmt: skip

    def documents(self, leaving: Sequence[Leaving], scanned: Sequence[Scanned]) -> list[Plain]:
        """The documents of a receipt."""
        facts = {d["doc_id"]: d for one in scanned for d in one.documents}
        nothing = {"input": None, "input_row": None, "parent_id": ""}
        return [
            {
                "doc_id": doc_id, "source": one.shard.source, "shard": one.shard.id, "row": row, "why": one.why[row],
                **{name: facts.get(doc_id, nothing)[name] for name in nothing},
            }
            for one in leaving for row, doc_id in sorted(one.doc_ids.items())
        ]  # fmt: skip


def distinct(table: pa.Table) -> pa.Table:
    """Return tombstones without repetitions, in the order of kind and hash."""
    firsts: dict[tuple[str, bytes], int] = {}
    for row, pair in enumerate(zip(table["kind"].to_pylist(), table["hash"].to_pylist(), strict=True)):
        firsts.setdefault(pair, row)
    return table.take(pa.array([firsts[pair] for pair in sorted(firsts)], pa.int64()))
