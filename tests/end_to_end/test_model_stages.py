"""Stages that run models, in whole runs: workers of their own, killed workers, plan, and runs without them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipeline.storage.store import open_store
from tests.helpers.build import cli, command, digests, start, tiny, write_run
from tests.helpers.paths import ROOT
from tests.helpers.torch_models import TEXTS, classifier, torch_or_skip


def run_with_model(folder: Path, model: Path) -> Path:
    """A run file with a stage before the model and one behind it, in six shards; a rule reads the scores."""
    rows = [{"id": str(i), "text": f"{i}: " + " ".join(TEXTS[i % 4 :]) * (1 + i % 5)} for i in range(48)]
    page = tiny(
        folder, rows, ingest={"shard_bytes": 2_500, "pack_bytes": 0},
        annotate=[
            "t_behind", {"use": "classifiers.transformer", "config": {"models": {"edu": str(model)}}},
            "stages.dedup.exact",
        ],
        select=[{"name": "poor", "transformer.edu": {"min": 0.0}, "action": "flag"}],
    )  # fmt: skip
    (folder / "t_behind.py").write_text(
        "import pyarrow as pa\nfrom pipeline.stage import Stage, each\n"
        "SCHEMA = pa.schema({'twice': pa.float32()})\n"
        "def measure(score: float) -> dict[str, float]:\n    return {'twice': 2 * score}\n"
        "STAGE = Stage(name='behind', version=1, reads=('transformer.edu',), writes=SCHEMA, load=each(measure))\n"
    )
    return write_run(folder, page)


def run(path: Path, store: Path, *options: Any) -> dict[str, Any]:  # Any: options and JSON
    """Run a run file with processes as workers; returns its record."""
    arguments = ("run", path, "--store", store, "--json", "--quiet", "--engine", "local", *options)
    return dict(command(*arguments, PYTHONPATH=str(path.parent)).ok().json)


def test_models_have_workers_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One worker for all, and two for the model beside two others: the same release, and a plan with a rate."""
    torch_or_skip()
    monkeypatch.syspath_prepend(tmp_path)
    path = run_with_model(tmp_path, classifier(tmp_path / "m", num_labels=1))
    one = run(path, tmp_path / "a", "--workers", 1, "--gpus", 0)
    two = run(path, tmp_path / "b", "--workers", 2, "--gpus", 1, "--gpu-share", 0.5)
    assert one["kept"] == two["kept"] == 48 and one["tasks"]["annotate"] == two["tasks"]["annotate"] > 12
    assert one["devices"] == {"transformer": "CPU"} and one["wall_s"]["transformer"] > 0
    assert digests(tmp_path / "a", "tiny") == digests(tmp_path / "b", "tiny")
    path.write_text(path.read_text().replace("models:\n", "pooling: max\n    models:\n"))
    plan = cli("plan", path, "--store", tmp_path / "a", "--json").ok().json
    assert plan["models"]["transformer"]["device"] == "CPU" and plan["models"]["transformer"]["worker_s"] > 0
    lines = cli("plan", path, "--store", tmp_path / "a").ok().out
    assert "model  transformer" in lines and "at the rate of the last run, on CPU" in lines


def test_a_killed_model_worker_loses_one_shard(tmp_path: Path) -> None:
    """The worker that runs the model is killed; another one loads it, does the shard again, and nothing differs."""
    torch_or_skip()
    path = run_with_model(tmp_path, classifier(tmp_path / "m", num_labels=1))
    run(path, tmp_path / "whole", "--workers", 1)
    options = ("--store", tmp_path / "killed", "--engine", "local", "--workers", 1, "--gpus", 1, "--json")
    process = start("run", path, *options, PYTHONPATH=str(tmp_path))
    store, deadline, killed = open_store(str(tmp_path / "killed")), time.monotonic() + 120, 0
    while process.poll() is None and time.monotonic() < deadline:
        if not killed and (found := _model_workers(process.pid)):
            killed = found[0]
            os.kill(killed, signal.SIGKILL)
            n_done = len(list(store.list("annotations/transformer")))
        time.sleep(0.02)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert killed and n_done < 6
    assert digests(tmp_path / "whole", "tiny") == digests(tmp_path / "killed", "tiny")


def _model_workers(driver: int) -> list[int]:
    """Workers that have loaded PyTorch."""
    found = []
    for child in psutil.Process(driver).children(recursive=True):
        try:
            found += [child.pid] if any("libtorch_cpu" in m.path for m in child.memory_maps()) else []
        except psutil.Error:
            continue
    return found


@pytest.mark.parametrize(
    "code", ["import pipeline, pipeline.cli", "from pipeline.cli import main; main(['--help'])"]
)
def test_help_imports_no_torch(code: str) -> None:
    """Neither the library nor the help of the command imports PyTorch, transformers or Ray."""
    check = (
        "import sys, atexit\n"
        "atexit.register(lambda: print(sorted({'torch', 'transformers', 'ray'} & set(sys.modules))))\n" + code
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        [sys.executable, "-c", check], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert ended.stdout.splitlines()[-1] == "[]", ended.stderr


def test_a_missing_extra_is_one_line(tmp_path: Path) -> None:
    """Where PyTorch is not installed, a run that needs it stops with the command that installs it."""
    code = (
        "import sys\nimport importlib.util as u\nfind = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'torch' else find(name, *a)\n"
        "from pipeline.cli import main\nmain(sys.argv[1:])"
    )
    path, environment = run_with_model(tmp_path, tmp_path), os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    ended = subprocess.run(
        [sys.executable, "-c", code, "plan", str(path), "--store", str(tmp_path / "s")], cwd=ROOT, env=environment,
        capture_output=True, text=True,
    )  # fmt: skip
    assert ended.returncode == 2 and ended.stderr.count("\n") == 1
    needs = "classifiers.transformer needs 'torch', which is not installed: pip install 'bicorpus[models]'"
    assert needs in ended.stderr
