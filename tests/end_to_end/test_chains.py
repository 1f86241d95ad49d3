"""Chains by a language model in a build: stopped by a budget, gone on with, released, replayed, erased."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner

from pipeline.cli import main
from tests.helpers.cot_server import EMAIL, FAULTS, PHONE, PLANTED, Script, document
from tests.helpers.llm_server import Asked, Server, serve

pytest.importorskip("openai", reason="the extra llm is not installed")

NAMES = list(FAULTS)
N = len(NAMES)
BUDGET = 40
SOLVED = f"例1 已知x+3=5，求x的值。\n解：因为x+3=5（不懂请打电话 {PHONE} 问老师），\n所以x=5-3=2。\n答：x=2。"
RUN: dict[str, Any] = {
    "corpus": "ferries",
    "sources": [
        {"name": "ferries", "reader": "stages.readers.jsonl", "files": "docs.jsonl", "license": "CC0-1.0",
         "provenance": "human"},
        {"name": "asked", "derive": "classifiers.cot_llm.documents"},
        {"name": "thought", "derive": "classifiers.cot_llm.documents", "config": {"layout": "document_think_answer"}},
        {"name": "solved", "derive": "stages.cot.documents", "of": ["ferries"]},
    ],
    "annotate": [
        "classifiers.language", "stages.pii", "stages.cot",
        {"use": "classifiers.cot_llm", "config": {"model": "m", "min_chars": 80, "paragraphs": False}},
        "stages.cot.questions",
    ],
    "global": [{"use": "stages.web.caps", "config": {"by": ["source", "questions.key"], "slice": "none"}}],
    "select": [{"name": "same_question", "caps.rank": {"max": 1}, "if_null": "keep"}],
    "release": {"name": "r", "edits": {"pii": "all"}, "replace": {"email": "<email>", "phone_cn": "<phone>"}},
}  # fmt: skip


class Corpus:
    """Documents, a run file and stores in a folder, and the commands on them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        texts = [
            *(document(i) for i in range(N)),
            f"{document(0)}\nMore about ferry line 0 in spring.",
            SOLVED,
        ]
        lines = [json.dumps({"id": str(i), "text": text}) + "\n" for i, text in enumerate(texts)]
        (folder / "docs.jsonl").write_text("".join(lines), "utf-8")
        (folder / "run.yaml").write_text(yaml.safe_dump(RUN), "utf-8")
        self.records: list[dict[str, Any]] = []
        self.asked: list[Asked] = []

    def run(self, server: Server | None, store: str = "store", **values: Any) -> dict[str, Any]:
        """Build; returns the record."""
        url = server.url if server else "http://127.0.0.1:9/v1"
        entry = {"base_url": url, "backoff_s": 0.01, "read_s": 2, "max_tries": 8, **values}
        (self.folder / "servers.yaml").write_text(yaml.safe_dump({"m": entry}), "utf-8")
        result = CliRunner().invoke(
            main, ["run", str(self.folder / "run.yaml"), "--store", str(self.folder / store), "--engine", "local",
                   "--workers", "1", "--json", "--servers", str(self.folder / "servers.yaml")],
        )  # fmt: skip
        assert result.exit_code == 0, result.output
        return dict(json.loads(result.stdout.splitlines()[-1]))

    def erase(self, *options: str) -> int:
        """Erase answers of the first store; returns how many."""
        arguments = [str(self.folder / "run.yaml"), "--store", str(self.folder / "store"), "--json", *options]
        result = CliRunner().invoke(main, ["requests", "erase", *arguments])
        assert result.exit_code == 0, result.output
        return sum(sum(counts.values()) for counts in json.loads(result.stdout).values())

    def digests(self, store: str) -> dict[str, str]:
        """Digests of what a build made of the answers."""
        root = self.folder / store
        files = [p for name in ("releases/r/data", "releases/r/cot", "releases/r/ledger", "annotations/cot_llm")
                 for p in (root / name).rglob("*.parquet")]  # fmt: skip
        return {str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}

    def rows(self, folder: str) -> list[dict[str, Any]]:
        """Rows of the Parquet files below a folder of the first store."""
        paths = sorted((self.folder / "store" / folder).rglob("*.parquet"))
        return [row for path in paths for row in pq.read_table(path).to_pylist()]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corpus]:
    """A corpus that was built with a small budget, then without one, at 60 requests per second."""
    corpus = Corpus(tmp_path_factory.mktemp("cot_llm"))
    with serve(Script()) as server:
        corpus.records.append(corpus.run(server, budget={"requests": BUDGET}, concurrency=4))
        corpus.records.append(corpus.run(server, requests_per_minute=3600))
        corpus.asked = list(server.asked)
    yield corpus


def test_nothing_is_asked_twice_and_the_rate_is_bounded(corpus: Corpus) -> None:
    """A spent budget leaves some documents open and others finished; the next run asks the rest alone, at its rate."""
    first, second = corpus.records
    assert first["services"]["m"]["requests"] == BUDGET and 0 < first["open"]["cot_llm"] < N
    assert not second["open"] and second["services"]["m"]["unanswered"] == 0
    sent = Counter(json.dumps([a.body["messages"], a.body["seed"]]) for a in corpus.asked)
    again = {key: n for key, n in sent.items() if n > 1}
    planted = sum(
        first["services"]["m"][name] + second["services"]["m"][name] for name in ("retries", "refused")
    )
    assert sum(n - 1 for n in again.values()) <= planted
    times = [a.at for a in corpus.asked[BUDGET:]]
    assert times[-1] - times[0] > 0.8 * (len(times) - 1) / 60


def test_every_document_has_a_chain_or_a_reason(corpus: Corpus) -> None:
    """What is wrong with an answer is in the sidecar, and only accepted chains become documents."""
    rows = [row for row in corpus.rows("annotations/cot_llm") if row["language"]]
    reasons = Counter(row["reason"] or "" for row in rows)
    assert reasons == Counter(FAULTS.values()) + Counter(["", "short"])


def test_of_the_same_question_one_is_kept(corpus: Corpus) -> None:
    """Two documents with the same question give one document of each layout."""
    rules = Counter((row["source"], row["rule"]) for row in corpus.rows("releases/r/ledger"))
    n_chains = Counter(FAULTS.values())[""]
    for source in ("asked", "thought"):
        assert (rules[source, None], rules[source, "same_question"]) == (n_chains, 1)


def test_chains_are_released_as_documents_and_rows(corpus: Corpus) -> None:
    """Derived documents have their layout, the parent's licence and LLM as provenance; `cot/` has a row for each."""
    data = {row["doc_id"]: row for row in corpus.rows("releases/r/data")}
    rows = corpus.rows("releases/r/cot")
    extractors = Counter(row["extractor"] for row in rows)
    assert extractors["classifiers.cot_llm"] == 2 * Counter(FAULTS.values())[""]
    assert extractors["stages.cot"] == 1
    assert all(
        len(row["step_kinds"]) == len(row["steps"]) and row["task"] and row["template"] for row in rows
    )
    for row in rows:
        released, parent = data[row["doc_id"]], data[row["parent_id"]]
        assert row["license"] == "CC0-1.0" and row["answer"] in released["text"]
        if row["extractor"] == "stages.cot":
            assert released["provenance"] == "human" and row["model"] is None
            continue
        assert released["provenance"] == "LLM" and parent["provenance"] == "human"
        assert (row["model"], row["seed"], row["kinds"]) == ("m", 1, ["generated"])
        assert row["prompt_version"] == "segment1.summary1.chain1.question1" and len(row["steps"]) == 3
        if released["source"] == "thought":
            assert released["text"].startswith(parent["text"].strip())
            assert released["text"].count("<think>") == 1


def test_a_replay_is_equal_byte_for_byte_and_asks_nothing(corpus: Corpus) -> None:
    """A new store with the answers of another one gives the same files without a server."""
    shutil.copytree(corpus.folder / "store" / "requests", corpus.folder / "replay" / "requests")
    record = corpus.run(None, "replay")
    assert record["services"]["m"]["requests"] == 0
    first, second = corpus.digests("store"), corpus.digests("replay")
    kept = {
        name: digest for name, digest in first.items() if name in second
    }  # the first has an open sidecar too
    assert second and kept == second


def test_verify_reads_answers_from_the_store(corpus: Corpus) -> None:
    """Decisions and texts are derived again from raw records with the stored chains."""
    result = CliRunner().invoke(
        main, ["verify", str(corpus.folder / "store" / "releases" / "r"), "--store", str(corpus.folder / "store"),
               "--run", str(corpus.folder / "run.yaml")],
    )  # fmt: skip
    assert result.exit_code == 0, result.output


def test_personal_data_is_nowhere_but_in_what_was_read(corpus: Corpus) -> None:
    """Values of documents are not sent; a value that the server wrote is in its answers until they are erased."""
    folder = corpus.folder / "store"
    sent = json.dumps([a.body for a in corpus.asked])
    assert EMAIL not in sent and PHONE not in sent

    def places(value: str) -> set[str]:
        found = set()
        for path in folder.rglob("*"):
            if path.is_file():
                raw = path.read_bytes()
                text = repr(pq.read_table(path).to_pylist()) if path.suffix == ".parquet" else ""
                if value.encode() in raw or value in text:
                    found.add(path.relative_to(folder).parts[0])
        return found

    assert places(EMAIL) | places(PHONE) <= {"shards"} and places(PLANTED) == {"requests"}
    assert corpus.erase("--text", PLANTED, "--dry-run") == 2 and places(PLANTED)
    assert corpus.erase("--text", PLANTED) == 2 and places(PLANTED) == set()
    doc_id = next(row["doc_id"] for row in corpus.rows("releases/r/data") if row["source"] == "ferries")
    n_answers = corpus.erase("--doc-id", doc_id, "--dry-run")
    assert corpus.erase("--doc-id", doc_id) == n_answers >= 4
