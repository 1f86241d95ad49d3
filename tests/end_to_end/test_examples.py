"""examples/: the commands of each README run as written and print what it shows."""

from __future__ import annotations

import dataclasses
import importlib.util
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline.config.load import load_run
from pipeline.inspect.locate import locate_documents as locate
from pipeline.scaffold.draft import write_draft
from pipeline.storage.store import open_store
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


@pytest.fixture(scope="module")
def trained_on(copied: Path) -> Path:
    """The release of the PyTorch example, built by the first commands of its README."""
    run_readme(copied, "pytorch-dataset", 0)
    return copied / "examples/pytorch-dataset/store/releases/v1"


@pytest.fixture(scope="module")
def reading() -> ModuleType:
    """The example's module without PyTorch."""
    spec = importlib.util.spec_from_file_location("reading", EXAMPLES / "pytorch-dataset/reading.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def consumed(
    reading: ModuleType, n_items: int, start: int, world: int, workers: int, batch: int
) -> Iterator[list[int]]:
    """Positions of each step, of all ranks together, as DataLoaders with these workers hand them out."""
    ranks = []
    for rank in range(world):
        positions = reading.share(n_items, start, rank, world)
        read = [list(reading.of_worker(positions, batch, worker, workers)) for worker in range(workers)]
        batches = [[items[i : i + batch] for i in range(0, len(items), batch)] for items in read]
        in_turn = itertools.chain.from_iterable(itertools.zip_longest(*batches, fillvalue=[]))
        ranks.append([b for b in in_turn if b])
    for step in zip(*ranks, strict=True):  # strict: all ranks take the same number of steps
        yield [position for batch_of_rank in step for position in batch_of_rank]


@pytest.mark.parametrize(
    ("world", "workers", "batch"), [(1, 1, 1), (1, 3, 4), (2, 2, 3), (5, 4, 2), (3, 1, 7)]
)
def test_ranks_and_workers_read_a_prefix_of_the_order(
    reading: ModuleType, world: int, workers: int, batch: int
) -> None:
    """After each step the ranks have read the positions from `start` on, each once, up to the last incomplete round."""
    for n_items, start in ((97, 0), (97, 20), (60, 0)):
        seen: list[int] = []
        for step in consumed(reading, n_items, start, world, workers, batch):
            assert sorted(step) == list(range(start + len(seen), start + len(seen) + len(step)))
            seen += step
        assert len(seen) == (n_items - start) // world * world


def test_texts_come_in_training_order(trained_on: Path, reading: ModuleType) -> None:
    """Texts of all positions are the rows of the mix in order, and reading may begin anywhere."""
    order = pq.read_table(trained_on / "orders/zh50.parquet")["doc_id"].to_pylist()
    texts = reading.Texts(trained_on, "zh50")
    assert len(texts.paths) > 1 and len(texts) == len(order)
    rows = list(texts.read(iter(range(len(texts)))))
    assert [row["doc_id"] for row in rows] == order
    assert list(texts.read(iter(range(5, len(texts), 7)))) == rows[5::7]


def test_sequences_are_those_that_locate_counts(trained_on: Path, reading: ModuleType) -> None:
    """Sequences are consecutive tokens of the files, and their documents those of `bicorpus locate`."""
    length = 300
    tokens = reading.Tokens(trained_on, "zh50", length)
    files = [np.fromfile(path, "<u2") for path in tokens.paths]
    assert len(files) > 1
    rows = list(tokens.read(iter(range(len(tokens)))))
    read = np.concatenate([row["tokens"] for row in rows])
    assert np.array_equal(read, np.concatenate(files)[: len(tokens) * length])
    order = pq.read_table(trained_on / "orders/zh50.parquet")["doc_id"].to_pylist()
    release = open_store(str(trained_on))
    for position in (0, len(tokens) // 2, len(tokens) - 1):
        located = locate(release, "zh50", position * length, (position + 1) * length)
        documents = np.unique(rows[position]["documents"])
        assert [order[number] for number in documents] == [row["doc_id"] for row in located]


def test_pytorch_reads_the_release(copied: Path, trained_on: Path) -> None:
    """The second block of commands reads it with several ranks and workers, and resumes."""
    pytest.importorskip("torch", reason="PyTorch is not installed (pip install torch); it is no dependency")
    run_readme(copied, "pytorch-dataset", 1)


@pytest.mark.parametrize(
    "path", sorted([EXAMPLES / "README.md", *EXAMPLES.glob("*/README.md")]), ids=lambda path: path.parent.name
)
def test_links_resolve(path: Path) -> None:
    """Every link of a page to a file of the repository finds it."""
    for target in re.findall(r"\]\(([^)\s#]+)[^)\s]*\)", path.read_text("utf-8")):
        assert (path.parent / target).exists(), target
