"""examples/: the commands of each README run as written and print what it shows."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.config.load import load_run
from pipeline.scaffold.draft import write_draft
from tests.helpers.paths import ROOT, SAMPLE

EXAMPLES = ROOT / "examples"
NAMES = sorted(path.parent.name for path in EXAMPLES.glob("*/README.md"))
BLOCK = re.compile(r"```bash\n(?P<commands>.*?)```(?:\n\n```text\n(?P<shown>.*?)```)?", re.S)
SECONDS = 400


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with copies of examples/ and sample/, and with `bicorpus` and `python` of this environment in bin/."""
    folder = tmp_path_factory.mktemp("examples")
    for name in ("examples", "sample"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("store", "__pycache__"))
    (folder / "bin").mkdir()
    for name, options in (
        ("python", ""),
        ("bicorpus", "-P -m pipeline"),
    ):  # -P: not from the working directory
        script = folder / "bin" / name
        paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        search = f'PYTHONPATH="${{PYTHONPATH:+$PYTHONPATH:}}{paths}"'
        script.write_text(f'#!/usr/bin/env bash\n{search} exec {sys.executable} {options} "$@"\n', "utf-8")
        script.chmod(0o755)
    return folder


def run_readme(copied: Path, name: str, only: int | None = None) -> None:
    """Run the commands of a README from the root, and compare each block's output with the lines shown below it.

    Args: only, number of the one block to run. A shown line `...` stands for any number of lines.
    """
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment["PATH"] = f"{copied / 'bin'}{os.pathsep}{environment['PATH']}"
    environment["COLUMNS"] = "80"
    blocks = list(BLOCK.finditer((EXAMPLES / name / "README.md").read_text("utf-8")))
    assert blocks, name
    for block in blocks if only is None else [blocks[only]]:
        run = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block["commands"]], cwd=copied, env=environment,
            capture_output=True, text=True, timeout=SECONDS, check=False,
        )  # fmt: skip
        assert run.returncode == 0, f"{block['commands']}\n{run.stdout}\n{run.stderr}"
        if block["shown"] is not None:
            pattern = re.escape(block["shown"]).replace(re.escape("...\n"), "(?:.*\n)*?")
            assert re.fullmatch(pattern, run.stdout), f"{block['commands']}\n{run.stdout}"


@pytest.mark.parametrize("name", [name for name in NAMES if name != "pytorch-dataset"])
def test_the_commands_of_an_example_print_what_its_page_shows(copied: Path, name: str) -> None:
    """Every command of the README succeeds, and prints the lines shown below it."""
    if name == "polars-notebook":
        pytest.importorskip("polars")
    run_readme(copied, name)


def test_every_example_is_in_the_index() -> None:
    """examples/README.md links to each folder, and each has a README."""
    folders = sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir())
    index = (EXAMPLES / "README.md").read_text("utf-8")
    assert folders == NAMES
    assert sorted(set(re.findall(r"\]\(([\w-]+)/README\.md\)", index))) == NAMES


def plain(value: Any) -> Any:  # Any: parts of a run file
    """Dataclasses as dicts, and lists of labels in one order."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, (tuple, list)):
        return sorted(value) if all(isinstance(item, str) for item in value) else [plain(v) for v in value]
    return value


def test_the_run_file_for_wet_has_the_defaults_of_init(tmp_path: Path) -> None:
    """Its steps, rules, keepers and mix are those that `init` proposes for the same files, on one page."""
    path = EXAMPLES / "common-crawl-wet/run.yaml"
    files = sorted(str(file) for file in SAMPLE.glob("web_mixed-*.warc.wet.gz"))
    write_draft(files, str(tmp_path / "init.yaml"))
    example, proposed = load_run(path), load_run(tmp_path / "init.yaml")
    for section in ("ingest", "annotate", "globals", "select", "keep_one", "mix"):
        assert plain(getattr(example, section)) == plain(getattr(proposed, section)), section
    assert example.release.edits == proposed.release.edits
    assert len(path.read_text("utf-8").splitlines()) <= 50


def test_the_notebook_shows_what_it_prints(copied: Path) -> None:
    """The outputs stored in the notebook are those of the README."""
    notebook = json.loads((EXAMPLES / "polars-notebook/clean.ipynb").read_text("utf-8"))
    outputs = [out for cell in notebook["cells"] if cell["cell_type"] == "code" for out in cell["outputs"]]
    page = (EXAMPLES / "polars-notebook/README.md").read_text("utf-8")
    (block,) = BLOCK.finditer(page)
    assert "".join(line for out in outputs for line in out["text"]) == block["shown"]


# PyTorch


def test_the_pytorch_example_builds_what_it_trains_on(copied: Path) -> None:
    """The first commands of its README build a release and locate a step; the others train on it, with PyTorch."""
    run_readme(copied, "pytorch-dataset", 0)
    pytest.importorskip("torch", reason="PyTorch is not installed (the extra `feed`)")
    run_readme(copied, "pytorch-dataset", 1)


@pytest.mark.parametrize(
    "path", sorted([EXAMPLES / "README.md", *EXAMPLES.glob("*/README.md")]), ids=lambda path: path.parent.name
)
def test_links_resolve(path: Path) -> None:
    """Every link of a page to a file of the repository finds it."""
    for target in re.findall(r"\]\(([^)\s#]+)[^)\s]*\)", path.read_text("utf-8")):
        assert (path.parent / target).exists(), target
