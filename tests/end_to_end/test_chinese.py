"""A build whose names are Chinese, read in both languages: same files, same JSON, tables of at most 80 cells."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.cells import wide
from pipeline.translation import in_language
from tests.helpers.build import Ended, build, cli, digests, ledger, tiny, write_run
from tests.helpers.pages import page_data

HAN = re.compile("[一-鿿]")


@dataclass(frozen=True)
class Built:
    """The build, and the folder that it is in."""

    folder: Path
    run: Path
    store: Path

    @property
    def release(self) -> Path:
        """The folder of the release."""
        return self.store / "releases" / "第一版"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Source, rule, mix, corpus, release and import have Chinese names; the build speaks Chinese."""
    folder = tmp_path_factory.mktemp("chinese")
    rows = [
        {"id": str(i), "text": f"第 {i} 篇文档，讲的是江南水乡的一座老桥。" * (1 + i % 3)} for i in range(8)
    ]
    page = tiny(
        folder, rows, corpus="语料",
        sources=[{"name": "网页", "reader": "stages.readers.jsonl", "files": "docs.jsonl", "license": "CC-BY-4.0"}],
        select=[{"name": "太短", "text_bytes": {"min": 100}}],
        mix={"default": "均衡", "mixes": {"均衡": {"seed": 0}}}, release={"name": "第一版"},
    )  # fmt: skip
    run = write_run(folder, page)
    build(run, folder / "store", "--lang", "zh")
    return Built(folder, run, folder / "store")


def both(*words: object) -> tuple[Ended, Ended]:
    """A command in English and in Chinese."""
    return cli(*words, "--lang", "en").ok(), cli(*words, "--lang", "zh").ok()


def test_files_do_not_depend_on_the_language(built: Built) -> None:
    """The release has the same bytes whichever language the build speaks; its report is in English."""
    other = built.folder / "english"
    build(built.run, other, "--lang", "en")
    assert digests(other, "第一版") == digests(built.store, "第一版")
    assert '<html lang="en"' in (built.release / "report.html").read_text("utf-8")


def test_names_of_any_script_reach_every_file(built: Built) -> None:
    """Ledger, shards, mixes and descriptions carry the Chinese names, and `verify` and mlcroissant accept them."""
    rows = ledger(built.store, "第一版")
    assert {row["source"] for row in rows} == {"网页"} and {row["rule"] for row in rows} == {None, "太短"}
    assert (
        list((built.store / "shards").glob("网页-*.parquet")) and (built.release / "mixes" / "均衡").is_dir()
    )
    cli("verify", built.release, "--store", built.store, "--run", built.run).ok()
    mlcroissant = pytest.importorskip("mlcroissant", reason="a dev dependency")
    dataset = mlcroissant.Dataset(jsonld=str(built.release / "croissant.json"))
    assert not dataset.metadata.ctx.issues.errors and sum(1 for _ in dataset.records("data")) == 5


def test_tables_are_aligned_and_narrow(built: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    """Status, documents, explanation, checks and locations fit 80 cells in both languages, columns below each other."""
    monkeypatch.setenv("COLUMNS", "80")
    for words in (
        ("show", built.run, "--store", built.store),
        ("explain", built.run, "--store", built.store, "--input", "docs.jsonl:0"),
        ("verify", built.release, "--store", built.store, "--run", built.run),
    ):
        for shown in both(*words):
            assert max(wide(line) for line in shown.out.splitlines()) <= 80, shown.out
    english, chinese = both("status", "--store", built.store)
    head, row = chinese.out.splitlines()[1:3]
    assert head.split() == ["来源", "文件", "分片", "文档", "MB", "隔离"] and wide(head) == wide(row) <= 80
    assert wide(english.out.splitlines()[1]) == wide(row)
    columns = [
        wide(line[: line.index("第")])
        for line in cli("show", built.run, "--store", built.store).out.splitlines()
    ]
    assert len(set(columns)) == 1


def test_json_is_the_same_in_both_languages(built: Built) -> None:
    """What programs read has no translation in it."""
    for words in (
        ("explain", built.run, "--store", built.store, "--input", "docs.jsonl:0"),
        ("verify", built.release),
        ("status", "--store", built.store),
        ("plan", built.run, "--store", built.store),
        ("show", built.run, "--store", built.store),
    ):
        english, chinese = both(*words, "--json")
        assert english.out == chinese.out, words


def test_the_report_is_translated_on_request(built: Built) -> None:
    """A report has both languages; `--lang zh` writes one that opens in Chinese. Numbers and names are the same."""
    for chosen in ("en", "zh"):
        cli("report", built.release, "--to", built.folder / f"{chosen}.html", "--lang", chosen).ok()
    english, chinese = ((built.folder / f"{name}.html").read_text("utf-8") for name in ("en", "zh"))
    assert english == (built.release / "report.html").read_text("utf-8")
    assert '<html lang="zh"' in chinese and "跳到正文" in chinese
    assert page_data(english) == page_data(chinese)
    assert page_data(chinese)["words"]["Funnel"] == "漏斗"


def test_an_import_may_have_a_chinese_name(built: Built) -> None:
    """`--dry-run` describes the table and stores nothing; the import is then listed by its name."""
    table = built.folder / "评审.csv"
    table.write_text("doc_id,结论\n" + ledger(built.store, "第一版")[0]["doc_id"] + ",好\n", "utf-8")
    words = ("import", "评审", table, "--on", "doc_id", "--store", built.store, "--workers", 1)
    dry = cli(*words, "--dry-run", "--lang", "zh").ok()
    assert (
        dry.out == "评审: 1 行，按 doc_id：结论 string\n"
        and not cli("status", "--store", built.store, "--json").json["imports"]
    )
    assert "1 of 8 documents" in cli(*words).ok().out
    assert "评审" in cli("status", "--store", built.store, "--json").json["imports"]


def test_dry_runs_write_nothing(built: Built, tmp_path: Path) -> None:
    """`init`, `run`, `release` and `export` print what they would write, and leave no file behind."""
    plan = cli("run", built.run, "--store", tmp_path / "new", "--dry-run").ok()
    assert plan.out == cli("plan", built.run, "--store", tmp_path / "new").ok().out
    assert not (tmp_path / "new").exists()
    words = ("release", built.run, "--store", built.store, "--name", "第二版", "--dry-run")
    assert (
        "release  to be written" in cli(*words).ok().out
        and not (built.store / "releases" / "第二版").exists()
    )
    draft = cli(
        "init", built.folder / "docs.jsonl", "--out", tmp_path / "run.yaml", "--dry-run", "--lang", "zh"
    ).ok()
    assert "sources:" in draft.out and "1 个文件" in draft.err and not (tmp_path / "run.yaml").exists()
    target = tmp_path / "rows.jsonl"
    dry = cli(
        "export", built.run, "--store", built.store, "--where", "keep=true", "--to", target, "--dry-run"
    ).ok()
    assert dry.out == f"5 rows would go to {target}\n" and not target.exists()


def test_reasons_in_files_are_english(built: Built, tmp_path: Path) -> None:
    """What `filter` writes beside its output is the same in both languages; its summary is translated."""
    written = []
    for chosen in ("en", "zh"):
        words = (
            "filter",
            built.folder / "docs.jsonl",
            "--use",
            "text_bytes>=100",
            "--to",
            tmp_path / f"{chosen}.jsonl",
        )
        ended = cli(*words, "--workers", 1, "--lang", chosen).ok()
        written.append((tmp_path / f"{chosen}.dropped.jsonl").read_text("utf-8"))
    assert written[0] == written[1] and "(min 100, margin -43)" in written[0]
    assert "8 篇文档保留 5 篇" in ended.err and "删除" in ended.err


def test_errors_are_translated_and_their_causes(built: Built) -> None:
    """An unknown rule, and a key of the run file that does not exist, are explained in Chinese with the remedy."""
    found = cli("show", built.run, "--store", built.store, "--rule", "太长", "--lang", "zh")
    assert found.code == 2 and "中没有规则 '太长'；" in found.err
    run = built.folder / "wrong.yaml"
    run.write_text(built.run.read_text("utf-8").replace("select:", "selct:"), "utf-8")
    wrong = cli("run", run, "--store", built.store, "--lang", "zh")
    assert wrong.code == 2 and "未知的键 'selct'；是不是 'select'？" in wrong.err
    with in_language("en"):
        assert "did you mean" in cli("run", run, "--store", built.store).err


@pytest.mark.parametrize("name", ["网页-一", "网 页", "网页/一", "页" * 40, "ᄀ" + "ᅡ"])
def test_names_that_no_file_could_have_are_refused(name: str, tmp_path: Path) -> None:
    """Dashes, blanks, slashes, more than 100 bytes and decomposed characters are errors of the run file."""
    page = tiny(tmp_path)
    page["sources"][0]["name"] = name
    ended = cli("plan", write_run(tmp_path, page), "--store", tmp_path / "store")
    assert ended.code == 2 and "up to 100 bytes in NFC" in ended.err
