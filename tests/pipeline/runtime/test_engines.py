"""Losing workers and nodes: the tasks they had run again, and the release has the same bytes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import BicorpusError, UsageError
from pipeline.runtime.engines import MAX_ATTEMPTS, LocalEngine
from pipeline.storage.store import open_store
from tests.helpers.build import build, cli, digests, kill, reference, small_page, start
from tests.helpers.paths import ROOT
from tests.helpers.s3server import BUCKET, serve
from tests.helpers.worker_tasks import die, die_once, nap

SLOW = """
from dataclasses import dataclass
import time
import pyarrow as pa
from pipeline.stage import Stage, bind

SCHEMA = pa.schema({"n": pa.int32()})

@dataclass(frozen=True)
class Config: ...

def annotate(batch, config):
    time.sleep(0.3)
    return pa.table([pa.array([len(text) for text in batch["text"].to_pylist()], pa.int32())], schema=SCHEMA)

STAGE = Stage(name="slow", version=1, config=Config, reads=("text",), writes=SCHEMA, load=bind(annotate))
"""


@contextmanager
def cluster() -> Iterator[tuple[Any, Any]]:
    """A Ray cluster of two nodes with one core each on this machine; yields it and its second node."""
    from ray.cluster_utils import Cluster

    dead_soon = {"health_check_period_ms": 1000, "health_check_failure_threshold": 3}  # 3 s instead of 15
    head = {"num_cpus": 1, "object_store_memory": 100 << 20, "_system_config": dead_soon}
    found = Cluster(initialize_head=True, head_node_args=head)
    try:
        node = found.add_node(num_cpus=1, object_store_memory=100 << 20)
        found.wait_for_nodes()
        yield found, node
    finally:
        found.shutdown()


def test_a_node_dies_in_the_middle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two Ray nodes, an S3 store, one node killed while it annotates: the same bytes as a local build."""
    pytest.importorskip("ray")
    done = reference()
    (tmp_path / "t_slow.py").write_text(SLOW)
    page = small_page()
    page["annotate"] = [*page["annotate"], "t_slow"]
    page["select"] = [*page["select"], {"name": "few_chars", "slow.n": {"min": 100}, "action": "flag"}]
    run_path = done.variant(page)
    monkeypatch.syspath_prepend(tmp_path)
    with serve() as environment, cluster() as (nodes, node):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        url = f"s3://{BUCKET}/corpus"
        process = start(
            "run", run_path, "--store", url, "--address", nodes.address, "--json", PYTHONPATH=str(tmp_path)
        )
        store, deadline = open_store(url), time.monotonic() + 120
        while len(list(store.list("annotations/slow"))) < 3:
            assert process.poll() is None and time.monotonic() < deadline, process.communicate()
            time.sleep(0.1)
        nodes.remove_node(node, allow_graceful=False)
        n_finished = len(list(store.list("annotations/slow")))
        _, err = process.communicate(timeout=240)
        assert process.returncode == 0, err
        assert n_finished < len(list(store.list("annotations/slow")))  # it died in the middle
        found = digests(url)
        cli("verify", f"{url}/releases/v1").ok()
    build(run_path, done.copy(tmp_path))
    assert found == digests(tmp_path / "store")


@pytest.fixture
def engine() -> Iterator[LocalEngine]:
    """A pool of two workers."""
    found = LocalEngine(2)
    yield found
    found.close()


def test_a_killed_worker_is_replaced(engine: LocalEngine, tmp_path: Path) -> None:
    """Tasks whose worker was killed run again; every result comes once."""
    markers = [str(tmp_path / str(i)) for i in range(3)]
    assert sorted(engine.map(die_once, markers)) == markers


def test_a_task_that_always_kills_its_worker_ends_the_run(engine: LocalEngine) -> None:
    """A task that loses its worker every time ends the run with one line of advice."""
    with pytest.raises(
        BicorpusError, match=f"lost its worker {MAX_ATTEMPTS} times.*fewer --workers"
    ) as found:
        list(engine.map(die, [1]))
    assert len(str(found.value)) < 300


def test_all_workers_are_used(engine: LocalEngine) -> None:
    """Two workers share the tasks, and results come as they are ready."""
    begin = time.monotonic()
    assert len(set(engine.map(nap, [0.3] * 8))) == 2
    assert time.monotonic() - begin < 8 * 0.3 + 5


def test_workers_end_with_a_killed_driver() -> None:
    """A driver that is killed leaves no worker behind, not even one that waits for a task."""
    code = (
        "from pipeline.runtime.engines import LocalEngine\nfrom tests.helpers.worker_tasks import nap\nimport time\n"
        "if __name__ == '__main__':\n    list(LocalEngine(2).map(nap, [0.1] * 4))\n    print('ready', flush=True)\n"
        "    time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, text=True,
        stdout=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    kill(process, whole_group=False)  # fails if anything of the group still runs after 20 s


def test_bad_number_of_workers(tmp_path: Path) -> None:
    """No workers at all: exit 2."""
    ended = cli("run", reference().run_path, "--store", tmp_path, "--workers", 0)
    assert ended.code == UsageError.exit_code and "--workers is 0; expected at least 1" in ended.err
