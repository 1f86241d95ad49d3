"""Submitting a run as a job: what is uploaded, what the cluster runs, and what is refused before that."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from pipeline.errors import BicorpusError, UsageError
from pipeline.runtime.submit import Job, follow, job_client, submit
from tests.helpers.paths import ROOT


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    """A run file with a module and a list beside it, and data that is none of them."""
    for name in ("NUMBA_CACHE_DIR", "BICORPUS_LANG"):
        monkeypatch.delenv(name, raising=False)
    for name in ("run.yaml", "mine.py", "words.txt", "data.jsonl"):
        (tmp_path / name).write_text(name)
    (tmp_path / "large.json").write_bytes(b" " * (1 << 21))
    return Job(str(tmp_path / "run.yaml"), "s3://bucket/a b", ("--workers", "3"))


def test_what_is_uploaded(job: Job, tmp_path: Path) -> None:
    """The run file, modules and lists; no data."""
    (target := tmp_path / "upload").mkdir()
    job.gather(str(target))
    assert sorted(os.listdir(target)) == ["mine.py", "run.yaml", "words.txt"]


def test_the_command(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """Joins the cluster it runs on; variables are part of it, secrets are not."""
    expected = "bicorpus run run.yaml --store 's3://bucket/a b' --address auto --workers 3"
    assert job.command == expected
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/cache")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden")
    assert job.command == f"env NUMBA_CACHE_DIR=/cache {expected}"


def test_paths_of_this_machine_are_refused(job: Job) -> None:
    """Relative inputs and stores, which the cluster cannot read."""
    job.check(["s3://bucket/in/*.jsonl", "/mnt/in.jsonl"])
    with pytest.raises(UsageError, match=r"sources: in/a\.jsonl is relative"):
        job.check(["in/a.jsonl"])
    with pytest.raises(UsageError, match="--store: store is relative"):
        Job(job.run_path, "store").check([])


class Client:
    """Stands in the place of a job server, which tests that start Ray would need two minutes for."""

    def __init__(self, status: str, code: int | None) -> None:
        self.info = SimpleNamespace(status=SimpleNamespace(value=status), driver_exit_code=code)

    def submit_job(self, entrypoint: str, runtime_env: dict[str, str]) -> str:
        """Refuse."""
        raise RuntimeError(f"no room\nfor {entrypoint.split()[0]}")

    async def tail_job_logs(self, job_id: str):  # type: ignore[no-untyped-def]
        """Two pieces of output."""
        for text in (f"{job_id} a\n", "b\n"):
            yield text

    def get_job_info(self, job_id: str) -> SimpleNamespace:
        """The end of the job."""
        return self.info


@pytest.mark.parametrize(
    ("status", "code", "expected"), [("SUCCEEDED", 0, 0), ("FAILED", 3, 3), ("STOPPED", None, 1)]
)
def test_output_and_exit_code_are_passed_on(status: str, code: int | None, expected: int) -> None:
    """Of the command that ran on the cluster."""
    lines: list[str] = []
    assert follow(Client(status, code), "j1", lines.append) == expected
    assert lines == ["j1 a\n", "b\n"]


def test_refusals_are_one_line(job: Job, tmp_path: Path) -> None:
    """A cluster that takes no job, an address of no dashboard."""
    with pytest.raises(BicorpusError, match="does not take the job: no room for bicorpus"):
        submit(Client("", 0), job, str(tmp_path))
    pytest.importorskip("aiohttp", reason="needs the extra cluster: pip install 'bicorpus[cluster]'")
    with pytest.raises(UsageError, match="no dashboard answers"):
        job_client("http://127.0.0.1:9")
    with pytest.raises(UsageError, match="expected the dashboard"):
        job_client("ray://127.0.0.1:9")


def test_the_files_of_the_docs() -> None:
    """Kubernetes' and Ray's files are valid YAML with what their readers require, and run this command."""
    page = (ROOT / "docs" / "cluster.md").read_text("utf-8")
    job, cluster = (yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL))
    spec = job["spec"]["rayClusterSpec"]
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    assert (
        job["spec"]["entrypoint"].startswith("bicorpus run ")
        and "--address auto" in job["spec"]["entrypoint"]
    )
    for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
        (container,) = group["template"]["spec"]["containers"]
        assert container["image"] and container["resources"]["limits"]["memory"]
    assert cluster["head_node_type"] in cluster["available_node_types"]
    (script,) = re.findall(r"```bash\n(.*?)```", page, re.DOTALL)
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
