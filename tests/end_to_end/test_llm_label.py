"""A service stage in a build: asked once, frozen, stopped by a budget, killed, resumed, replayed without a server."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from pipeline.cli import main
from tests.helpers.llm_server import Reply, Server, error, serve
from tests.helpers.paths import ROOT

pytest.importorskip("openai", reason="the extra llm is not installed")

N_DOCUMENTS = 40
KEY = "sk-planted-0a1b2c3d4e5f"
RUBRIC = {
    "version": 1, "title": {"en": "Is it good?", "zh": "好不好？"},
    "properties": {
        "score": {"type": "integer", "minimum": 0, "maximum": 5, "en": "Value", "zh": "价值"},
        "topics": {"type": "array", "en": "Topics", "zh": "主题", "choices": [
            {"name": "sea", "en": "the sea", "zh": "海"}, {"name": "land", "en": "land", "zh": "陆地"}]},
    },
}  # fmt: skip
EN = (
    "Document {i}. The ferry leaves twice a day in summer, and nobody lives on the island any more in winter. "
    "Write to ferry.office@example.org for tickets."
)
ZH = (
    "第 {i} 篇。市图书馆昨天宣布，从下个月起延长开放时间，周末照旧，馆里因此增加了六名员工。"
    "来信请寄 library.desk@example.org 。"
)


def number_of(body: dict[str, Any]) -> int:
    """The number of the document of a request."""
    return int(
        "".join(c for c in body["messages"][-1]["content"].split("。")[0].split(".")[0] if c.isdigit())
    )


def label(n: int, body: dict[str, Any]) -> Reply:
    """A valid answer that depends on the document."""
    del n
    i = number_of(body)
    return Reply(json.dumps({"score": i % 6, "topics": ["sea", "sea"][: i % 3]}))


class Corpus:
    """A run file with its documents in a folder, and the commands on it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.store = folder, folder / "store"
        texts = [(ZH if i % 2 else EN).format(i=i) for i in range(N_DOCUMENTS)]
        for k in range(2):
            lines = [json.dumps({"id": str(i), "text": texts[i]}) + "\n" for i in range(k, N_DOCUMENTS, 2)]
            (folder / f"docs{k}.jsonl").write_text("".join(lines), encoding="utf-8")
        (folder / "rubric.yaml").write_text(yaml.safe_dump(RUBRIC, allow_unicode=True), encoding="utf-8")
        self.write({"model": "m", "rubric": "rubric.yaml", "max_tokens": 50})

    def write(self, config: dict[str, Any], **step: Any) -> None:
        """Write the run file."""
        run = {
            "corpus": "ask",
            "sources": [
                {"name": f"s{k}", "reader": "stages.readers.jsonl", "files": f"docs{k}.jsonl", "license": "CC0-1.0"}
                for k in range(2)
            ],
            "annotate": ["classifiers.language", {"use": "classifiers.llm_label", "config": config, **step}],
            "select": [{"name": "low", "llm_label.score": {"min": 2}, "if_null": "keep"}],
            "release": {"name": "r"},
        }  # fmt: skip
        (self.folder / "run.yaml").write_text(yaml.safe_dump(run), encoding="utf-8")

    def servers(self, server: Server, **values: Any) -> None:
        """Write the file of servers."""
        entry = {"base_url": server.url, "backoff_s": 0.01, "max_tries": 2, **values}
        (self.folder / "servers.yaml").write_text(yaml.safe_dump({"m": entry}), encoding="utf-8")

    def call(self, command: str, *options: str, servers: bool = True) -> Result:
        """Run a command of bicorpus."""
        arguments = [command, str(self.folder / "run.yaml"), "--store", str(self.store), *options]
        arguments += ["--servers", str(self.folder / "servers.yaml")] if servers else []
        return CliRunner().invoke(main, arguments)

    def run(self, servers: bool = True) -> dict[str, Any]:
        """Build; returns the record."""
        result = self.call("run", "--engine", "local", "--workers", "1", "--json", servers=servers)
        assert result.exit_code == 0, result.output
        return dict(json.loads(result.stdout.splitlines()[-1]))

    def rows(self) -> dict[int, dict[str, Any]]:
        """What was written about each document, by its number."""
        columns = "source_id,llm_label.score,llm_label.topics,llm_label.reason"
        target = self.folder / "rows.jsonl"
        result = self.call("export", "--columns", columns, "--to", str(target), servers=False)
        assert result.exit_code == 0, result.output
        rows = [json.loads(line) for line in target.read_text("utf-8").splitlines()]
        return {int(row["source_id"]): row for row in rows}

    def digest(self) -> dict[str, str]:
        """Digests of data, ledger and annotations."""
        files = [p for name in ("releases/r/data", "releases/r/ledger", "annotations/llm_label")
                 for p in (self.store / name).rglob("*.parquet")]  # fmt: skip
        return {str(p.relative_to(self.store)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    """A small corpus."""
    return Corpus(tmp_path)


def test_answers_become_columns_and_are_frozen(corpus: Corpus) -> None:
    """Each document is asked about once, in the language of its text; a rerun asks nothing, nor without cache."""
    with serve(label) as server:
        corpus.servers(server, price={"input": 10, "output": 20})
        record = corpus.run()
        assert len(server.asked) == N_DOCUMENTS
        usage = record["services"]["m"]
        assert (usage["requests"], usage["answered"]) == (N_DOCUMENTS, N_DOCUMENTS)
        assert usage["cost"] == pytest.approx(N_DOCUMENTS * (100 * 10 + 10 * 20) / 1e6)
        systems = Counter(a.body["messages"][0]["content"].partition("\n")[0][:2] for a in server.asked)
        assert systems == {"Yo": N_DOCUMENTS // 2, "你为": N_DOCUMENTS // 2}
        assert all("[email]" in a.user and "@example.org" not in a.user for a in server.asked)
        rows = corpus.rows()
        assert [rows[i]["llm_label.score"] for i in range(N_DOCUMENTS)] == [i % 6 for i in range(N_DOCUMENTS)]
        assert [rows[i]["llm_label.topics"] for i in range(3)] == [[], ["sea"], ["sea"]]
        assert {row["llm_label.reason"] for row in rows.values()} == {None}
        shutil.rmtree(corpus.store / "requests")
        corpus.run(servers=False)
        assert len(server.asked) == N_DOCUMENTS


def test_a_replay_is_equal_byte_for_byte_and_asks_nothing(corpus: Corpus) -> None:
    """A new store with the cache of another gives the same files; invalid answers and refusals are replayed too."""

    def script(n: int, body: dict[str, Any]) -> Reply:
        i = number_of(body)
        if i % 10 == 3:
            return Reply("I cannot say.")
        return error(400, "too long") if i % 10 == 7 else label(n, body)

    with serve(script) as server:
        corpus.servers(server)
        corpus.run()
        first, rows, n = corpus.digest(), corpus.rows(), len(server.asked)
    reasons = Counter(str(row["llm_label.reason"]) for row in rows.values())
    assert reasons == {"None": 32, "invalid: no JSON": 4, "refused: 400 too long": 4}
    assert n == N_DOCUMENTS + 4
    shutil.move(corpus.store, corpus.folder / "old")
    shutil.copytree(corpus.folder / "old" / "requests", corpus.store / "requests")
    corpus.run()  # the server is gone
    assert corpus.digest() == first


def test_a_budget_leaves_rows_open_and_a_later_run_goes_on(corpus: Corpus) -> None:
    """Rows without an answer have a reason, the release is made without them, and the next run asks for them alone."""
    with serve(label) as server:
        corpus.servers(server, budget={"requests": 25}, concurrency=3)
        record = corpus.run()
        assert len(server.asked) == 25 and record["open"] == {"llm_label": N_DOCUMENTS - 25}
        reasons = Counter(str(row["llm_label.reason"]) for row in corpus.rows().values())
        assert reasons == {"None": 25, "budget: 25 requests": N_DOCUMENTS - 25}
        kept = record["kept"]
        planned = json.loads(corpus.call("plan", "--json").stdout)
        asks = planned["asks"]["llm_label"]["usage"]
        assert asks["requests"] == N_DOCUMENTS - 25 and asks["cached"] >= 1
        record = corpus.run()
        assert len(server.asked) == N_DOCUMENTS and not record["open"]
        assert record["kept"] < kept  # open rows were kept, and the release was made again
        assert {row["llm_label.reason"] for row in corpus.rows().values()} == {None}
        assert corpus.run()["tasks"]["annotate"] == 0


def test_a_plan_estimates_before_anything_is_asked(corpus: Corpus) -> None:
    """Requests, tokens and cost are estimated from the documents outside the cache; a gate counts where it is known."""
    with serve(label) as server:
        corpus.servers(server, price={"input": 1000, "output": 1000}, budget={"requests": 0})
        corpus.run()
        corpus.write(
            {"model": "m", "rubric": "rubric.yaml", "max_tokens": 50},
            gate={"language.han_share": {"max": 0.2}},
        )
        asks = json.loads(corpus.call("plan", "--json").stdout)["asks"]["llm_label"]
        usage = asks["usage"]
        assert (asks["documents"], asks["is_most"], usage["requests"]) == (
            N_DOCUMENTS,
            False,
            N_DOCUMENTS // 2,
        )
        assert usage["output_tokens"] == 50 * N_DOCUMENTS // 2 and usage["cost"] > 1
        assert "20 requests" in corpus.call("plan").stdout
        assert "--servers" in corpus.call("plan", servers=False).stdout
        assert not server.asked


def test_what_is_missing_stops_before_any_work(corpus: Corpus) -> None:
    """No servers, no key, or a key in the file: one line, and nothing is ingested."""
    for text, servers in (("--servers", False), ("NO_SUCH_KEY", True), ("environment", True)):
        with serve(label) as server:
            corpus.servers(
                server, **({"api_key": KEY} if text == "environment" else {"key_variable": "NO_SUCH_KEY"})
            )
        result = corpus.call("run", "--engine", "local", "--workers", "1", servers=servers)
        assert result.exit_code == 2 and text in result.stderr and KEY not in result.output
        assert not (corpus.store / "annotations").exists()


def test_a_lost_server_ends_the_run_and_keeps_what_it_answered(corpus: Corpus) -> None:
    """A server that fails for good is an error; the next run goes on."""
    is_down = [True]

    def script(n: int, body: dict[str, Any]) -> Reply:
        return error(500, "down") if is_down[0] and n >= 10 else label(n, body)

    with serve(script) as server:
        corpus.servers(server, concurrency=2)
        result = corpus.call("run", "--engine", "local", "--workers", "1")
        assert result.exit_code == 1 and "500 down" in result.stderr
        is_down[0] = False
        corpus.run()
        seen = Counter(a.user for a in server.asked)
        assert len(seen) == N_DOCUMENTS and len(server.asked) <= N_DOCUMENTS + 2 * 8


def test_a_killed_run_asks_nothing_twice(corpus: Corpus) -> None:
    """A run killed in the middle loses the requests in flight; the key is on no command line and in no file."""

    def slow(n: int, body: dict[str, Any]) -> Reply:
        reply = label(n, body)
        reply.stall_s = 0.2
        return reply

    with serve(slow) as server:
        corpus.servers(server, concurrency=2, key_variable="PLANTED")
        command = [
            sys.executable,
            "-m",
            "pipeline",
            "run",
            str(corpus.folder / "run.yaml"),
            "--engine",
            "local",
        ]
        command += [
            "--store",
            str(corpus.store),
            "--workers",
            "1",
            "--servers",
            str(corpus.folder / "servers.yaml"),
        ]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PLANTED": KEY}
        log = corpus.folder / "log.txt"
        with log.open("w") as stream:
            process = subprocess.Popen(
                command, env=environment, stdout=stream, stderr=stream, start_new_session=True
            )
        deadline = time.monotonic() + 120
        while len(server.asked) < 12 and time.monotonic() < deadline:
            time.sleep(0.02)
        line = Path(f"/proc/{process.pid}/cmdline").read_bytes()
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        n_killed = len(server.asked)
        assert 12 <= n_killed < N_DOCUMENTS
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        seen = Counter(a.user for a in server.asked)
        assert len(seen) == N_DOCUMENTS and len(server.asked) <= N_DOCUMENTS + 2
        assert server.asked[0].headers["authorization"] == f"Bearer {KEY}"
    files = [path.read_bytes() for path in corpus.folder.rglob("*") if path.is_file()]
    assert not any(KEY.encode() in data for data in [*files, line, (done.stdout + done.stderr).encode()])
