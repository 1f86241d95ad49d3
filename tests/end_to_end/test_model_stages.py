"""Stages that run models, in whole runs: workers of their own, killed workers, gates, plan, and runs without them."""

from __future__ import annotations

import json
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
from tests.helpers.build import cli, command, digests, reference, small_page, start
from tests.helpers.paths import ROOT
from tests.helpers.torch_models import classifier, torch_or_skip


def page_with_model(model: Path, **more: Any) -> dict[str, Any]:  # Any: sections of a run file
    """The small run file with a model's scores and a rule that reads them."""
    entry = {"use": "classifiers.transformer", "config": {"models": {"edu": str(model)}, **more}}
    page = small_page()
    page["annotate"] = [*page["annotate"], entry]
    page["select"] = [*page["select"], {"name": "poor", "transformer.edu": {"min": 0.0}, "action": "flag"}]
    return page


def run(path: Path, store: Path, *options: Any) -> dict[str, Any]:  # Any: JSON
    """Run a run file; returns its record."""
    return dict(command("run", path, "--store", store, "--json", "--quiet", *options).ok().json)


def test_models_have_workers_of_their_own(tmp_path: Path) -> None:
    """With --gpus, other workers run models while CPU stages go on; the release has the same bytes without them."""
    torch_or_skip()
    done = reference()
    path = done.variant(page_with_model(classifier(tmp_path / "m", num_labels=1)))
    plan = json.loads(cli("plan", path, "--store", tmp_path / "a", "--json").ok().out)
    assert plan["models"] == {} and plan["ingest"]  # shards of new inputs are planned once they are ingested
    one = run(path, tmp_path / "a", "--engine", "local", "--workers", 1, "--gpus", 0)
    two = run(path, tmp_path / "b", "--engine", "local", "--workers", 2, "--gpus", 1, "--gpu-share", 0.5)
    assert one["kept"] == two["kept"]
    assert one["devices"] == {"transformer": "CPU"} and one["wall_s"]["transformer"] > 0
    assert digests(tmp_path / "a") == digests(tmp_path / "b")


def test_a_killed_model_worker_loses_one_shard(tmp_path: Path) -> None:
    """The worker that runs the model is killed; another one loads it, does the shard again, and nothing differs."""
    torch_or_skip()
    done = reference()
    path = done.variant(page_with_model(classifier(tmp_path / "m", num_labels=1)))
    run(path, tmp_path / "whole", "--engine", "local", "--workers", 2)
    process = start(
        "run",
        path,
        "--store",
        tmp_path / "killed",
        "--engine",
        "local",
        "--workers",
        1,
        "--gpus",
        1,
        "--json",
    )
    store, deadline, killed = open_store(str(tmp_path / "killed")), time.monotonic() + 120, 0
    while process.poll() is None and time.monotonic() < deadline:
        if not killed and list(store.list("annotations/transformer")):
            for child in psutil.Process(process.pid).children(recursive=True):
                if _has_torch(child):
                    os.kill(child.pid, signal.SIGKILL)
                    killed = child.pid
        time.sleep(0.01)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert killed and digests(tmp_path / "whole") == digests(tmp_path / "killed")


def _has_torch(process: psutil.Process) -> bool:
    try:
        return any("libtorch" in m.path for m in process.memory_maps())
    except psutil.Error:
        return False


@pytest.mark.parametrize(
    "code", ["import pipeline, pipeline.cli", "from pipeline.cli import main; main(['--help'])"]
)
def test_help_imports_no_torch(code: str) -> None:
    """Neither the library nor the help of the command imports PyTorch, transformers or Ray."""
    check = f"import sys, atexit\natexit.register(lambda: print(sorted({{'torch', 'transformers', 'ray'}} & set(sys.modules))))\n{code}"
    ended = subprocess.run([sys.executable, "-c", check], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)},
                           capture_output=True, text=True)  # fmt: skip
    assert ended.stdout.splitlines()[-1] == "[]", ended.stderr


def test_a_missing_extra_is_one_line(tmp_path: Path) -> None:
    """Where PyTorch is not installed, a run that needs it stops with the command that installs it."""
    code = (
        "import sys\nimport importlib.util as u\nfind = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'torch' else find(name, *a)\n"
        "from pipeline.cli import main\nmain(sys.argv[1:])"
    )
    path = reference().variant(page_with_model(tmp_path))
    ended = subprocess.run([sys.executable, "-c", code, "plan", str(path), "--store", str(tmp_path / "s")], cwd=ROOT,
                           env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)  # fmt: skip
    assert ended.returncode == 2 and ended.stderr.count("\n") == 1
    assert (
        "classifiers.transformer needs 'torch', which is not installed: pip install 'bicorpus[models]'"
        in ended.stderr
    )
