"""One-command jobs: their decisions are those of a build, and their output has the form of the input."""

from __future__ import annotations

import csv
import gzip
import importlib.util
import io
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.cells import wide
from pipeline.errors import UsageError
from pipeline.jobs.forms import with_texts
from pipeline.jobs.side_by_side import side_by_side
from tests.helpers.build import build, cli, ledger, to_line, write_inputs, write_run
from tests.helpers.build import command as run_command

Row = dict[str, Any]


@dataclass(frozen=True)
class Corpus:
    """A file, and the ledger of a build of it by input row."""

    path: Path
    rows: list[Row]
    ledger: dict[int, Row]


BROKEN = ["not json\n", '{"id": "blank", "content": "  "}\n']


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """120 documents of the sample with copies, near copies and spam, two broken lines, and a build of them."""
    folder = tmp_path_factory.mktemp("corpus")
    inputs = write_inputs(folder / "inputs")
    rows: list[Row] = []
    for name, field in (("zh/00.jsonl.gz", "content"), ("zh/01.jsonl.gz", "content")):
        lines = gzip.decompress((inputs / name).read_bytes()).decode().splitlines()
        rows += [{"id": i, "content": json.loads(line)[field]} for i, line in enumerate(lines)]
    rows += [
        {"id": row["id"], "content": row["text"]} for row in map(json.loads, (inputs / "copies.jsonl").open())
    ]
    rows += [{"id": "spam", "content": "点击这里 " * 40}, {"id": "short", "content": "太短。"}]
    path = folder / "docs.jsonl"
    path.write_text("".join([*map(to_line, rows[:10]), *BROKEN, *map(to_line, rows[10:])]), "utf-8")
    page = {
        "corpus": "everyday",
        "sources": [
            {
                "name": "input",
                "reader": "jsonl",
                "files": "docs.jsonl",
                "columns": {"text": "content", "source_id": "id"},
            }
        ],
        "annotate": ["language", "signals", "parts", "quality", "exact", "minhash"],
        "global": ["candidates", "dedup"],
        "select": [{"preset": "recommended"}],
        "keep_one": {"of": "dedup", "prefer": [{"signals.n_chars": "high"}, {"input_row": "low"}]},
        "release": {"name": "v1"},
    }
    store = folder / "store"
    build(write_run(folder, page), store)
    shards = pa.concat_tables(pq.read_table(shard) for shard in sorted((store / "shards").glob("*.parquet")))
    numbers = dict(zip(shards["doc_id"].to_pylist(), shards["input_row"].to_pylist(), strict=True))
    return Corpus(path, rows, {numbers[row["doc_id"]]: row for row in ledger(store)})


def lines_of(path: Path) -> list[str]:
    return path.read_text("utf-8").splitlines()


def test_filter_decides_as_a_build_and_dedup_of_what_it_keeps_too(corpus: Corpus, tmp_path: Path) -> None:
    """Records are copied byte for byte; dropped ones have rule and reason; broken ones are quarantined."""
    kept, unique = tmp_path / "kept.jsonl", tmp_path / "unique.jsonl.gz"
    report = cli("filter", corpus.path, "--use", "recommended", "--to", kept, "--json").ok().json
    original = lines_of(corpus.path)
    by_rules = {row: facts["rule"] for row, facts in corpus.ledger.items() if facts["rule"] != "duplicate"}
    passed = [row for row in sorted(corpus.ledger) if by_rules.get(row) is None]
    assert lines_of(kept) == [original[row] for row in passed]
    dropped = [json.loads(line) for line in lines_of(tmp_path / "kept.dropped.jsonl")]
    expected = [(original[row], rule) for row, rule in sorted(by_rules.items()) if rule is not None]
    assert [json.loads(line) | {"bicorpus.rule": rule} for line, rule in expected] == [
        {name: value for name, value in row.items() if name != "bicorpus.reason"} for row in dropped
    ]
    short = next(row for row in dropped if row["id"] == "short")
    assert "3 (min" in short["bicorpus.reason"]
    broken = [json.loads(line) for line in lines_of(tmp_path / "kept.quarantine.jsonl")]
    assert [(row["input_row"], row["reason"]) for row in broken] == [(10, "invalid_json"), (11, "empty_text")]
    assert report["kept"] == len(passed) and report["quarantined"] == {"invalid_json": 1, "empty_text": 1}
    cli("dedup", kept, "--to", unique).ok()
    assert gzip.decompress(unique.read_bytes()).decode().splitlines() == [
        original[row] for row, facts in sorted(corpus.ledger.items()) if facts["keep"]
    ]
    removed = [json.loads(line) for line in lines_of(tmp_path / "unique.duplicates.jsonl")]
    facts = {original[row]: facts for row, facts in corpus.ledger.items()}
    names = {facts["doc_id"]: row for row, facts in corpus.ledger.items()}
    positions = (
        [original.index(line) for line in lines_of(kept)] if len(set(original)) == len(original) else passed
    )
    assert {(positions[row["row"]], positions[row["keeper_row"]], row["kind"]) for row in removed} == {
        (names[f["doc_id"]], names[f["keeper_id"]], f["duplicate"])
        for f in facts.values()
        if f["rule"] == "duplicate"
    }
    assert not list(tmp_path.glob("*.part"))


def test_parquet_keeps_its_schema_and_its_other_columns(corpus: Corpus, tmp_path: Path) -> None:
    """Types, order of columns, metadata and compression stay; `lid` adds columns; the summary counts languages."""
    texts = [row["content"] for row in corpus.rows[:20]] + [None]
    schema = pa.schema(
        [
            ("n", pa.int16()),
            ("content", pa.string()),
            ("tags", pa.list_(pa.dictionary(pa.int32(), pa.string()))),
        ],
        metadata={b"origin": b"test"},
    )
    table = pa.table([range(21), texts, [["a", "b"]] * 21], schema=schema)
    source, target = tmp_path / "docs.parquet", tmp_path / "labelled.parquet"
    pq.write_table(table, source, compression="gzip", row_group_size=8)
    report = cli("lid", source, "--to", target, "--workers", 2, "--json").ok().json
    labelled = pq.read_table(target)
    assert labelled.select(schema.names).equals(table.slice(0, 20), check_metadata=False)
    assert labelled.schema.metadata[b"origin"] == b"test"
    assert labelled.column_names == [*schema.names, "language.label", "language.score"]
    assert set(labelled["language.label"].to_pylist()) == set(report["kinds"]) <= {"zho_Hans", "zho_Hant"}
    assert pq.ParquetFile(target).metadata.row_group(0).column(0).compression == "GZIP"
    assert report["quarantined"] == {"no_text": 1}
    again = tmp_path / "again.parquet"
    cli("lid", target, "--to", again).ok()
    assert pq.read_table(again).equals(labelled)


def test_masked_texts_and_everything_else_as_it_was(tmp_path: Path) -> None:
    """Only texts with personal data change, in nested fields too; `--kinds` limits what is replaced."""
    lines = [
        '{"n": 1.50,  "meta": {"body": "写信给 li.si@example.com 吧，电话 13812345678。", "x": 1}}',
        '{"n": 2,     "meta": {"body": "这里没有什么需要隐藏的内容。", "x": 2}}',
    ]
    source = tmp_path / "chats.jsonl"
    source.write_text("\n".join(lines) + "\n", "utf-8")
    out = (
        cli("mask", source, "--text-field", "meta.body", "--kinds", "email", "--quiet").ok().out.splitlines()
    )
    assert out[1] == lines[1]
    assert json.loads(out[0]) == {"n": 1.5, "meta": {"body": "写信给 <EMAIL> 吧，电话 13812345678。", "x": 1}}


def test_masked_texts_inside_of_structs_of_parquet(tmp_path: Path) -> None:
    """The field changes, the struct around it keeps dtype and nulls; of several columns, the one with the text."""
    found, clean = "写信给 li.si@example.com 吧。", "这里没有什么需要隐藏的内容。"
    inner = pa.struct([("body", pa.dictionary(pa.int32(), pa.string())), ("n", pa.int8())])
    rows = [{"body": found, "n": 1}, {"body": clean, "n": None}]
    table = pa.table({"id": [1, 2], "meta": pa.array(rows, inner)})
    pq.write_table(table, tmp_path / "in.parquet")
    cli("mask", tmp_path / "in.parquet", "--text-field", "meta.body", "--to", tmp_path / "out.parquet").ok()
    masked = pq.read_table(tmp_path / "out.parquet")
    changed = {"body": "写信给 <EMAIL> 吧。", "n": 1}
    assert masked.schema.equals(table.schema) and masked["meta"].to_pylist() == [changed, rows[1]]
    nulls = with_texts(pa.table({"meta": pa.array([*rows, None], inner)}), ("meta.body",), ["x", None, None])
    assert nulls["meta"].to_pylist() == [{"body": "x", "n": 1}, rows[1], None]
    columns = pa.table({"text": ["", clean], "content": [found, found]})
    names = with_texts(columns, ("text", "content"), ["masked", "changed"])
    assert names.to_pydict() == {"text": ["", "changed"], "content": ["masked", found]}
    with pytest.raises(UsageError, match="in no column"):
        with_texts(pa.table({"text": [[found]]}), ("text",), ["masked"])


def test_a_document_of_a_release_is_explained_from_its_files(corpus: Corpus) -> None:
    """A kept one, a duplicate with its keeper, one that a rule drops; another id is refused."""
    release = corpus.path.parent / "store" / "releases" / "v1"
    by_rule = {row["rule"]: row for row in corpus.ledger.values()}
    copy, short = (
        by_rule["duplicate"],
        next(row for row in corpus.ledger.values() if "short" in str(row["rule"])),
    )
    told = cli("explain", release, copy["doc_id"], "--json").ok().json
    assert told["keeper"]["ledger"]["doc_id"] == copy["keeper_id"] and told["keeper"]["excerpt"]
    kept = cli("explain", release, copy["keeper_id"], "--json").ok().json
    assert copy["doc_id"] in kept["kept_for"] and kept["ledger"]["keep"] and "text" not in kept["document"]
    assert all(place["copies"] == 1 for place in kept["mixes"].values()) and kept["mixes"]
    shown = cli("explain", release, short["doc_id"]).ok().out
    assert f"dropped by {short['rule']}" in shown
    assert cli("explain", release, "nobody").code == 2
    assert "is asked by DOC_ID" in cli("explain", release, "--input", "docs.jsonl:1").err


def test_what_would_be_written_and_nothing_is(corpus: Corpus, tmp_path: Path) -> None:
    """`--dry-run` of each command names inputs, text field and files, and refuses what the command would refuse."""
    kept = tmp_path / "kept.jsonl"
    for command in (
        ("filter", "--use", "gopher"),
        ("dedup",),
        ("lid",),
        ("mask",),
        ("score", "--stages", "signals"),
    ):
        name, *options = command
        plan = cli(name, corpus.path, *options, "--to", kept, "--dry-run", "--json").ok().json
        assert plan["inputs"] == [{"input": str(corpus.path), "format": "jsonl", "text": ["content"]}]
        assert str(kept) in plan["outputs"].values()
    shown = cli("filter", corpus.path, "--use", "gopher", "--to", f"{tmp_path}/new/", "--dry-run").ok().out
    assert "text = content" in shown and "would write dropped" in shown
    assert cli("mask", corpus.path, "--to", tmp_path / "x.csv", "--dry-run").code == 2
    assert not list(tmp_path.iterdir())


def test_an_interrupted_job_leaves_nothing(tmp_path: Path) -> None:
    """Ctrl-C: one line, exit code 130, no file and no folder that was not there."""
    for i in range(3):
        (tmp_path / f"{i}.md").write_text("Some words that are long enough.", "utf-8")
    before = sorted(tmp_path.iterdir())
    (tmp_path / "stops.py").write_text(
        "from bicorpus import each\n\ndef keep(text: str, input: str) -> bool:\n"
        "    if '2.md' in input:\n        raise KeyboardInterrupt\n    return True\n\nSTAGE = each(keep)\n"
    )
    use = ("--use", tmp_path / "stops.py", "--workers", 1)
    ended = cli("filter", tmp_path / "*.md", *use, "--to", f"{tmp_path}/new/")
    assert ended.code == 130 and ended.err.endswith("\nbicorpus: interrupted; no file was written\n")
    (tmp_path / "stops.py").unlink()
    shutil.rmtree(tmp_path / "__pycache__", ignore_errors=True)
    assert sorted(tmp_path.iterdir()) == before


def test_documents_are_shown_side_by_side(tmp_path: Path) -> None:
    """A line for each measurement, a column for each document; what does not fit follows below."""
    facts: Row = {"row": 0, "error": None, "language.label": "zho_Hans", "x.list": [1]}
    rows: list[Row] = [
        {"input": f"folder/{i}.txt", **facts, "signals.n_chars": 10 * i, "pii.spans": [{}] * i}
        for i in range(4)
    ]
    lines = side_by_side(rows, 60)
    assert lines[0].split() == [f"folder/{i}.txt:0" for i in range(2)]
    assert [line.split() for line in lines[1:4]] == [
        ["language.label", "zho_Hans", "zho_Hans"],
        ["signals.n_chars", "0", "10"],
        ["pii.spans", "0", "1"],
    ]
    assert lines[4] == "" and lines[5].split()[0] == "folder/2.txt:0"
    assert all(wide(line) <= 60 for line in lines)
    assert len(side_by_side(rows, 200)) == 4


def test_plain_text_by_line_and_by_file(tmp_path: Path) -> None:
    """A line is a document with --lines, in the encoding of the file; without it a file is one, and is copied."""
    lines = ["今天天气很好，我们一起去公园散步吧。", "", "短", "The quick brown fox jumps over the lazy dog."]
    source, target = tmp_path / "lines.txt", tmp_path / "long.txt"
    source.write_bytes("\r\n".join(lines * 10).encode("gb18030"))
    command = ("filter", source, "--lines", "--use", "signals.n_chars>=5", "--to", target)
    cli(*command).ok()
    assert target.read_bytes().decode("gb18030") == "".join(
        f"{line}\n" for line in lines * 10 if len(line) > 4
    )
    dropped = (tmp_path / "long.dropped.txt").read_bytes().decode("gb18030").splitlines()
    assert dropped[0] == "signals.n_chars>=5\tsignals.n_chars 1 (min 5, margin -4)\t短"
    for i, text in enumerate((*lines[:1], *lines[2:])):
        (tmp_path / f"{i}.md").write_text(text, "utf-8")
    cli("filter", tmp_path / "*.md", "--use", "signals.n_chars>=5", "--to", f"{tmp_path}/kept/").ok()
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == ["0.md", "2.md"]
    assert (tmp_path / "kept.dropped.tsv").read_text("utf-8").split("\t")[0] == str(tmp_path / "1.md")


@pytest.mark.skipif(importlib.util.find_spec("stages.readers.csv") is None, reason="no reader of CSV here")
def test_csv_keeps_dialect_and_encoding(tmp_path: Path) -> None:
    """A table in GB18030 with semicolons and quoted line breaks comes back as such."""
    rows = [
        ["编号", "正文", "备注"],
        ["1", "今天天气很好，\n我们一起去“公园”散步吧。", 'a;"b"'],
        ["2", "短", "㐀"],
    ]
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=";", lineterminator="\r\n").writerows(rows + rows[1:] * 20)
    source, target = tmp_path / "表.csv", tmp_path / "kept.csv"
    source.write_bytes(text.getvalue().encode("gb18030"))
    cli("filter", source, "--use", "signals.n_chars>=5", "--to", target).ok()
    kept = list(csv.reader(io.StringIO(target.read_bytes().decode("gb18030"), newline=""), delimiter=";"))
    assert kept == [rows[0], *([rows[1]] * 21)]
    dropped = (tmp_path / "kept.dropped.csv").read_bytes().decode("gb18030").splitlines()
    assert dropped[0] == "编号;正文;备注;bicorpus.rule;bicorpus.reason" and dropped[1].startswith(
        "2;短;㐀;signals.n_chars>=5;"
    )


def test_scores_of_standard_input_and_broken_rows(tmp_path: Path) -> None:
    """`score` measures what is piped in; in a table, a broken row has the reason and nulls."""
    command = [sys.executable, "-m", "pipeline", "score", "-", "--stages", "pii"]
    done = subprocess.run(
        command, input="我的邮箱是 a@example.com。", capture_output=True, text=True, check=True
    )
    assert done.stdout == "-:0\n  pii.spans  1\n"
    source = tmp_path / "docs.jsonl"
    source.write_text('{"text": "四个汉字的句子。"}\n[1]\n{"text": "Some words."}\n', "utf-8")
    scores = tmp_path / "scores.parquet"
    ended = cli("score", source, "--stages", "signals", "--to", scores, "--json")
    assert ended.code == 3 and ended.json["quarantined"] == {"not_an_object": 1}
    table = pq.read_table(scores)
    assert table["row"].to_pylist() == [0, 1, 2]
    assert [bool(error) for error in table["error"].to_pylist()] == [False, True, False]
    assert table["signals.n_chars"].to_pylist() == [8, None, 11]


def test_a_filter_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file with one function and one line decides; a stage that raises quarantines the document, not the job."""
    (tmp_path / "no_ads.py").write_text(
        "from bicorpus import each\n\ndef keep(text: str) -> bool:\n"
        "    return 100 / (len(text) - 3) > 0 and '广告' not in text\n\nSTAGE = each(keep)\n",
        "utf-8",
    )
    source, target = tmp_path / "docs.jsonl", tmp_path / "out.jsonl"
    texts = ["这是一篇文章。", "这是广告。", "三个字"] + ["另一篇文章。"] * 30
    source.write_text("".join(to_line({"text": text}) for text in texts), "utf-8")
    report = cli("filter", source, "--use", tmp_path / "no_ads.py", "--to", target, "--json").ok().json
    assert report["dropped"] == {"no_ads.keep": 1} and report["quarantined"] == {"stage_failed": 1}
    assert [json.loads(line)["text"] for line in lines_of(target)] == [texts[0], *texts[3:]]


def test_several_processes_and_one_that_dies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes decide as one does; if one is killed, the command ends with one line and no file."""
    (tmp_path / "odd_ones.py").write_text(
        "import multiprocessing, os\nfrom bicorpus import each\n\ndef keep(text: str) -> bool:\n"
        "    if os.environ.get('TEST_DIES') and multiprocessing.parent_process():\n        os._exit(9)\n"
        "    return int(text[-4:]) % 2 > 0\n\nSTAGE = each(keep)\n",
        "utf-8",
    )
    source = tmp_path / "lines.txt"
    source.write_text("".join(f"line number {i:04}\n" for i in range(2500)), "utf-8")
    command = ("filter", source, "--lines", "--use", tmp_path / "odd_ones.py", "--workers", 2)
    cli(*command, "--to", tmp_path / "two.txt").ok()
    assert lines_of(tmp_path / "two.txt") == [f"line number {i:04}" for i in range(1, 2500, 2)]
    monkeypatch.setenv("TEST_DIES", "1")
    ended = run_command(*command, "--to", tmp_path / "dies.txt")
    assert ended.code == 1 and ended.err.splitlines()[-1].startswith(
        "bicorpus: a process that measured documents"
    )
    assert not list(tmp_path.glob("dies*"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["filter", "{}", "--use", "recomended", "--to", "x.jsonl"], "did you mean 'recommended'"),
        (["filter", "{}", "--use", "cuts.bucket>=2", "--to", "x.jsonl"], "needs a build"),
        (
            ["filter", "{}", "--use", "signals.n_charz>=2", "--to", "x.jsonl"],
            "did you mean 'signals.n_chars'",
        ),
        (["filter", "{}", "--use", "recommended", "--to", "{}"], "is an input"),
        (["filter", "{}", "--use", "recommended", "--to", "x.parquet"], "is JSON Lines"),
        (["dedup", "{}"], "--to is missing"),
        (["dedup", "{}", "--to", "no/such/x.jsonl"], "make it first"),
        (["dedup", "nothing.jsonl", "--to", "x.jsonl"], "no such file"),
        (["score", "{}", "--stages", "dedup"], "compares documents"),
    ],
)
def test_what_cannot_work_is_said_before_any_work(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 2, one line with what to do, and no file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.jsonl").write_text('{"text": "Some words."}\n')
    ended = cli(*(argument.replace("{}", "in.jsonl") for argument in arguments))
    assert ended.code == 2 and message in ended.err and ended.err.startswith("bicorpus: "), ended
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]
