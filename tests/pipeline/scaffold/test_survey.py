"""Files of one document each: the sources they form together, and files that form none."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.scaffold import survey
from pipeline.scaffold.find_files import FoundFile, Unread, find_files
from pipeline.scaffold.sniff import Sample, sniff
from pipeline.storage.store import list_inputs
from tests.helpers.build import build
from tests.helpers.inputs import EN, HANT, ZH, init, inputs, jsonl

NO_TEXT = bytes(range(1, 256))
PAGE = "<html><body><main><p>{}</p></main></body></html>"


def tree(root: Path, files: dict[str, str | bytes]) -> None:
    """Write files by their paths below a folder."""
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data.encode() if isinstance(data, str) else data)


def test_a_tree_of_files_is_one_source(tmp_path: Path) -> None:
    """Text files of all folders and endings make one source of globs, pages another; paths stay apart."""
    tree(
        tmp_path / "in",
        {
            "wiki/zh/索引.md": f"---\nlicense: CC0-1.0\n---\n{ZH}",
            "wiki/en/index.md": EN,
            "wiki/en/deep/index.md": EN,
            "wiki/hant/a.txt": HANT.encode("cp950"),
            "site/index.html": PAGE.format(EN),
            "site/zh/index.html": PAGE.format(ZH),
            "site/zh/old.html.gz": gzip.compress(PAGE.format(ZH).encode("gb18030")),
            "site/style.css": "p { color: red }",
        },
    )
    draft, run = init(tmp_path, tmp_path / "in")
    assert {s.name: (s.reader_name, s.patterns) for s in draft.sources} == {
        "site": ("stages.readers.html", ("in/site/**/*.html", "in/site/**/*.html.gz")),
        "wiki": ("stages.readers.textfile", ("in/wiki/**/*.md", "in/wiki/**/*.txt")),
    }
    paths = {f.relative for source in run.sources for p in source.files for f in list_inputs(p)}
    assert len(paths) == 7 and "en/deep/index.md" in paths
    assert [os.path.basename(item.path) for item in draft.unread] == ["style.css"]
    record = build(Path(draft.path), tmp_path / "store")
    assert (record["ingested"], record["quarantined"]) == (7, {"site": {}, "wiki": {}})


def test_files_that_a_run_would_refuse_stay_in_their_source(tmp_path: Path) -> None:
    """A broken file among sound ones is counted as broken and keeps no glob from being written."""
    files: dict[str, str | bytes] = {f"{i}.md": f"{ZH} {i}" for i in range(30)}
    tree(tmp_path / "in", files | {"blank.md": "", "odd.md": NO_TEXT})
    draft, run = init(tmp_path, tmp_path / "in")
    (source,) = draft.sources
    assert (source.patterns, source.n_docs, draft.unread) == (("in/*.md",), 30, ())
    page = Path(draft.path).read_text("utf-8")
    assert (
        "# 2 of the first 32 records are broken (empty_text 1, unknown_encoding 1): more than ingest allows"
        in page
    )
    assert len(inputs(run)["in"]) == 32


@pytest.mark.parametrize("data", ["", " \n", "nothing", NO_TEXT])
def test_a_file_in_doubt_is_no_source_of_its_own(tmp_path: Path, data: str | bytes) -> None:
    """One text file without a sentence, or in no encoding, is named with its reason and makes no source."""
    tree(tmp_path, {"a.txt": data})
    with pytest.raises(InputError, match=r"a\.txt: read as textfile: "):
        init(tmp_path)


def test_a_readme_beside_records_is_no_document(tmp_path: Path) -> None:
    """A description of a data set is left out with a reason, unless it is named or among its like."""
    jsonl(tmp_path / "in" / "data" / "a.jsonl", [{"text": EN}])
    tree(tmp_path / "in", {"README.md": EN, "data/LICENSE.txt": EN, "data/book.txt": ZH})
    draft, run = init(tmp_path, tmp_path / "in")
    assert inputs(run) == {"a": ["a.jsonl"], "book": ["book.txt"]}
    assert {os.path.basename(item.path) for item in draft.unread} == {"README.md", "LICENSE.txt"}
    assert all("describes the files beside or below it" in item.reason for item in draft.unread)
    _, run = init(tmp_path / "in", tmp_path / "in" / "README.md")
    assert inputs(run) == {"README": ["README.md"]}
    tree(tmp_path / "docs", {"README.md": EN, "use.md": ZH})
    _, run = init(tmp_path / "docs")
    assert inputs(run) == {"docs": ["README.md", "use.md"]}


def test_of_many_files_some_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of pages are estimated from a few, spread over all of them; every one is in the source."""
    monkeypatch.setattr(survey, "MAX_LOOKED", 20)
    tree(tmp_path / "in", {f"{i:03}.txt": ZH if i < 80 else EN for i in range(100)})
    looked: list[str] = []

    def note(file: FoundFile, n: int) -> Sample | Unread:
        looked.append(file.path)
        return sniff(file, n)

    monkeypatch.setattr(survey, "sniff", note)
    draft, run = init(tmp_path, tmp_path / "in")
    (source,) = draft.sources
    assert len(looked) == 20
    assert (source.n_docs, source.languages()) == (100, {"Chinese": 80, "Latin script": 20})
    assert len(inputs(run)["in"]) == 100


def test_files_that_no_glob_tells_apart_go_by_folder(tmp_path: Path) -> None:
    """Where a glob would also match files of records, each folder is a source, so that paths do not overlap."""
    tree(
        tmp_path / "in", {f"{folder}/{name}.txt": f"{ZH} {folder}" for folder in "ab" for name in ("x", "y")}
    )
    jsonl(tmp_path / "in" / "a" / "records.txt", [{"text": EN}])
    draft, _ = init(tmp_path, tmp_path / "in")
    found: dict[str, list[tuple[str, ...]]] = {}
    for source in draft.sources:
        found.setdefault(source.reader_name.rpartition(".")[2], []).append(source.patterns)
    assert found == {
        "textfile": [("in/a/x.txt", "in/a/y.txt"), ("in/b/*.txt",)],
        "jsonl": [("in/a/records.txt",)],
    }
    assert build(Path(draft.path), tmp_path / "store")["ingested"] == 5


def test_files_are_listed_once(tmp_path: Path) -> None:
    """Every file of a folder is either in a sample or unread, never both, never neither."""
    tree(
        tmp_path, {"a.md": ZH, "b.html": PAGE.format(EN), "c.bin": b"\x00\x01", "d.txt": "", "README.md": ""}
    )
    jsonl(tmp_path / "e.jsonl", [{"text": EN}])
    files, _ = find_files(str(tmp_path))
    samples, unread = survey.survey_files(files)
    assert sorted([s.file.path for s in samples] + [u.path for u in unread]) == [f.path for f in files]
