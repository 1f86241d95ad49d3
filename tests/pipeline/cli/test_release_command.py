"""Another release of a finished store: decided and written, never measured; every command on releases reads it."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.report.release_pages import PAGES
from tests.helpers.build import build, cli, digests, ledger, reference, small_page, texts

LOCAL = ("--engine", "local", "--workers", 1)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A copy of the finished reference build."""
    return reference().copy(tmp_path)


def strict(n: int = 200) -> Path:
    """A run file with a higher threshold than the reference's."""
    page = copy.deepcopy(small_page())
    page["select"][0]["tokens.n_tokens"]["min"] = n
    return reference().variant(page)


def cut(run_path: Path, store: Path, name: str, *options: object) -> dict[str, Any]:
    """Run `bicorpus release`; returns its record."""
    command = ("release", run_path, "--store", store, "--name", name, *LOCAL, "--json")
    return dict(cli(*command, *options).ok().json)


def test_the_same_decisions_under_another_name(store: Path) -> None:
    """The data, mixes and ledger are those of the first release byte for byte, and that one is left alone."""
    done = reference()
    record = cut(done.run_path, store, "again")
    assert record["release"] == "releases/again" and record["kept"] == done.record["kept"]
    assert record["tasks"].pop("release") > 0
    assert record["text_tasks"] == sum(record["tasks"].values()) == 0
    assert digests(store) == done.digests
    named = (
        *PAGES,
        "checksums.sha256",
        "lineage.json",
        "report.html",
        "report.json",
        "run.yaml",
    )
    again = digests(store, "again")
    assert {key for key in again if again[key] != done.digests[key]} == set(named)
    first, *rest = (store / "releases/again/run.yaml").read_text("utf-8").splitlines(keepends=True)
    assert first == "# cut with `bicorpus release --name again --mix half`\n"
    assert "".join(rest) == done.run_path.read_text("utf-8")
    before = digests(store, "again")
    assert cut(done.run_path, store, "again")["tasks"]["release"] == 0
    assert digests(store, "again") == before


def test_it_equals_what_a_run_would_release(store: Path, tmp_path: Path) -> None:
    """An edited run file gives the release that `run` gives, and keepers are chosen anew without reading text."""
    record = cut(strict(), store, "strict")
    assert record["tasks"]["global"] == 1 and record["tasks"]["annotate"] == record["text_tasks"] == 0
    assert record["kept"] == len(texts(store, "strict")) < reference().record["kept"]
    page = copy.deepcopy(small_page())
    page["select"][0]["tokens.n_tokens"]["min"] = 200
    page["release"]["name"] = "strict"
    other = reference().copy(tmp_path / "other")
    build(reference().variant(page), other)
    mine, run = digests(store, "strict"), digests(other, "strict")
    named = {
        "run.yaml",
        *PAGES,
        "checksums.sha256",
        "lineage.json",
    }  # the card has the size of run.yaml, lineage.json its digest
    assert {key for key in mine if mine[key] != run[key]} - named == set()
    cards = [(folder / "releases/strict/README.md").read_text().splitlines() for folder in (store, other)]
    differing = [line for line in zip(*cards, strict=True) if line[0] != line[1]]
    assert all(line.startswith("| `run.yaml` |") for pair in differing for line in pair)


def test_the_default_mix_can_be_another(store: Path) -> None:
    """--mix sets the mix counted by the ledger; verify reads its name from the release."""
    done = reference()
    cut(done.run_path, store, "all", "--mix", "natural")
    assert {row["copies"] for row in ledger(store, "all")} == {0, 1}
    assert all((row["copies"] == 1) == row["keep"] for row in ledger(store, "all"))
    assert any(row["copies"] == 0 and row["keep"] for row in ledger(store))
    release = store / "releases/all"
    cli("verify", release, "--store", store, "--run", done.run_path, "--sample", 30).ok()
    wrong = cli("release", done.run_path, "--store", store, "--name", "b", "--mix", "hlaf", *LOCAL)
    assert wrong.code == 2 and "did you mean 'half'" in wrong.err


def test_it_refuses_to_measure(store: Path) -> None:
    """A missing stage, global step or input is named with the command to run; nothing is written."""
    changes: list[tuple[dict[str, Any], str]] = []
    for add in (
        {"use": "stages.tokens", "as": "raw"},
        {"use": "stages.minhash", "config": {"seed": 9}, "as": "m"},
    ):
        page = small_page()
        changes.append((page | {"annotate": [*page["annotate"], add]}, f"not computed: {add['as']}"))
    page = small_page()
    changed = [*page["global"][:2], {"use": "stages.dedup", "config": {"threshold": 0.9}}]
    changes.append((page | {"global": changed}, "not computed: dedup"))
    changes.append((page | {"release": {"name": "v1"}}, "not computed: tokens"))  # counts follow the edits
    changes.append(
        (page | {"ingest": {"shard_bytes": "50kB", "pack_bytes": 0}}, "13 inputs are not ingested")
    )
    before = {path: path.stat().st_mtime_ns for path in store.rglob("*")}
    for changed_page, message in changes:
        run_path = reference().variant(changed_page)
        done = cli("release", run_path, "--store", store, "--name", "v2", *LOCAL)
        assert done.code == 2 and message in done.err and "run `bicorpus run` first" in done.err
    assert {path: path.stat().st_mtime_ns for path in store.rglob("*")} == before


def test_a_name_that_is_taken_is_kept(store: Path) -> None:
    """Another release of the same name is replaced only with --force."""
    done = cli("release", strict(), "--store", store, "--name", "v1", *LOCAL)
    assert done.code == 2 and "choose another --name, or replace it with --force" in done.err
    assert digests(store) == reference().digests
    assert cut(strict(), store, "v1", "--force")["kept"] < reference().record["kept"]
    bad = cli("release", strict(), "--store", store, "--name", "a/b", *LOCAL)
    assert bad.code == 2 and "expected a letter or digit" in bad.err


def test_other_commands_read_it(store: Path, tmp_path: Path) -> None:
    """diff, locate, report, verify and status work on it as on a release of `run`; people get two lines."""
    done = cli("release", strict(), "--store", store, "--name", "strict", *LOCAL).ok()
    assert done.out == f"{store}/releases/strict\n"
    assert " documents kept, " in done.err and "0 of them read text before the release" in done.err
    old, new = store / "releases/v1", store / "releases/strict"
    found = cli("diff", old, new, "--json").ok().json
    changes = {(change["from"], change["to"]): change["documents"] for change in found["changes"]}
    assert changes[("kept", "too_short")] > 0 and ("too_short", "kept") not in changes
    assert not found["steps"] and not found["texts"]
    assert found["old"]["kept"] > found["new"]["kept"] == len(texts(store, "strict"))
    assert f"{changes[('kept', 'too_short')]:,}  kept -> too_short" in cli("diff", old, new).ok().out
    located = cli("locate", new, "--mix", "natural", "--at", "0:5000", "--json").ok().json
    kept = {row["doc_id"] for row in ledger(store, "strict") if row["keep"]}
    assert located and {row["doc_id"] for row in located} <= kept
    for release in (old, new):
        page = tmp_path / f"{release.name}.html"
        cli("report", release, "--to", page).ok()
        assert page.read_text("utf-8") == (release / "report.html").read_text("utf-8")
    assert json.loads(cli("report", new, "--json").ok().out)["name"] == "strict"
    cli("verify", new, "--store", store, "--run", strict(), "--sample", 30).ok()
    state = json.loads(cli("status", "--store", store, "--json").ok().out)
    assert state["releases"] == {"strict": "complete", "v1": "complete"}
    assert state["runs"][-1]["release"] == "releases/strict" and state["runs"][-1]["status"] == "done"
