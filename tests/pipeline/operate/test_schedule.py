"""docs/schedule.md: its scripts run as written, its commands have the options that they use, its manifest parses."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pytest
import yaml

from pipeline.cli import main
from tests.helpers.build import cli, tiny, to_line, write_run
from tests.helpers.paths import ROOT

PAGE = (ROOT / "docs/schedule.md").read_text(encoding="utf-8")


def block(name: str) -> str:
    """The recipe that the page names, with its block after it."""
    found = re.search(rf"^`{re.escape(name)}`.*?\n```\w+\n(.*?)^```", PAGE, re.M | re.S)
    assert found, name
    return found[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run file, and `bicorpus` on a path of its own."""
    folder = tmp_path_factory.mktemp("site")
    write_run(folder, tiny(folder))
    (folder / "bin").mkdir()
    (folder / "var").mkdir()
    (folder / "bin/bicorpus").write_text(f'#!/bin/sh\nexec {sys.executable} -m pipeline "$@"\n')
    (folder / "bin/bicorpus").chmod(0o755)
    for name in ("nightly.sh", "submit.sh"):
        (folder / name).write_text(block(name))
        (folder / name).chmod(0o755)
    return folder


def night(site: Path) -> subprocess.CompletedProcess[str]:
    """The script for cron, as it would be called."""
    environment = {**os.environ, "PATH": f"{site / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    words = [str(site / "nightly.sh"), str(site / "run.yaml"), str(site / "store"), str(site / "var")]
    return subprocess.run(words, env=environment, capture_output=True, text=True, check=False, timeout=300)


def test_the_script_for_cron(site: Path) -> None:
    """It builds, does nothing the next time, and reports a run file that cannot be read."""
    done = night(site)
    assert done.returncode == 0, done.stderr
    first = json.loads((site / "var/last.json").read_text().splitlines()[-1])
    assert first["status"] == "done" and first["kept"] == 8
    assert "bicorpus_run_exit_code 0" in (site / "var/bicorpus.prom").read_text()
    assert night(site).returncode == 0
    assert json.loads((site / "var/last.json").read_text().splitlines()[-1]) == first
    with (site / "docs.jsonl").open("a") as file:
        file.write(to_line({"id": "new", "text": "A new document. 新文件。"}))
    (site / "run.yaml").rename(site / "away.yaml")
    assert night(site).returncode == 1
    (site / "away.yaml").rename(site / "run.yaml")


def commands() -> list[list[str]]:
    """Every command of the page, as words."""
    lines = PAGE.replace("\\\n", " ").splitlines()
    found = [
        m[0] for line in lines for m in re.finditer(r"bicorpus (?:plan|run|gc|submit|push) [^#>|]*", line)
    ]
    words = [
        shlex.split(re.sub(r"[`;].*", "", text).strip().rstrip("\\"), comments=True)
        for text in found
        if "…" not in text
    ]
    return [w for w in words if len(w) > 3]


def test_commands_have_the_options_that_the_page_uses() -> None:
    """Click accepts each command line of scripts, crontab and manifest."""
    assert len(commands()) >= 9
    for words in commands():
        command = main.commands[words[1]]
        options = {name for parameter in command.params for name in parameter.opts}
        used = {word for word in words[2:] if word.startswith("--")}
        assert used <= options | ({"--workers"} if words[1] == "submit" else set()), words
        assert isinstance(command, click.Command)


def test_the_manifest_is_a_ray_cron_job() -> None:
    """Its fields are those of the resource; the entry point is a command of this version."""
    page: dict[str, Any] = yaml.safe_load(block("raycronjob.yaml"))
    assert (page["apiVersion"], page["kind"]) == ("ray.io/v1", "RayCronJob")
    assert page["spec"].keys() == {"schedule", "jobTemplate"} and len(page["spec"]["schedule"].split()) == 5
    job = page["spec"]["jobTemplate"]
    assert shlex.split(job["entrypoint"])[:2] == ["bicorpus", "run"]
    groups = [job["rayClusterSpec"]["headGroupSpec"], *job["rayClusterSpec"]["workerGroupSpecs"]]
    assert all(group["template"]["spec"]["containers"] for group in groups)


def test_assets_of_dagster(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The asset builds the release with its numbers, the check passes, and the schedule targets it."""
    dagster = pytest.importorskip("dagster", reason="dagster is not installed")
    monkeypatch.setenv("DAGSTER_HOME", str(site))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("CORPUS_RUN", str(site / "run.yaml"))
    monkeypatch.setenv("CORPUS_STORE", str(site / "store"))
    module = ModuleType("dagster_assets")
    exec(compile(block("dagster_assets.py"), "dagster_assets.py", "exec"), module.__dict__)
    done = dagster.materialize([module.release, module.files_are_sound], raise_on_error=True)
    assert done.success
    (made,) = done.get_asset_materialization_events()
    assert made.materialization.metadata["kept"].value == 9
    assert all(check.passed for check in done.get_asset_check_evaluations())
    assert cli("plan", site / "run.yaml", "--store", site / "store", "--exit-code").code == 0
    assert module.nightly.cron_schedule == "30 2 * * *"
