"""The life of a corpus as one story: `run` does what `plan` predicts, `diff` names changes, scratch builds agree."""

from __future__ import annotations

import copy
import json
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.storage.lease import hold
from pipeline.storage.store import open_store
from tests.helpers.build import Ended, build, cli, digests, ledger, tiny, to_line, write_run

Page = dict[str, Any]  # a run file

WORDS = (
    "library",
    "river",
    "market",
    "window",
    "harvest",
    "bridge",
    "winter",
    "teacher",
    "图书馆",
    "河流",
    "冬天",
    "老师",
)

STAGE = """
from dataclasses import dataclass
import pyarrow as pa
from pathlib import Path
from pipeline.stage import Stage, bind
SCHEMA = pa.schema({"score": pa.int32()})

@dataclass(frozen=True)
class Config:
    model: str = ""

def annotate(batch, config):
    word = Path(config.model).read_text().strip()
    return pa.table({"score": pa.array([t.count(word) for t in batch["text"].to_pylist()], pa.int32())}, schema=SCHEMA)

STAGE = Stage(name="liked", version=1, config=Config, reads=("text",), writes=SCHEMA, load=bind(annotate),
              files=("model",))
"""
"""A stage with a model: the word that it counts."""


def document(number: int) -> dict[str, Any]:
    """A document of its own words; each fifth is short."""
    words = [
        WORDS[(number * 7 + i * (number % 5 + 1)) % len(WORDS)] for i in range(3 if number % 5 == 0 else 12)
    ]
    return {"id": f"d{number}", "text": f"Number {number}: {' '.join(words)}."}


def write(path: Path, numbers: range) -> None:
    """Write documents to a file."""
    path.write_text("".join(to_line(document(n)) for n in numbers), encoding="utf-8")


class Corpus:
    """Inputs, a run file and a store that live through changes."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.store, self.n_scratch = folder, folder / "store", 0
        self.page: Page = tiny(folder, [document(n) for n in range(30)])
        self.page["sources"] = [
            {"name": name, "reader": "stages.readers.jsonl", "files": f"{name}/*.jsonl"}
            for name in ("docs", "web")
        ]
        for name, numbers in (("docs", range(30)), ("web", range(20, 60))):
            (folder / name).mkdir()
            write(folder / name / "0.jsonl", numbers)
        (folder / "word.txt").write_text("library\n")
        (folder / "liked.py").write_text(STAGE)
        self.page |= {
            "ingest": {"pack_bytes": 0},
            "annotate": ["stages.tokens", "stages.dedup.exact", "stages.minhash",
                         {"use": "liked", "config": {"model": "word.txt"}}],
            "global": ["stages.dedup.candidates", "stages.dedup"],
            "select": [{"name": "short", "tokens.n_tokens": {"min": 20}}, {"name": "dull", "liked.score": {"min": 1}}],
            "keep_one": {"of": "dedup"},
            "release": {"name": "live", "order": "input"},
        }  # fmt: skip

    @property
    def run_path(self) -> Path:
        """The run file as it is now."""
        return write_run(self.folder, self.page)

    def plan(self, *options: object) -> dict[str, Any]:
        """The plan."""
        return dict(cli("plan", self.run_path, "--store", self.store, "--json", *options).ok().json)

    def step(self, *options: object) -> dict[str, Any]:
        """Plan and run; the run did what was planned, verifies, and has the bytes of a build from scratch."""
        plan = self.plan(*options)
        expected = predicted(plan)
        release = self.store / "releases/live"
        if release.exists():
            shutil.copytree(release, self.folder / "before", dirs_exist_ok=False)
        record = build(self.run_path, self.store, *options)
        done = record["tasks"]
        assert {kind: n for kind, n in done.items() if kind != "release"} == expected
        assert bool(done["release"]) == (plan["release"] != "up to date")
        assert self.plan(*options)["empty"]
        cli("verify", release).ok()
        if not options:
            self.n_scratch += 1
            scratch = self.folder / f"scratch{self.n_scratch}"
            build(self.run_path, scratch)
            assert digests(scratch, "live") == digests(self.store, "live")
            shutil.rmtree(scratch)
        return record

    def diff(self) -> dict[str, Any]:
        """What changed since the step before."""
        found = cli("diff", self.folder / "before", self.store / "releases/live", "--json").ok().json
        shutil.rmtree(self.folder / "before")
        return dict(found)


def predicted(plan: dict[str, Any]) -> dict[str, int]:
    """Tasks of a plan, those of new inputs with one shard for each (the files of this test are small)."""
    waves = [phase for phase in plan["phases"] if phase["kind"] == "wave"]
    global_ = sum(phase["n_tasks"] for phase in plan["phases"] if phase["kind"] == "global")
    return {
        "ingest": len(plan["ingest"]), "derive": len(plan["derive"]),
        "annotate": sum(phase["n_tasks"] + len(plan["ingest"]) for phase in waves), "global": global_,
    }  # fmt: skip


@pytest.fixture(scope="module")
def corpus(
    tmp_path_factory: pytest.TempPathFactory,
) -> Any:  # Any: a Corpus, made under the path of its module
    """The corpus before its first build."""
    folder = tmp_path_factory.mktemp("story")
    sys.path.insert(0, str(folder))
    yield Corpus(folder)
    sys.path.remove(str(folder))
    sys.modules.pop("liked", None)


def test_the_story(corpus: Corpus) -> None:
    """Build, a new file, a threshold, another model, a document taken down, back again."""
    first = corpus.step()
    assert first["tasks"]["ingest"] == 2
    built = digests(corpus.store, "live")

    write(corpus.folder / "web" / "1.jsonl", range(60, 75))
    states = {one["source"]: one for one in corpus.plan()["sources"]}
    assert states["web"]["new"] == 1 and states["docs"]["new"] == 0 and states["web"]["age_s"] >= 0
    assert cli("plan", corpus.run_path, "--store", corpus.store, "--exit-code").code == 10
    added = corpus.step()
    assert (added["tasks"]["ingest"], added["tasks"]["annotate"]) == (1, 1)
    found = corpus.diff()
    new = {c["to"]: c["documents"] for c in found["changes"] if c["from"] == "not ingested"}
    assert sum(new.values()) == 15 and found["steps"] == []
    assert found["inputs"] == {"added": ["web/1.jsonl"], "removed": [], "changed": []}
    assert cli("plan", corpus.run_path, "--store", corpus.store, "--exit-code").code == 0

    corpus.page["select"][0]["tokens.n_tokens"]["min"] = 30
    moved = corpus.step()
    assert moved["text_tasks"] == 0 and moved["tasks"]["annotate"] == 0
    found = corpus.diff()
    assert {c["to"] for c in found["changes"]} <= {"short", "kept", "duplicate"} and found["changes"]
    assert found["rules"] == [
        {"rule": "short", "column": "tokens.n_tokens", "side": "min", "old": 20, "new": 30}
    ]

    (corpus.folder / "word.txt").write_text("river\n")
    upgraded = corpus.step()
    assert upgraded["tasks"]["annotate"] == 3 and upgraded["tasks"]["global"] <= 1
    found = corpus.diff()
    assert found["steps"] == ["liked"] and found["recipes"]["liked"] == ["model"]
    drift = {row["column"]: row for row in found["drift"] if row["language"] == "all"}
    assert drift["liked.score"]["psi"] > 0.1 > drift["tokens.n_tokens"]["psi"]

    write(corpus.folder / "web" / "1.jsonl", range(60, 74))
    corpus.step()
    found = corpus.diff()
    assert [(c["from"], c["documents"]) for c in found["changes"] if c["to"] == "not ingested"] != []
    assert found["inputs"]["changed"] == ["web/1.jsonl"]
    assert "d74" not in {row["source_id"] for row in ledger(corpus.store, "live")}

    (corpus.folder / "web" / "1.jsonl").unlink()
    (corpus.folder / "word.txt").write_text("library\n")
    corpus.page["select"][0]["tokens.n_tokens"]["min"] = 20
    back = corpus.step()
    assert {kind: n for kind, n in back["tasks"].items() if kind != "release"} == dict.fromkeys(
        ("ingest", "derive", "annotate", "global"), 0
    )
    assert digests(corpus.store, "live") == built
    shutil.rmtree(corpus.folder / "before")


def test_only_what_is_named_is_taken_in(corpus: Corpus) -> None:
    """--only-source and --since leave other new and changed files as the store has them, and `plan` agrees."""
    for name in ("docs", "web"):
        write(corpus.folder / name / "2.jsonl", range(200, 210) if name == "docs" else range(210, 220))
    assert len(corpus.plan()["ingest"]) == 2
    record = corpus.step("--only-source", "docs")
    assert record["tasks"]["ingest"] == 1
    ids = {row["source_id"] for row in ledger(corpus.store, "live")}
    assert "d200" in ids and "d210" not in ids
    shutil.rmtree(corpus.folder / "before")
    assert corpus.plan("--since", "2100-01-01")["ingest"] == []
    assert len(corpus.plan("--since", "1d")["ingest"]) == 1
    write(corpus.folder / "web" / "0.jsonl", range(20, 61))
    held = corpus.plan("--only-source", "docs")
    assert held["empty"] and {s["source"]: s["changed"] for s in held["sources"]} == {"docs": 0, "web": 1}
    for options, text in (
        (("--only-source", "wbe"), "did you mean"), (("--since", "soon"), "36h"),
    ):  # fmt: skip
        ended = cli("plan", corpus.run_path, "--store", corpus.store, *options)
        assert ended.code == 2 and text in ended.err
    assert cli("plan", corpus.run_path, "--store", corpus.store, "--max-age", "1m").code == 0
    corpus.page["ingest"]["shard_bytes"] = "1MiB"
    ended = cli("plan", corpus.run_path, "--store", corpus.store, "--only-source", "docs")
    assert ended.code == 2 and "changed and is to be left" in ended.err
    del corpus.page["ingest"]["shard_bytes"]


def run(corpus: Corpus, *options: object) -> Ended:
    """The command `run` as a scheduler calls it."""
    return cli("run", corpus.run_path, "--store", corpus.store, "--engine", "local", "--workers", 1, *options)


def test_the_end_of_a_run_is_told(corpus: Corpus) -> None:
    """Commands get the result without a shell, metrics parse, the log has the run's id, failures print a JSON line."""
    told, metrics, log = (corpus.folder / name for name in ("told.json", "run.prom", "run.log"))
    (corpus.folder / "tell.py").write_text(
        "import json, os, sys\n"
        f"told = [os.environ['BICORPUS_EXIT'], json.load(sys.stdin), sys.argv]\n"
        f"open({str(told)!r}, 'a').write(json.dumps(told) + '\\n')\n"
        "sys.exit(int(sys.argv[2]) if len(sys.argv) > 2 else 0)\n"
    )
    tell = f"{sys.executable} {corpus.folder / 'tell.py'}"
    done = run(
        corpus,
        "--on-finish",
        f"{tell} '$(touch {corpus.folder}/owned)'",
        "--metrics",
        metrics,
        "--log",
        log,
        "--json",
    )
    record = done.ok().json
    code, result, words = json.loads(told.read_text().splitlines()[-1])
    assert code == "0" and result["id"] == record["id"] and result["exit"] == 0
    assert words[1] == f"$(touch {corpus.folder}/owned)" and not (corpus.folder / "owned").exists()
    events = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert {event["event"] for event in events} >= {"start", "end", "said", "finished"}
    assert {event["run"] for event in events if event["event"] in ("end", "finished")} == {record["id"]}
    assert_metrics(metrics, {"bicorpus_run_exit_code": 0, "bicorpus_run_documents": record["kept"]})
    page = copy.deepcopy(corpus.page)
    corpus.page["annotate"].append("no.such_stage")
    failed = run(corpus, "--on-finish", tell, "--on-failure", f"{tell} x", "--metrics", metrics, "--json")
    line = json.loads(failed.out.strip().splitlines()[-1])
    assert failed.code == line["exit"] == 2 and "no.such_stage" in line["error"]
    assert json.loads(told.read_text().splitlines()[-1])[0] == "2"
    assert_metrics(metrics, {"bicorpus_run_exit_code": 2})
    corpus.page = page
    after = run(corpus, "--on-finish", f"{tell} x 3")
    assert after.code == 1 and "exit code 3" in after.err
    assert run(corpus, "--on-finish", "no-such-program x").code == 2


def assert_metrics(path: Path, expected: dict[str, float]) -> None:
    """The file is OpenMetrics, by the reference parser where it is installed, and has these values among its own."""
    text = path.read_text(encoding="utf-8")
    assert text.endswith("# EOF\n")
    try:
        from prometheus_client.openmetrics import parser
    except ImportError:
        parser = None
    samples: dict[str, set[float]] = {}
    if parser is not None:
        for family in parser.text_string_to_metric_families(text):
            for sample in family.samples:
                samples.setdefault(sample.name, set()).add(sample.value)
    else:
        for line in text.splitlines():
            if not line.startswith("#"):
                name = line.partition("{")[0].partition(" ")[0]
                samples.setdefault(name, set()).add(float(line.rpartition(" ")[2]))
    for name, value in expected.items():
        assert value in samples[name]


def test_two_runs_of_one_name(corpus: Corpus) -> None:
    """While a run moves a name, a second one that does not wait exits with 75 before it has done anything."""
    store = open_store(corpus.store)
    records = len(list(store.list("runs")))
    with hold(store, "release-live"):
        ended = run(corpus, "--no-wait", "--json")
        assert ended.code == 75 and json.loads(ended.out.strip().splitlines()[-1])["exit"] == 75
        gc = cli("gc", corpus.run_path, "--store", corpus.store)
        assert gc.code == 75 and "in progress" in gc.err
    assert run(corpus, "--no-wait").code == 0
    assert len(list(store.list("runs"))) - records <= 2
    assert not [key for key, _ in store.list("leases") if key.startswith("leases/run-")]


def test_a_run_that_lost_its_lease_changes_nothing(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is stopped past its lease while another one commits leaves that one's release as it is."""
    theirs = copy.deepcopy(corpus.page)
    corpus.page["select"][0]["tokens.n_tokens"]["min"] = 25
    late_path = write_run(corpus.folder, corpus.page, "late.yaml")
    corpus.page = theirs
    theirs["select"][0]["tokens.n_tokens"]["min"] = 28
    mine = digests(corpus.store, "live")

    from pipeline.release import run as release_run

    commit: Callable[..., None] = vars(release_run)["commit"]
    seen = {}

    def stopped(store: Any, key: str, data: dict[str, Any], lease: Any) -> None:
        """As if the process were stopped here for longer than its lease: the other run takes it and finishes."""
        lease._stop.set()
        lease._thread.join()
        record = json.loads(store.get(lease.key)) | {"expires": time.time() - 1}
        store.put(lease.key, json.dumps(record).encode())
        monkeypatch.setattr(release_run, "commit", commit)
        build(corpus.run_path, corpus.store)
        seen.update(digests(corpus.store, "live"))
        commit(store, key, data, lease)

    monkeypatch.setattr(release_run, "commit", stopped)
    options = ("--store", corpus.store, "--engine", "local", "--workers", 1)
    ended = cli("run", late_path, *options)
    assert ended.code == 75, ended.err
    assert digests(corpus.store, "live") == seen != mine
    cli("verify", corpus.store / "releases/live").ok()


def test_gc_deletes_what_no_run_file_uses(corpus: Corpus) -> None:
    """Listed first; then deleted; the release, a run and a build from scratch are as before; old results come back."""
    corpus.step()
    shutil.rmtree(corpus.folder / "before")
    before = digests(corpus.store, "live")
    for name in ("nightly-1", "nightly-2", "nightly-3"):
        cli("release", corpus.run_path, "--store", corpus.store, "--name", name, "--engine", "local").ok()
    options = (
        "gc",
        corpus.run_path,
        "--store",
        corpus.store,
        "--releases",
        "nightly-*",
        "--keep",
        1,
        "--keep-runs",
        2,
        "--json",
    )
    files = sorted(key for key, _ in open_store(corpus.store).list(""))
    listed = cli(*options).ok().json
    assert sorted(key for key, _ in open_store(corpus.store).list("")) == files
    reasons = {
        "annotations of other settings or versions", "dropped releases", "records of old runs",
        "shards of inputs that are not used", "sidecars of shards that are not used",
    }  # fmt: skip
    assert reasons <= listed["reasons"].keys()
    indexes = [key for key in files if key.startswith("index/")]
    assert {key.split("/")[1] for key in indexes} == {"candidates", "dedup"}
    deleted = cli(*options, "--delete").ok().json
    assert deleted["objects"] == listed["objects"] and deleted["bytes"] > 0
    assert (
        not (corpus.store / "releases/nightly-2").exists() and (corpus.store / "releases/nightly-3").exists()
    )
    assert cli(*options).ok().json["objects"] == 0
    assert set(indexes) <= {key for key, _ in open_store(corpus.store).list("")}
    assert corpus.plan()["empty"] and digests(corpus.store, "live") == before
    cli("scrub", corpus.store).ok()
    corpus.page["select"][0]["tokens.n_tokens"]["min"] = 20
    (corpus.folder / "word.txt").write_text("river\n")
    assert corpus.step()["tasks"]["annotate"] == 4
