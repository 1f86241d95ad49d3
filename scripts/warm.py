"""Compile all kernels used by a run file into NUMBA_CACHE_DIR.

With an empty cache, every worker compiles the same kernels. This builds a corpus of six tiny documents with the steps
of the run file in a temporary store and discards the result. A second process applies the stages that need only text,
the last one first, so that the first process finds their kernels in the cache when it reaches them.

Example: NUMBA_CACHE_DIR=.numba_cache python -m scripts.warm configs/quickstart.yaml
"""

from __future__ import annotations

import argparse
import gc
import json
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from pipeline.build.build import Build
from pipeline.config.load import load_run
from pipeline.config.run_sets import with_set
from pipeline.planning.session import Session
from pipeline.runtime.engines import SerialEngine
from pipeline.runtime.progress import Progress
from pipeline.storage.store import open_store

ZH = "春天来了，小河边的柳树发出了新芽，孩子们在草地上放风筝，老人坐在长椅上晒太阳，谈论着去年冬天的大雪。"
EN = "Spring has come, and the willows by the river are green again; children fly kites on the grass all day."
TEXTS = (
    ZH * 3,
    f"{ZH * 3}天气很好。",
    EN * 3,
    f"{EN * 3} It is warm.",
    f"{ZH}\n{EN}\n\n分享到微信\n",
    "1 2 3",
)
"""Near duplicates in both languages, a mixed page with a boilerplate line, and a document of digits."""


def with_sources(run_path: str, folder: str, sources: list[dict[str, Any]], **sections: Any) -> str:
    """Write a copy of a run file with other sources and with `sections` replaced; returns its path.

    Derived sources are kept, and relative paths in step configs become absolute. Any: YAML values of a run file.
    """
    document, _ = with_set(yaml.safe_load(Path(run_path).read_text(encoding="utf-8")), run_path)
    path = Path(folder, Path(run_path).name)
    derived = [{**s, "of": None} for s in document["sources"] if "derive" in s]
    document |= {"sources": [*sources, *derived], **sections}
    for step in (*document.get("annotate", []), *document.get("global", [])):
        if isinstance(step, dict) and "config" in step:
            step["config"] = {
                key: _absolute(value, Path(run_path).parent) for key, value in step["config"].items()
            }
    path.write_text(yaml.safe_dump(document, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return str(path)


def _absolute(value: Any, folder: Path) -> Any:
    """A setting with paths of existing files, relative to `folder`, made absolute; Any: YAML values."""
    if isinstance(value, list):
        return [_absolute(item, folder) for item in value]
    is_file = isinstance(value, str) and value and (folder / value).is_file()
    return str((folder / value).resolve()) if is_file else value


def annotate_texts(run_path: str) -> None:
    """Apply the stages of a run file that need nothing but text to TEXTS, in this process, the last one first."""
    table = pa.table({"text": pa.array(TEXTS, pa.large_string())})
    for step in reversed(load_run(run_path).annotate):
        if set(step.reads()) - set(step.definition.optional.names) == {"text"}:
            step.definition.load(step.config)(table)


def build(run_path: str) -> None:
    """Run all steps of a run file on TEXTS, in this process."""
    with tempfile.TemporaryDirectory(prefix="bicorpus-warm-") as folder:
        documents = Path(folder, "documents.jsonl")
        documents.write_text("\n".join(json.dumps({"text": text}) for text in TEXTS), encoding="utf-8")
        sources = [{"name": "warm", "reader": "stages.readers.jsonl", "files": str(documents)}]
        run = load_run(with_sources(run_path, folder, sources, select=[], mix={}, tokens={}, ingest={}))
        Build(Session(run, open_store(f"{folder}/store"), SerialEngine(), Progress(quiet=True))).run()


def collect_rarely() -> None:
    """Let the garbage collector run rarely: it takes a tenth of the time of the compiler, whose objects live long."""
    gc.set_threshold(200_000, 20, 100)


def warm(run_path: str) -> None:
    """Compile all kernels used by a run file."""
    collect_rarely()
    with ProcessPoolExecutor(1, get_context("spawn"), collect_rarely) as pool:
        beside = pool.submit(annotate_texts, run_path)
        build(run_path)
        beside.result()


def main() -> None:
    """Read the command line and compile."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("run_path", metavar="RUN.yaml", help="run file whose kernels to compile")
    warm(parser.parse_args().run_path)


if __name__ == "__main__":
    main()
