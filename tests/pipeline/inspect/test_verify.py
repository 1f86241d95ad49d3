"""`verify` finds what was done to a release: from its files and, where counts balance, from raw bytes."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.config.load import load_run
from pipeline.errors import StoreError
from pipeline.inspect.opened import open_build
from pipeline.inspect.rederive import clustering, stored_rows
from pipeline.inspect.run_page import sections_of
from pipeline.inspect.verify import verify_files
from pipeline.select.verdicts import Kept, final
from pipeline.storage.store import open_store
from scripts.bench.damage_release import agreeing_kinds, make_sums_agree
from tests.helpers.build import build, cli, ledger, reference, small_page


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A copy of the finished store, to be tampered with."""
    return reference().copy(tmp_path)


def faults(store: Path, *options: object) -> dict[str, list[str]]:
    """What `verify` finds wrong, by check; it must then end with exit 5."""
    ended = cli("verify", store / "releases/v1", "--json", *options)
    found = {name: lines for report in ended.json for name, lines in report["faults"].items()}
    assert ended.code == (5 if found else 0), ended.err
    return found


def edit(path: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    """Change a Parquet file of a release and make the checksums agree, as a careful forger would."""
    release = next(folder for folder in path.parents if (folder / "checksums.sha256").exists())
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    pq.write_table(change(pq.read_table(path)), path)
    after = hashlib.sha256(path.read_bytes()).hexdigest()
    sums = release / "checksums.sha256"
    assert before in sums.read_text()
    sums.write_text(sums.read_text().replace(before, after))


def swap(table: pa.Table, name: str, i: int, j: int) -> pa.Table:
    """The table with two values of a column exchanged."""
    values = table[name].to_pylist()
    values[i], values[j] = values[j], values[i]
    return table.set_column(
        table.schema.get_field_index(name), name, pa.array(values, table.schema.field(name).type)
    )


def part(store: Path, folder: str) -> Path:
    """The first part below a folder of the release."""
    return sorted((store / "releases/v1" / folder).glob("**/part-*.parquet"))[0]


def test_an_untouched_release_passes(store: Path) -> None:
    """Every check passes, from files alone and with the store."""
    assert faults(store) == {}
    assert faults(store, "--store", store, "--run", reference().run_path, "--sample", 400) == {}


def test_a_run_file_that_is_no_yaml_is_a_fault(store: Path) -> None:
    """Zeros in the run file of a release are named, also where its tokenizer is looked up in it; `explain` too."""
    path = store / "releases/v1/run.yaml"
    path.write_bytes(bytes(512) + path.read_bytes()[512:])
    make_sums_agree(store / "releases/v1")
    assert any("run.yaml" in line for lines in faults(store).values() for line in lines)
    with pytest.raises(StoreError, match="damaged, no YAML"):
        sections_of(open_store(str(store / "releases/v1")))
    dropped = next(row["doc_id"] for row in ledger(store) if not row["keep"])
    ended = cli("explain", store / "releases/v1", dropped)
    assert ended.code == 1 and "run.yaml: damaged" in ended.err


def test_a_damaged_list_of_checksums_is_named(store: Path) -> None:
    """A digit that changed in checksums.sha256 is reported with both digests, and both files."""
    path = store / "releases/v1/checksums.sha256"
    digest = path.read_text()[:64]
    other = digest[:-1] + ("0" if digest[-1] != "0" else "1")
    path.write_text(path.read_text().replace(digest, other))
    (line, *_) = faults(store)["files have their checksums"]
    assert digest in line and f"checksums.sha256 has {other}" in line


def test_flipped_byte(store: Path) -> None:
    """A byte changed on disk is a checksum that does not hold."""
    path = store / "releases/v1/licenses.csv"
    path.write_bytes(path.read_bytes().replace(b"0", b"1", 1))
    assert "licenses.csv has SHA-256" in faults(store)["files have their checksums"][0]


@pytest.mark.parametrize("name", ["licenses.csv", "lineage.json", "data/"])
def test_flipped_byte_of_the_checksums(store: Path, name: str) -> None:
    """A checksum that was changed itself is named, and not only the file, which is as it was written."""
    path = store / "releases/v1/checksums.sha256"
    lines = path.read_text().splitlines(keepends=True)
    (i, *_) = [i for i, line in enumerate(lines) if f"  {name}" in line]
    lines[i] = ("0" if lines[i][5] == "1" else "1").join((lines[i][:5], lines[i][6:]))
    path.write_text("".join(lines))
    (found,) = faults(store)["files are those of the lineage"]
    assert found.startswith(f"checksums.sha256: {name}") and "another checksum" in found


def test_stray_and_missing_files(store: Path) -> None:
    """A file that is not listed and one that is gone are both named."""
    (store / "releases/v1/extra.txt").write_text("x")
    (store / "releases/v1/README.md").unlink()
    lines = faults(store)["files have their checksums"]
    assert sorted(lines) == ["README.md is missing", "extra.txt is not listed in checksums.sha256"]


def test_removed_row(store: Path) -> None:
    """A document taken out of data/ is missed, although every checksum holds."""
    edit(part(store, "data"), lambda table: table.slice(1))
    found = faults(store)
    assert any(
        "is kept but not in data/" in line for line in found["data holds the kept documents, each once"]
    )


def test_edited_text(store: Path) -> None:
    """A text edited in data/ no longer is the text of the mix, although every checksum holds."""

    def blur(table: pa.Table) -> pa.Table:
        texts = [text.replace("。", "！").replace("the", "a") for text in table["text"].to_pylist()]
        return table.set_column(
            table.schema.get_field_index("text"), "text", pa.array(texts, pa.large_string())
        )

    edit(part(store, "data"), blur)
    assert any("other text than in data/" in line for line in faults(store)["mix half: order, parts, copies"])


def test_moved_ledger_row(store: Path) -> None:
    """A verdict moved to another row of the ledger is found, although the counts balance."""

    def move(table: pa.Table) -> pa.Table:
        keep = table["keep"].to_pylist()
        i, j = keep.index(True), keep.index(False)
        for name in ("keep", "rule", "copies"):
            table = swap(table, name, i, j)
        return table

    mixed = next(path for path in sorted((store / "releases/v1/ledger").iterdir())
                 if len(set(pq.read_table(path)["keep"].to_pylist())) == 2)  # fmt: skip
    edit(mixed, move)
    found = faults(store)["data holds the kept documents, each once"]
    assert any("is kept but not in data/" in line for line in found)


def test_removed_ledger_row(store: Path) -> None:
    """A ledger row less breaks conservation."""
    edit(part(store, "ledger"), lambda table: table.slice(1))
    assert any("ledger rows" in line for lines in faults(store).values() for line in lines)


def test_reordered_mix(store: Path) -> None:
    """A mix whose rows are not in its training order is found."""
    edit(part(store, "mixes"), lambda table: swap(swap(table, "doc_id", 0, 1), "text", 0, 1))
    assert (
        "the files of the mix are not in its training order"
        in faults(store)["mix half: order, parts, copies"]
    )


def test_edited_clusters(store: Path) -> None:
    """Two clusters that have changed their keepers do not agree with the ledger."""
    edit(part(store, "clusters"), lambda table: swap(table, "keepers", 0, 1))
    found = faults(store)
    lines = found.pop("clusters are what the ledger says")
    assert len(lines) == 2 and lines[0].startswith("row 0: ")
    assert set(found) == {"files are those of the lineage", "pages are written from the numbers"}


def test_damage_whose_checksums_agree(store: Path) -> None:
    """Kinds of damage that no checksum shows are found by what files have in common, without the lineage's digests."""
    sound = store / "releases/v1"
    lineage = json.loads((sound / "lineage.json").read_text())
    lineage["digests"].pop("files")
    (sound / "lineage.json").write_text(json.dumps({k: v for k, v in lineage.items() if k != "digest"}))
    chosen = (
        "two texts exchanged in data and mix", "data and mix: url rolled", "ledger: another keeper",
        "order and mix: first two documents exchanged", "data: rows reversed", "lineage: kept tokens",
        "README.md: a number", "licenses.csv: a number",
    )  # fmt: skip
    for kind in agreeing_kinds():
        if kind.name in chosen:
            release = Path(shutil.copytree(sound, store / "copy"))
            names = kind.change(release, random.Random(1))
            make_sums_agree(release)
            report = verify_files(open_store(str(release)))
            text = "\n".join(line for lines in report.faults.values() for line in lines)
            assert any(name in text for name in names), (kind.name, report.faults)
            shutil.rmtree(release)


def test_damaged_files_are_faults(store: Path) -> None:
    """Truncated Parquet, a page without header, an emptied list of checksums: faults that name the file."""
    release = store / "releases/v1"
    data, ledger = part(store, "data"), part(store, "ledger")
    data.write_bytes(data.read_bytes()[:500])
    page = bytearray(ledger.read_bytes())
    page[4:44] = bytes(40)  # the header of the first page
    ledger.write_bytes(page)
    found = faults(store)
    assert {line.partition(":")[0] for line in found["files can be read"]} == {
        path.relative_to(release).as_posix() for path in (data, ledger)
    }
    (release / "checksums.sha256").write_bytes(b"")
    assert "checksums.sha256 lists no file" in faults(store)["files have their checksums"]


def test_shifted_removal_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A build that applies its removals one row too late balances in every count; raw bytes tell."""

    def shifted(*arguments: Any) -> Kept:
        kept = final(*arguments)
        rule = np.roll(kept.rule, 1)
        return replace(kept, keep=rule == -1, rule=rule)

    done, store = reference(), reference().copy(tmp_path)
    run_path = done.variant(
        small_page(keep_one={}, select=[{"name": "short", "tokens.n_tokens": {"min": 300}}])
    )
    with monkeypatch.context() as patch:
        for module in ("facts", "write"):
            patch.setattr(f"pipeline.release.{module}.final", shifted)
        build(run_path, store)
    lineage = json.loads((store / "releases/v1/lineage.json").read_text(encoding="utf-8"))
    assert lineage["counts"]["dropped"] > 50
    assert faults(store) == {}
    found = faults(store, "--store", store, "--run", run_path, "--sample", 400)
    assert found["decisions derived again from raw bytes"] and found["released texts derived again"]


def test_edited_store(store: Path) -> None:
    """An annotation that was edited in the store is found by measuring the document again."""
    folder = next((store / "annotations/minhash").iterdir())
    path = sorted(folder.glob("*.parquet"))[0]
    table = pq.read_table(path)
    rolled = pa.table(
        [table.column(0).take(pa.array(np.roll(np.arange(len(table)), 1)))], schema=table.schema
    )
    pq.write_table(rolled, path)
    found = faults(store, "--store", store, "--run", reference().run_path, "--sample", 400)
    assert any("minhash" in line for line in found["stored annotations measured again"])


def test_what_is_no_release(tmp_path: Path, store: Path) -> None:
    """A folder without checksums, or half of the options, ends with exit 2 and says so."""
    ended = cli("verify", tmp_path)
    assert ended.code == 2 and "this is no release, or it was not finished" in ended.err
    ended = cli("verify", store / "releases/v1", "--store", store)
    assert ended.code == 2 and "--store needs --run as well" in ended.err


def test_corpus_wide_results_are_taken_from_the_store() -> None:
    """Over a sample only the steps behind the clusters run again; others give their stored rows, in any order."""
    finished = open_build(load_run(reference().run_path), open_store(str(reference().store)))
    assert clustering(finished) == {"candidates", "dedup"}
    rows = {row["doc_id"]: row for row in ledger(reference().store)}
    doc_ids = sorted(rows)[::-7]
    (repeats,) = [step for step in finished.run.globals if step.name == "repeats"]
    found = stored_rows(finished, repeats, doc_ids, rows)["n_same"].to_pylist()
    (dedup,) = [step for step in finished.run.globals if step.name == "dedup"]
    clusters = stored_rows(finished, dedup, doc_ids, rows)["cluster"].to_pylist()
    assert len(found) == len(doc_ids)
    assert clusters == [rows[doc_id]["cluster"] for doc_id in doc_ids]
    assert any(clusters)
