"""`bicorpus init`: the sources it makes of folders; its run files load and list the files left out."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cli import main
from pipeline.config.load import load_run
from pipeline.errors import ConfigError, InputError
from pipeline.rules.parse import parse_conditions
from pipeline.scaffold.draft import printable, write_draft
from pipeline.storage.store import list_inputs, open_store
from stages.languages import load_profiles
from tests.helpers.inputs import EN, ZH, init, inputs, jsonl, parquet, wet
from tests.helpers.paths import SAMPLE

pytest_plugins = ("tests.helpers.stores",)


# Folders


def test_a_mixed_folder_becomes_sources(tmp_path: Path) -> None:
    """Files are put together by folder, format and fields; each source reads just its own."""
    for i in range(3):
        jsonl(tmp_path / "zh" / f"part-{i:03}.jsonl.gz", [{"content": ZH, "id": i}, {"content": ZH}])
        jsonl(tmp_path / "en" / f"part-{i:03}.jsonl.zst", [{"content": EN, "id": i}])
        jsonl(tmp_path / f"wiki-{i}.jsonl", [{"text": EN, "title": "A"}])
        jsonl(tmp_path / f"forum-{i}.jsonl", [{"text": EN, "votes": 1, "user": 2, "thread": 3}])
    parquet(tmp_path / "books.parquet", [{"text": ZH}])
    wet(tmp_path / "crawl.wet.gz", [EN])
    draft, run = init(tmp_path)
    assert inputs(run) == {
        "zh": [f"part-{i:03}.jsonl.gz" for i in range(3)],
        "en": [f"part-{i:03}.jsonl.zst" for i in range(3)],
        "wiki": [f"wiki-{i}.jsonl" for i in range(3)],
        "forum": [f"forum-{i}.jsonl" for i in range(3)],
        "books": ["books.parquet"],
        "crawl": ["crawl.wet.gz"],
    }
    patterns = {source.name: source.patterns for source in draft.sources}
    assert patterns["zh"] == ("zh/part-*.jsonl.gz",)
    assert patterns["wiki"] == ("wiki-*.jsonl",)
    assert not draft.unread


def test_nothing_is_left_out_in_silence(tmp_path: Path) -> None:
    """Files that are no input, hidden ones, links to folders and stores are listed on page and in notes."""
    jsonl(tmp_path / "in" / "a.jsonl", [{"text": EN}])
    (tmp_path / "in" / "notes.txt").write_text("nothing\n")
    (tmp_path / "in" / ".hidden").write_text("x")
    (tmp_path / "in" / "link").symlink_to(tmp_path)
    (tmp_path / "in" / "gone").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "in" / "pipe")
    (tmp_path / "in" / "store" / "shards").mkdir(parents=True)
    (tmp_path / "in" / "store" / "shards" / "catalog.json").write_text("{}")
    draft, run = init(tmp_path)
    assert inputs(run) == {"in": ["a.jsonl"]}
    said = {os.path.basename(item.path): item.reason for item in draft.unread}
    assert said.keys() == {"in", "notes.txt", "link", "gone", "pipe", "store"}
    assert "such as .hidden" in said["in"]
    page = Path(draft.path).read_text("utf-8")
    for item in draft.unread:
        assert f"#   {os.path.relpath(item.path, tmp_path)}: {item.reason}" in page
        assert f"not used: {item.path}: {item.reason}" in draft.notes()


def test_files_that_no_glob_tells_apart_are_listed(tmp_path: Path) -> None:
    """Where every glob would also match a file of something else, files are named one by one."""
    for name in ("a1.jsonl", "a3.jsonl"):
        jsonl(tmp_path / name, [{"text": EN, "id": name}])
    (tmp_path / "a2.jsonl").write_text("no JSON\n")
    draft, run = init(tmp_path)
    assert draft.sources[0].patterns == ("a1.jsonl", "a3.jsonl")
    assert list(inputs(run).values()) == [["a1.jsonl", "a3.jsonl"]]


def test_many_folders_become_one_source(tmp_path: Path) -> None:
    """A tree of many folders with the same records is one source of one glob; no two files share a path."""
    for i in range(20):
        jsonl(
            tmp_path / "crawl" / f"segment-{i}" / "wet" / "part-0.jsonl",
            [{"text": EN, "url": "https://a.org"}],
        )
    _, run = init(tmp_path)
    assert [os.path.relpath(pattern, tmp_path) for pattern in run.sources[0].files] == ["**/part-*.jsonl"]
    files = list_inputs(run.sources[0].files[0])
    assert len({file.relative for file in files}) == 20


def test_names_of_sources_are_valid_and_differ(tmp_path: Path) -> None:
    """Folders of one name, and names without Latin letters, still give names that a run file takes."""
    for folder in ("a/part", "b/part", "新闻", "c d"):
        jsonl(tmp_path / folder / "x.jsonl", [{"text": EN}])
    _, run = init(tmp_path)
    assert [source.name for source in run.sources] == ["part", "part_2", "c_d", "x"]


@pytest.mark.parametrize(
    "name",
    [
        "a: b.jsonl", "{x}.jsonl", "[1].jsonl", "x*.jsonl", "it's.jsonl", 'say "so".jsonl', "# no.jsonl",
        "a, b.jsonl", "- a.jsonl", "~", "&a.jsonl", "no", "1e3", "é 中文　.jsonl", "new\nline.jsonl",
        "tab\t.jsonl", "back\\slash", " ", "\u2028", "😀", "%", "!x", "@", "`", "| >", "null",
    ],
)  # fmt: skip
@pytest.mark.parametrize("folder", ["in", "odd [a-z]: {#}, '\"*"])
def test_odd_names_are_quoted(tmp_path: Path, folder: str, name: str) -> None:
    """A run file names any file of any folder, also in remarks, so that loading it finds just that file."""
    place = tmp_path / folder
    jsonl(place / name, [{"text": EN, f"field {name}": 1}])
    jsonl(place / f"{name}.2", [{"text": EN}])
    (place / f"unknown {name}").write_text("?")
    draft, run = init(place)
    found = sorted(file.path for pattern in run.sources[0].files for file in list_inputs(pattern))
    assert found == sorted([str(place / name), str(place / f"{name}.2")])
    assert [os.path.basename(item.path) for item in draft.unread] == [f"unknown {name}"]


def test_a_name_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    """A file with a GBK name is listed readably with advice, and the other files are used."""
    jsonl(tmp_path / "a.jsonl", [{"text": EN}])
    with open(os.fsencode(tmp_path) + b"/" + "中文.jsonl".encode("gbk"), "w") as file:
        file.write("x")
    draft, _ = init(tmp_path)
    assert [item.reason.partition(";")[0] for item in draft.unread] == ["the name is not UTF-8 (GBK?)"]
    assert "\\udcd6" in Path(draft.path).read_text("utf-8")


@given(st.text(st.characters()))
def test_remarks_stay_on_their_line(text: str) -> None:
    """Whatever is printed in a remark, YAML takes the line for a remark."""
    assert yaml.safe_load(f"a: 1 # {printable(text)}\nb: 2\n") == {"a": 1, "b": 2}


def test_paths_are_relative_below_the_run_file(tmp_path: Path) -> None:
    """A file below the run file's folder is named from there, any other by its full path."""
    inside = jsonl(tmp_path / "runs" / "data" / "a.jsonl", [{"text": EN}])
    outside = jsonl(tmp_path / "b.jsonl", [{"text": EN}])
    draft, run = init(tmp_path / "runs", inside, outside)
    assert {p for source in draft.sources for p in source.patterns} == {"data/a.jsonl", str(outside)}
    assert list(inputs(run).values()) == [["b.jsonl"], ["a.jsonl"]]


def test_a_path_may_be_named_twice(tmp_path: Path) -> None:
    """A folder and a file in it, or a glob, make no file count twice."""
    path = jsonl(tmp_path / "in" / "a.jsonl", [{"text": EN}])
    draft, _ = init(tmp_path, path, tmp_path / "in", tmp_path / "in" / "*.jsonl")
    assert [len(source.samples) for source in draft.sources] == [1]


def test_a_bucket_is_looked_at_as_a_folder(s3: str, tmp_path: Path) -> None:
    """A URL names an object, a glob or a prefix; the sources read the same objects."""
    for i in range(2):
        open_store(s3).put(f"in/part-{i}.jsonl", json.dumps({"text": ZH, "id": i}).encode())
    for path in (f"{s3}/in", f"{s3}/in/*.jsonl"):
        draft = write_draft([path], str(tmp_path / "run.yaml"), force=True)
        run = load_run(draft.path)
        assert run.sources[0].files == (f"{s3}/in/part-*.jsonl",)
        assert inputs(run) == {"in": ["part-0.jsonl", "part-1.jsonl"]}


# The page


def test_the_sample_gives_a_run_file(tmp_path: Path) -> None:
    """The bundled sample is taken apart into its eight sources, and the page has every default."""
    draft, run = init(tmp_path, SAMPLE)
    columns = {source.name: source.columns.get("text", "text") for source in run.sources}
    assert columns == {
        "books_zh": "text", "crawl": "text", "docs_en": "text", "docs_zh": "content", "forum_spam": "raw_content",
        "notes": "text", "pages": "text", "web_mixed": "text",
    }  # fmt: skip
    readers = {source.name: source.reader_name.rpartition(".")[2] for source in run.sources}
    assert readers == {
        "books_zh": "parquet", "crawl": "warc", "docs_en": "jsonl", "docs_zh": "jsonl", "forum_spam": "jsonl",
        "notes": "textfile", "pages": "html", "web_mixed": "wet",
    }  # fmt: skip
    n_docs = {source.name: source.n_docs for source in draft.sources}
    assert n_docs == pytest.approx(
        {
            "books_zh": 595, "crawl": 77, "docs_en": 761, "docs_zh": 1166, "forum_spam": 184, "notes": 45, "pages": 23,
            "web_mixed": 890,
        },
        rel=0.1,
    )  # fmt: skip
    assert [os.path.basename(item.path) for item in draft.unread] == ["README.md", "benchmarks.parquet"]
    steps = [step.name for step in (*run.annotate, *run.globals)]
    assert steps == [
        "language", "signals", "parts", "quality", "boilerplate", "exact", "minhash", "tokens", "repeats", "candidates",
        "dedup",
    ]  # fmt: skip
    assert run.keep_one is not None and run.release.name == "sample" and run.mix.default == "natural"


def test_rules_are_those_of_the_profiles(tmp_path: Path) -> None:
    """Each language gets the thresholds of its profile for its labels, other labels those of `und`."""
    _, run = init(tmp_path, jsonl(tmp_path / "a.jsonl", [{"text": ZH}]))
    rules = {rule.name: rule for rule in run.select}
    wanted = {f"{profile.name}_{rule['name']}": rule for profile in load_profiles() for rule in profile.rules}
    assert rules.keys() == {*wanted, "language", "same_source_id"}
    assert len(run.select) == len(rules)
    labels = {profile.name: profile.labels for profile in load_profiles()}
    for name, rule in wanted.items():
        keys = ("name", "where", "base", "action", "if_null")
        (column, test), *more = ((k, v) for k, v in rule.items() if k not in keys)
        (condition,), (language, *rest) = rules[name].conditions, rules[name].where
        assert not more and [condition] == list(parse_conditions({column: test}, name))
        assert rules[name].if_null == rule.get("if_null")
        assert (rules[name].action, rules[name].base) == (rule.get("action", "drop"), rule.get("base", False))
        profile = name.partition("_")[0]
        others = tuple(label for other in ("zho", "eng", "zxx") for label in labels[other])
        where = dict(rule.get("where", {}))
        own = where.pop("language.label", {"in": labels[profile]})[
            "in"
        ]  # a rule may be for some of the labels
        expected = (None, others) if profile == "und" else (own, None)
        found = [None if values is None else {*values} for values in (language.among, language.not_among)]
        assert language.column == "language.label"
        assert found == [None if values is None else {*values} for values in expected]
        assert rest == list(parse_conditions(where, name))


def test_the_ratio_can_be_switched_on(tmp_path: Path) -> None:
    """With Chinese and English text the run file contains a ratio in comments that loads once uncommented."""
    jsonl(tmp_path / "zh" / "a.jsonl", [{"text": ZH}])
    jsonl(tmp_path / "en" / "a.jsonl", [{"text": EN}])
    draft, run = init(tmp_path)
    assert list(run.mix.mixes) == ["natural"]
    head, _, tail = Path(draft.path).read_text("utf-8").partition("    # zh50:\n")
    page = f"{head}    zh50:\n{re.sub('^    # ', '    ', tail, flags=re.MULTILINE)}"
    (tmp_path / "run.yaml").write_text(page.replace("default: natural", "default: zh50"), "utf-8")
    mix = load_run(tmp_path / "run.yaml").mix
    assert dict(mix.mixes["zh50"].phases[0].share) == {"zh": 0.5, "en": 0.5}
    assert mix.mixes["zh50"].groups["eng"[:2]] == ("eng_Latn",)


def test_one_language_gets_no_ratio(tmp_path: Path) -> None:
    """Without text in both languages there is no ratio to switch on."""
    draft, _ = init(tmp_path, jsonl(tmp_path / "a.jsonl", [{"text": ZH}]))
    assert "zh50" not in Path(draft.path).read_text("utf-8")


def test_the_same_files_give_the_same_page(tmp_path: Path) -> None:
    """A page depends on the files alone, and looking again does not see the page itself."""
    jsonl(tmp_path / "a.jsonl", [{"text": ZH}])
    jsonl(tmp_path / "b.jsonl", [{"content": EN}])
    first, _ = init(tmp_path)
    page = Path(first.path).read_bytes()
    second = write_draft([str(tmp_path)], first.path, force=True)
    assert Path(second.path).read_bytes() == page
    assert not second.unread
    assert sorted(os.listdir(tmp_path)) == ["a.jsonl", "b.jsonl", "run.yaml"]


# Errors and the command


@pytest.mark.parametrize("names", [[], ["notes.txt"]])
def test_nothing_to_read_is_an_error(tmp_path: Path, names: list[str]) -> None:
    """A folder without any input is refused, with the reasons, and no run file is written."""
    for name in names:
        (tmp_path / name).write_text("nothing\n")
    with pytest.raises(InputError, match=names[0] if names else "there are no files"):
        init(tmp_path)
    assert os.listdir(tmp_path) == names


def test_a_missing_path_is_an_error(tmp_path: Path) -> None:
    """A path that does not exist is named."""
    with pytest.raises(InputError, match="nowhere"):
        init(tmp_path, tmp_path / "nowhere")


def test_a_run_file_is_replaced_on_demand_only(tmp_path: Path) -> None:
    """An existing file is an error unless forced, and a folder always is."""
    path = jsonl(tmp_path / "a.jsonl", [{"text": ZH}])
    (tmp_path / "run.yaml").write_text("mine")
    with pytest.raises(ConfigError, match="--force"):
        init(tmp_path)
    assert (tmp_path / "run.yaml").read_text() == "mine"
    with pytest.raises(ConfigError, match="exists"):
        write_draft([str(path)], str(tmp_path), force=True)
    with pytest.raises(ConfigError, match="--out"):
        write_draft([str(path)], str(tmp_path / "no" / "run.yaml"))


def command(*args: object) -> Result:
    """Run `bicorpus init`."""
    return CliRunner().invoke(main, ["init", *map(str, args)])


def test_the_command_writes_and_tells(tmp_path: Path) -> None:
    """The path is printed to stdout, files used and not used to stderr."""
    jsonl(tmp_path / "in" / "a.jsonl", [{"text": ZH}])
    (tmp_path / "in" / "b.csv").write_text("a,b\n")
    result = command(tmp_path / "in", "--out", tmp_path / "run.yaml")
    assert (result.exit_code, result.stdout) == (0, f"{tmp_path / 'run.yaml'}\n")
    assert "in: 1 file, " in result.stderr
    assert f"not used: {tmp_path / 'in' / 'b.csv'}: " in result.stderr
    assert load_run(tmp_path / "run.yaml").sources[0].name == "in"


def test_the_command_prints_json(tmp_path: Path) -> None:
    """With --json the same comes as one JSON object."""
    jsonl(tmp_path / "in" / "a.jsonl", [{"content": ZH}])
    result = command(tmp_path / "in", "--out", tmp_path / "run.yaml", "--json")
    found = json.loads(result.stdout)
    assert found["path"] == str(tmp_path / "run.yaml") and found["not_used"] == []
    assert found["sources"][0]["columns"] == {"text": "content"}
    assert found["sources"][0]["n_docs"] == 1


def test_the_command_fails_with_usage_errors(tmp_path: Path) -> None:
    """An existing run file and a folder without input end with exit code 2 and one line."""
    for args in ((tmp_path, "--out", tmp_path / "run.yaml"), (tmp_path / "nowhere",)):
        result = command(*args)
        assert result.exit_code == 2
        assert re.fullmatch(r"bicorpus: .+\n", result.stderr)
