"""A store under random operations, compared with a model of what must hold (a hypothesis state machine).

    python -m scripts.maintenance.store_machine                        # 20 histories of 30 steps, some minutes
    python -m scripts.maintenance.store_machine --examples 200 --steps 60 --seed 7

Operations: add a file, change the files of the run file, build, stop a build or an erasure at a write, erase documents
or single copies, compact the index, delete the leases or what can be computed again, two builds at once. After each
finished build: the ledger has exactly the documents that were given and not erased; of equal and nearly equal documents
one is kept; nothing is left over. At times the release is compared with that of a new store, and every byte is checked.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pyarrow.parquet as pq
import yaml
from hypothesis import HealthCheck, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from pipeline.build.build import run_build
from pipeline.config.load import load_run
from pipeline.erasure.erase import erase
from pipeline.erasure.find import Asked
from pipeline.inspect.index_tools import compact_index, index_of
from pipeline.inspect.scrub import scrub
from pipeline.planning.session import Session
from pipeline.runtime.engines import SerialEngine
from pipeline.runtime.progress import Progress
from pipeline.storage.local import FolderStore
from pipeline.storage.store import open_store

QUIET = Progress(quiet=True)
WRITES = ("put", "put_if", "put_file", "delete", "delete_prefix")
CHARS = 120
"""Ideographs of a text: 4 more are a near copy, with 0.97 of its shingles."""


class Killed(BaseException):
    """What stops a process at a write; no later write of it reaches the store."""


@contextmanager
def killed_after(n_writes: int) -> Iterator[None]:
    """Stop at the write after the next `n_writes`, and let no other one through until the block ends."""
    left = [n_writes]

    def limited(write: Callable[..., Any]) -> Callable[..., Any]:  # Any: methods of a store
        def call(*arguments: Any, **named: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            return write(*arguments, **named)

        return call

    limits: dict[str, Any] = {name: limited(getattr(FolderStore, name)) for name in WRITES}
    with mock.patch.multiple(FolderStore, **limits):
        try:
            yield
        except Killed:
            pass


def text_of(group: int, variant: int) -> str:
    """A text of a group: 0 and 1 are equal, others nearly so; two groups share nothing."""
    draw = random.Random(group)
    body = "".join(chr(0x4E00 + draw.randrange(6000)) for _ in range(CHARS))
    return body + "".join(chr(0x4E00 + (variant * 97 + i) % 6000) for i in range(4 if variant > 1 else 0))


class StoreMachine(RuleBasedStateMachine):
    """The store, and the model: files of documents by name, those in the run file, what was erased."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="bicorpus-machine-"))
        self.inputs, self.url = self.folder / "inputs", str(self.folder / "store")
        self.inputs.mkdir()
        self.files: dict[str, list[tuple[str, int, int]]] = {}  # name -> id, group and variant of documents
        self.active: set[str] = set()
        self.gone_groups: set[int] = set()
        self.gone_ids: set[str] = set()
        self.built: set[str] | None = None  # files of the last finished build
        self.n_docs = 0

    def teardown(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    # Helpers

    def run_path(self) -> Path:
        """The run file over the active files."""
        page = {
            "corpus": "machine", "ingest": {"shard_bytes": "2kB", "pack_bytes": 0},
            "sources": [
                {"name": name, "reader": "stages.readers.jsonl", "files": f"{name}.jsonl"}
                for name in sorted(self.active)
            ],
            "annotate": ["stages.dedup.exact", "stages.minhash"],
            "global": ["stages.dedup.candidates", "stages.dedup"],
            "keep_one": {"of": "dedup"}, "release": {"name": "v1"},
        }  # fmt: skip
        path = self.inputs / "run.yaml"
        path.write_text(yaml.safe_dump(page), encoding="utf-8")
        return path

    def run_once(self, url: str, path: Path | None = None) -> None:
        """Run a build to its end. path: of the run file, if it is there already."""
        store, run = open_store(url), load_run(str(path or self.run_path()))
        run_build(lambda: Session(run, store, SerialEngine(), QUIET), store, QUIET)

    def forget_process(self) -> None:
        """Let the leases of a stopped process expire, as they do when nobody renews them."""
        for path in Path(self.url, "leases").glob("*.json"):
            path.write_text(json.dumps(json.loads(path.read_text()) | {"expires": 0}))

    def alive(self) -> list[tuple[str, int, int]]:
        """Documents that the ledger must have."""
        return [
            document for name in sorted(self.active) for document in self.files[name]
            if document[1] not in self.gone_groups and document[0] not in self.gone_ids
        ]  # fmt: skip

    def ledger(self) -> list[dict[str, Any]]:
        """Rows of the ledger."""
        parts = sorted(Path(self.url, "releases/v1/ledger").glob("*.parquet"))
        return [row for part in parts for row in pq.read_table(part).to_pylist()]

    def check(self) -> None:
        """What must hold after a finished build."""
        rows = {row["source_id"]: row for row in self.ledger()}
        alive = self.alive()
        assert set(rows) == {name for name, _, _ in alive}
        for group in {group for _, group, _ in alive}:
            kept = [name for name, g, _ in alive if g == group and rows[name]["keep"]]
            assert len(kept) == 1, (group, kept)
        assert not list(Path(self.url, "releases/_work").rglob("*.arrow"))
        self.built = set(self.active)

    def wanted(self, data: st.DataObject) -> str | None:
        """Id of a document of the last build, None without any."""
        names = [row["source_id"] for row in self.ledger()] if self.built == self.active else []
        return data.draw(st.sampled_from(sorted(names))) if len(names) > 3 else None

    def erase(self, name: str, only: bool) -> None:
        """Erase a document by its id in the source."""
        asked = Asked(source_id=(name,), only_this_copy=only)
        erase(load_run(str(self.run_path())), open_store(self.url), asked, SerialEngine(), QUIET)

    def note_erased(self, name: str, only: bool) -> None:
        """Tell the model."""
        if only:
            self.gone_ids.add(name)
        else:
            self.gone_groups |= {g for documents in self.files.values() for n, g, _ in documents if n == name}
        self.built = None

    # Operations

    @initialize(groups=st.lists(st.integers(0, 5), min_size=5, max_size=8))
    def first_file(self, groups: list[int]) -> None:
        """A file, and a group that is never erased."""
        self.add([100, 101, *groups], [0, 0, *(i % 4 for i in range(len(groups)))])

    @rule(groups=st.lists(st.integers(0, 8), min_size=1, max_size=4), variant=st.integers(0, 3))
    def add_file(self, groups: list[int], variant: int) -> None:
        """Another source, with copies of what is there, or of what was erased."""
        self.add(groups, [variant] * len(groups))

    def add(self, groups: list[int], variants: list[int]) -> None:
        """Write a file and put it into the run file."""
        name, documents = f"f{len(self.files)}", []
        for group, variant in zip(groups, variants, strict=True):
            documents.append((f"d{self.n_docs}", group, variant))
            self.n_docs += 1
        lines = (
            json.dumps({"id": n, "text": text_of(g, v)}, ensure_ascii=False) + "\n" for n, g, v in documents
        )
        (self.inputs / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
        self.files[name] = documents
        self.active.add(name)

    @rule(data=st.data())
    def change_sources(self, data: st.DataObject) -> None:
        """Go back to fewer files, or to more."""
        others = sorted(set(self.files) - {"f0"})
        if others:
            self.active = {"f0", *data.draw(st.sets(st.sampled_from(others)))}

    @rule()
    def build(self) -> None:
        """A build that ends."""
        self.run_once(self.url)
        self.check()

    @rule(n_writes=st.integers(0, 60))
    def kill_build(self, n_writes: int) -> None:
        """A build that is stopped at a write."""
        with killed_after(n_writes):
            self.run_once(self.url)
        self.forget_process()
        self.built = None

    @rule(data=st.data(), only=st.booleans())
    def erase_document(self, data: st.DataObject, only: bool) -> None:
        """An erasure that ends, and the build after it."""
        name = self.wanted(data)
        if name is not None and name not in ("d0", "d1"):
            self.erase(name, only)
            self.note_erased(name, only)
            self.build()

    @rule(data=st.data(), only=st.booleans(), n_writes=st.integers(0, 40))
    def kill_erasure(self, data: st.DataObject, only: bool, n_writes: int) -> None:
        """An erasure that is stopped at a write: it happens wholly, or it can be asked for again."""
        name = self.wanted(data)
        if name is None or name in ("d0", "d1"):
            return
        with killed_after(n_writes):
            self.erase(name, only)
        self.forget_process()
        if Path(self.url, "tombstones/catalog.json").exists():
            self.run_once(self.url)
            if name in {row["source_id"] for row in self.ledger()}:
                self.erase(name, only)
                self.note_erased(name, only)
                self.run_once(self.url)
            else:
                self.note_erased(name, only)
        else:
            self.run_once(self.url)
        self.check()

    @rule()
    def compact(self) -> None:
        """Merge the runs of the index."""
        if self.built is not None:
            compact_index(
                index_of(load_run(str(self.run_path())), open_store(self.url)), SerialEngine(), QUIET
            )

    @rule(
        folder=st.sampled_from(
            ["global", "verdicts", "annotations/minhash", "index", "exchange", "releases/v1"]
        )
    )
    def collect_garbage(self, folder: str) -> None:
        """Delete what can be computed again."""
        shutil.rmtree(Path(self.url, folder), ignore_errors=True)
        self.built = None

    @rule()
    def delete_leases(self) -> None:
        """Delete the leases of a store that nobody uses, as the message about a damaged one advises."""
        shutil.rmtree(Path(self.url, "leases"), ignore_errors=True)

    @rule()
    def two_builds(self) -> None:
        """Two runs of one store at the same time."""
        errors: list[BaseException] = []
        path = self.run_path()

        def one() -> None:
            try:
                self.run_once(self.url, path)
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=one) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not errors, errors
        self.check()

    @rule()
    def same_as_a_new_store(self) -> None:
        """A build from scratch with the tombstones writes the same release, and the store is sound."""
        self.run_once(self.url)
        self.check()
        other = self.folder / "other"
        shutil.rmtree(other, ignore_errors=True)
        other.mkdir()
        if Path(self.url, "tombstones").exists():
            shutil.copytree(Path(self.url, "tombstones"), other / "tombstones")
        self.run_once(str(other))
        assert digests(self.url) == digests(str(other))
        report = scrub(open_store(self.url), QUIET)
        assert not report.findings, report.findings

    @invariant()
    def no_erasure_is_half_done(self) -> None:
        """After every operation that ended, nothing is pending."""
        assert self.built is None or not Path(self.url, "tombstones/pending.json").exists()


def digests(url: str) -> dict[str, str]:
    """SHA-256 of each file of the release."""
    folder = Path(url, "releases/v1")
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def play(examples: int, steps: int, seed: int) -> None:
    """Run the machine; raises with the shortest history that breaks the model."""
    checks = list(HealthCheck)
    chosen = settings(
        max_examples=examples, stateful_step_count=steps, deadline=None, database=None, derandomize=False,
        suppress_health_check=checks,
    )  # fmt: skip
    run_state_machine_as_test(seeded(seed)(StoreMachine), settings=chosen)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description="Random operations on a store, compared with a model.")
    parser.add_argument("--examples", type=int, default=20)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    play(options.examples, options.steps, options.seed)
    print(f"{options.examples} histories of up to {options.steps} steps: nothing broke")


if __name__ == "__main__":
    main()
