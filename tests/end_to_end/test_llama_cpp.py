"""A service stage and a sheet against a real llama.cpp server: 50 documents, killed and resumed, none asked twice."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.helpers.llama_server import forward, llama, missing
from tests.helpers.llm_server import Reply, Server, serve
from tests.helpers.paths import ROOT, SAMPLE

pytest.importorskip("openai", reason="the extra llm is not installed")

pytestmark = [
    pytest.mark.skipif(
        bool(missing()), reason=f"a llama.cpp server needs {', '.join(missing())}: pip install them"
    ),
    pytest.mark.timeout(3000),
]

N_DOCUMENTS = 50
RUBRIC = {
    "version": 1, "title": {"en": "How useful is it to a learner?", "zh": "对学习者有多大用处？"},
    "properties": {
        "score": {"type": "integer", "en": "Usefulness", "zh": "用处", "choices": [
            {"name": 0, "en": "none", "zh": "没有"}, {"name": 1, "en": "some", "zh": "有一些"},
            {"name": 2, "en": "much", "zh": "很大"}]},
        "list": {"type": "boolean", "en": "Is it a list?", "zh": "是列表吗？"},
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """The llama.cpp server behind a door that counts."""
    with llama() as url:

        def script(n: int, body: dict[str, Any]) -> Reply:
            del n
            status, data = forward(url, body)
            return Reply(status=status, body=data)

        with serve(script) as door:
            yield door


def write(folder: Path, url: str) -> list[str]:
    """Write 50 documents of the sample, a run file and a servers file; returns the command."""
    texts = []
    for line in gzip.decompress((SAMPLE / "docs_zh-00.jsonl.gz").read_bytes()).splitlines():
        row = json.loads(line) if line.endswith(b"}") else {}  # the sample has broken lines
        text = row.get("content") or ""
        if len(text) > 200 and text[:150] not in texts:
            texts.append(text[:150])
    lines = [json.dumps({"id": str(i), "text": text}) + "\n" for i, text in enumerate(texts[:N_DOCUMENTS])]
    (folder / "docs.jsonl").write_text("".join(lines), encoding="utf-8")
    (folder / "rubric.yaml").write_text(yaml.safe_dump(RUBRIC, allow_unicode=True), encoding="utf-8")
    config = {"model": "gemma-3-270m", "rubric": "rubric.yaml", "max_tokens": 60}
    run = {
        "corpus": "llama",
        "sources": [{"name": "s", "reader": "stages.readers.jsonl", "files": "docs.jsonl", "license": "CC0-1.0"}],
        "annotate": ["classifiers.language", {"use": "classifiers.llm_label", "config": config}],
        "release": {"name": "r"},
    }  # fmt: skip
    (folder / "run.yaml").write_text(yaml.safe_dump(run), encoding="utf-8")
    servers = {"gemma-3-270m": {"base_url": url, "concurrency": 2, "read_s": 300}}
    (folder / "servers.yaml").write_text(yaml.safe_dump(servers), encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "pipeline",
        "run",
        str(folder / "run.yaml"),
        "--store",
        str(folder / "store"),
    ]
    return [*command, "--engine", "local", "--workers", "1", "--servers", str(folder / "servers.yaml")]


def test_fifty_documents_are_asked_about_once(server: Server, tmp_path: Path) -> None:
    """A run is killed after 15 requests; the next one asks about the others, and every answer fits the schema."""
    command = write(tmp_path, server.url)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, env=environment, start_new_session=True)
    deadline = time.monotonic() + 1500
    while len(server.asked) < 15 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    n_killed = len(server.asked)
    assert 15 <= n_killed < N_DOCUMENTS
    subprocess.run(command, env=environment, check=True)
    seen = Counter(json.dumps([a.body["messages"], a.body["seed"]]) for a in server.asked)
    n_again = sum(count - 1 for count in seen.values())
    assert n_again <= 2  # in flight when it was killed
    assert len({a.user for a in server.asked}) == N_DOCUMENTS
    subprocess.run(command, env=environment, check=True)
    assert len(server.asked) == sum(seen.values())
    (record,) = [
        path for path in (tmp_path / "store" / "runs").glob("*.json") if "gemma" in path.read_text("utf-8")
    ][-1:]
    usage = json.loads(record.read_text("utf-8"))["services"]["gemma-3-270m"]
    print(n_killed, n_again, len(server.asked), usage)
    assert usage["answered"] + usage["invalid"] == N_DOCUMENTS and usage["answered"] > N_DOCUMENTS // 2
    assert usage["input_tokens"] > 0 and usage["output_tokens"] > 0
