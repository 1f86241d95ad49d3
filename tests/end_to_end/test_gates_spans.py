"""Gates, null rules, views, trims and failing stages, with tiny stages that the tests write themselves."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.helpers.build import Ended, build, cli, ledger, texts, tiny, write_run

HEADER = """
from dataclasses import dataclass
import pyarrow as pa
from pipeline.schema import SPANS
from pipeline.stage import Stage, bind

@dataclass(frozen=True, kw_only=True)
class Config:
    word: str = "秘密"
"""

CHARS = """
SCHEMA = pa.schema({"n": pa.int32()})

def annotate(batch, config):
    return pa.table([pa.array([len(text) for text in batch["text"].to_pylist()], pa.int32())], schema=SCHEMA)

STAGE = Stage(name="chars", version=1, config=Config, reads=("text",), writes=SCHEMA, load=bind(annotate))
"""

WORDS = """
SCHEMA = pa.schema({"spans": SPANS, "n": pa.int32()})

def annotate(batch, config):
    rows = []
    for text in batch["text"].to_pylist():
        starts = [i for i in range(len(text)) if text.startswith(config.word, i)]
        rows.append([{"start": i, "end": i + len(config.word), "kind": "word"} for i in starts])
    counts = pa.array([len(row) for row in rows], pa.int32())
    return pa.table([pa.array(rows, SPANS), counts], schema=SCHEMA)

STAGE = Stage(name="words", version=1, config=Config, reads=("text",), writes=SCHEMA, load=bind(annotate))
"""

FRAIL = """
SCHEMA = pa.schema({"n": pa.int32()})

def annotate(batch, config):
    texts = batch["text"].to_pylist()
    if any(config.word in text for text in texts):
        raise ValueError("cannot bear " + config.word)
    return pa.table([pa.array([len(text) for text in texts], pa.int32())], schema=SCHEMA)

STAGE = Stage(name="frail", version=1, config=Config, reads=("text",), writes=SCHEMA, load=bind(annotate))
"""

LIAR = """
SCHEMA = pa.schema({"n": pa.int32()})

def annotate(batch, config):
    if config.word == "type":
        return pa.table({"n": pa.array([0] * len(batch), pa.int64())})
    if config.word == "span":
        return pa.table([pa.array([[{"start": 0, "end": 10**6, "kind": "x"}]] * len(batch), SPANS)], schema=SCHEMA)
    return pa.table([pa.array([0] * (len(batch) + 1), pa.int32())], schema=SCHEMA)

STAGE = Stage(name="liar", version=1, config=Config, reads=("text",), writes=SCHEMA, load=bind(annotate))
"""

ROWS = [
    {"id": "a", "text": "甲：秘密在这里，秘密也在那里。"},
    {"id": "b", "text": "乙：这里没有什么。"},
    {"id": "c", "text": "短"},
    {"id": "d", "text": "Emoji 🙂 before 秘密 and after 🙂."},
]

Write = Callable[..., None]


@pytest.fixture
def stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes stage modules where this process and its workers find them."""
    folder = tmp_path / "modules"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr("pipeline.annotate.wave._LOADED", {})

    def write(**sources: str) -> None:
        for name, code in sources.items():
            (folder / f"{name}.py").write_text(HEADER + code, encoding="utf-8")
            monkeypatch.delitem(sys.modules, name, raising=False)

    return write


def column(folder: Path, name: str) -> list[Any]:
    """Values of an annotation column, in document order."""
    stage, _, field = name.partition(".")
    (path,) = (folder / "store/annotations" / stage).glob("*/docs-*.parquet")
    return list(pq.read_table(path)[field].to_pylist())


def run(folder: Path, page: dict[str, Any]) -> Ended:
    """Run a page over `ROWS`."""
    return cli("run", write_run(folder, page), "--store", folder / "store", "--engine", "local", "--json")


def rules_of(folder: Path) -> list[str | None]:
    """The rule of each document, in document order."""
    return [row["rule"] for row in ledger(folder / "store", "tiny")]


def test_rows_outside_a_gate_are_null(tmp_path: Path, stages: Write) -> None:
    """A gated stage sees only the rows inside its gate; the others get null, and the rows stay aligned."""
    stages(t_chars=CHARS, t_words=WORDS)
    gate = {"use": "t_words", "gate": {"chars.n": {"min": 5}}}
    run(tmp_path, tiny(tmp_path, ROWS, annotate=["t_chars", gate])).ok()
    assert column(tmp_path, "words.n") == [2, 0, None, 1]
    assert column(tmp_path, "chars.n") == [len(row["text"]) for row in ROWS]


@pytest.mark.parametrize(("if_null", "third"), [("keep", None), ("drop", "silent")])
def test_a_null_means_what_the_rule_says(
    if_null: str, third: str | None, tmp_path: Path, stages: Write
) -> None:
    """A row outside the gate is kept or dropped by `if_null`; without it the run file is refused."""
    stages(t_chars=CHARS, t_words=WORDS)
    gate = {"use": "t_words", "gate": {"chars.n": {"min": 5}}}
    rule = {"name": "silent", "words.n": {"min": 1}, "if_null": if_null}
    run(tmp_path, tiny(tmp_path, ROWS, annotate=["t_chars", gate], select=[rule])).ok()
    assert rules_of(tmp_path) == [None, "silent", third, None]
    del rule["if_null"]
    assert run(tmp_path, tiny(tmp_path, ROWS, annotate=["t_chars", gate], select=[rule])).code == 2


def test_a_gate_nobody_passes(tmp_path: Path, stages: Write) -> None:
    """A gate that lets no row through gives nulls, of the stage's types."""
    stages(t_chars=CHARS, t_words=WORDS)
    gate = {"use": "t_words", "gate": {"chars.n": {"min": 1000}}}
    run(tmp_path, tiny(tmp_path, ROWS, annotate=["t_chars", gate])).ok()
    assert column(tmp_path, "words.n") == column(tmp_path, "words.spans") == [None] * 4


def test_a_view_shows_the_edited_text(tmp_path: Path, stages: Write) -> None:
    """A stage over a view reads text with those spans applied; the canonical text is unchanged."""
    stages(t_chars=CHARS, t_words=WORDS)
    views = [
        {"use": "t_chars", "as": "chars"},
        "t_words",
        {"use": "t_chars", "as": "seen", "view": ["words"]},
        {"use": "t_chars", "as": "released", "view": "release"},
    ]
    release = {"edits": {"words": ["word"]}, "replace": {"word": "<W>"}}
    run(tmp_path, tiny(tmp_path, ROWS, annotate=views, release=release)).ok()
    lengths = [len(row["text"]) for row in ROWS]
    n = column(tmp_path, "words.n")
    assert column(tmp_path, "chars.n") == lengths
    without = [row["text"].replace(" 秘密 ", " ").replace("秘密", "") for row in ROWS]  # one blank is left
    assert column(tmp_path, "seen.n") == [len(text) for text in without]
    assert column(tmp_path, "released.n") == [length + k for length, k in zip(lengths, n, strict=True)]
    released = sorted(texts(tmp_path / "store", "tiny").values())
    assert released == sorted(row["text"].replace("秘密", "<W>") for row in ROWS)


def test_a_trim_edits_failing_rows_only(tmp_path: Path, stages: Write) -> None:
    """A rule that trims removes its spans from the rows that fail it, records them as flags, and drops nothing."""
    stages(t_words=WORDS)
    rule = {"name": "too_secret", "words.n": {"max": 1}, "action": "trim", "trim": {"words": "all"}}
    run(tmp_path, tiny(tmp_path, ROWS, annotate=["t_words"], select=[rule])).ok()
    expected = [ROWS[0]["text"].replace("秘密", ""), *(row["text"] for row in ROWS[1:])]
    assert sorted(texts(tmp_path / "store", "tiny").values()) == sorted(expected)
    assert [row["flags"] for row in ledger(tmp_path / "store", "tiny")] == [["too_secret"], [], [], []]
    cli(
        "verify",
        tmp_path / "store/releases/tiny",
        "--store",
        tmp_path / "store",
        "--run",
        tmp_path / "run.yaml",
    ).ok()


def test_changing_an_edit_reads_text_only_where_a_stage_sees_it(tmp_path: Path, stages: Write) -> None:
    """Other edits of the release rerun the stage that views the release, and no other."""
    stages(t_chars=CHARS, t_words=WORDS)
    page = tiny(
        tmp_path, ROWS, annotate=["t_words", "t_chars", {"use": "t_chars", "as": "seen", "view": "release"}]
    )
    run(tmp_path, page).ok()
    record = run(tmp_path, page | {"release": {"edits": {"words": "all"}}}).ok().json
    assert record["tasks"]["annotate"] == 1 and set(record["stage_bytes"]) == {"seen"}


def test_a_failing_document_is_found(tmp_path: Path, stages: Write) -> None:
    """A stage that raises is bisected to the documents at fault, which the error names: exit 1."""
    stages(t_frail=FRAIL)
    ended = run(tmp_path, tiny(tmp_path, ROWS, annotate=["t_frail"]))
    assert ended.code == 1 and "frail raised on 2 of 4 documents" in ended.err
    assert "cannot bear 秘密" in ended.err and "max_failed_share" in ended.err
    frail = {"use": "t_frail", "max_failed_share": 0.5}
    record = run(tmp_path, tiny(tmp_path, ROWS, annotate=[frail])).ok().json
    named = record["failed"]["frail"]
    assert column(tmp_path, "frail.n") == [None, 9, 1, None] and len(named) == 2
    assert all(doc_id in ended.err for doc_id in named)


def test_nulls_of_a_failing_stage_need_a_meaning(tmp_path: Path, stages: Write) -> None:
    """A rule over a stage that may write nulls for failures must define `if_null`."""
    stages(t_frail=FRAIL)
    page = tiny(tmp_path, ROWS, annotate=[{"use": "t_frail", "max_failed_share": 0.5}])
    refused = run(tmp_path, page | {"select": [{"name": "short", "frail.n": {"min": 5}}]})
    assert refused.code == 2 and "frail.n, which may be null" in refused.err
    run(tmp_path, page | {"select": [{"name": "short", "frail.n": {"min": 5}, "if_null": "keep"}]}).ok()
    assert rules_of(tmp_path) == [None, None, "short", None]


@pytest.mark.parametrize(
    ("word", "schema", "message"),
    [
        ("rows", "pa.int32()", "liar: wrote 5 rows for 4 documents"),
        ("type", "pa.int32()", "liar: wrote n: int64; it declares n: int32"),
        ("span", "SPANS", "expected 0 <= start < end <= length"),
    ],
)
def test_a_stage_is_held_to_its_contract(
    word: str, schema: str, message: str, tmp_path: Path, stages: Write
) -> None:
    """A stage that writes other rows, other types or spans outside the text is stopped: exit 1, nothing is stored."""
    stages(t_liar=LIAR.replace('{"n": pa.int32()}', f'{{"n": {schema}}}'))
    ended = run(tmp_path, tiny(tmp_path, ROWS, annotate=[{"use": "t_liar", "config": {"word": word}}]))
    assert ended.code == 1 and message in ended.err and "Traceback" not in ended.err
    assert not list((tmp_path / "store").glob("annotations/*/*/docs-*.parquet"))


def test_a_stage_of_ones_own_runs_in_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stage on PYTHONPATH needs no registration: two lines in the run file, and workers find it."""
    (tmp_path / "t_mine.py").write_text(HEADER + CHARS, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    build(write_run(tmp_path, tiny(tmp_path, ROWS, annotate=["t_mine"])), tmp_path / "store")
    assert column(tmp_path, "chars.n") == [len(row["text"]) for row in ROWS]
