"""Planted personal values: none in any decoded byte of a public release, or of the store outside shards."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.helpers.build import build, cli, ledger, texts, tiny, write_run
from tests.helpers.passage_texts import prose

N = 200
FORMS = (
    "邮箱：canary{n:03d}@qq.com。", "Write to canary.{n:03d}@example.org today.", "电话：139000{n:05d}，",
    "Tel: 0571-88{n:06d}.",
    "QQ：77700{n:04d}，", "微信号：canary_wx{n:03d}，", "护照号：E77{n:06d}，", "key AKIACANARY{n:010d}.",
    "call +44 20 7946 0{n:03d} now",
    "https://x.cn/a?token=canarytoken{n:03d}",
)  # fmt: skip


def canaries() -> list[str]:
    """The values alone, without their introductions."""
    values = (
        "canary{n:03d}@qq.com", "canary.{n:03d}@example.org", "139000{n:05d}", "0571-88{n:06d}",
        "77700{n:04d}", "canary_wx{n:03d}",
        "E77{n:06d}", "AKIACANARY{n:010d}", "20 7946 0{n:03d}", "canarytoken{n:03d}",
    )  # fmt: skip
    return [values[n % len(values)].format(n=n) for n in range(N)]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A store with a public release of 100 documents with two canaries each; a third are dropped, some are near
    copies."""
    folder = tmp_path_factory.mktemp("canaries")
    rows: list[dict[str, Any]] = []
    for i in range(0, N, 2):
        planted = [FORMS[n % len(FORMS)].format(n=n) for n in (i, i + 1)]
        body = prose(i // 2 if i % 6 else 900 + i % 4, 260)
        host = f"https://someone@dropped{i}.cn" if i % 3 == 0 else f"https://kept{i}.cn"
        rows.append({"id": f"/secret/path/{i}" if i % 3 == 0 else f"kept-{i}", "url": f"{host}/p?email=canar"
        f"y{i:03d}@qq.com&x=1",
                     "text": f"{body[:130]}{planted[0]}{body[130:]}\n{planted[1]}"})  # fmt: skip
    page = tiny(
        folder, rows,
        annotate=["stages.signals", "stages.dedup.exact", "stages.minhash", "classifiers.language", "stages.pii",
                  {"use": "stages.tokens", "view": "release"}],
        select=[{"name": "unwanted", "source_id": {"not_in": [r["id"] for r in rows if r["id"].startswith("/")]},
                 "if_null": "keep"}],
        keep_one={"of": "dedup", "prefer": [{"signals.n_chars": "high"}]},
        release={"name": "v1", "profile": "public", "edits": {"pii": "all"},
        "replace": {"email": "<EMAIL_{pseudonym}>"}},
        tokens={"mixes": ["natural"]},
    )  # fmt: skip
    page["global"] = ["stages.dedup.candidates", "stages.dedup"]
    run, store = write_run(folder, page), folder / "store"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BICORPUS_PSEUDONYM_KEY", "a key of the test that is long")
        build(run, store)
    return run, store


def decoded(path: Path) -> str:
    """All that a file contains, as text: Parquet row by row, others byte by byte."""
    if path.suffix == ".parquet":
        return json.dumps(pq.read_table(path).to_pylist(), ensure_ascii=False, default=str)
    data = path.read_bytes()
    return (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode("latin-1")


def test_no_canary_is_outside_shards(built: tuple[Path, Path]) -> None:
    """Every byte of release and store is decoded: no value is in it, but in shards, which hold the text itself."""
    _, store = built
    values = canaries()
    seen = "".join(decoded(path) for path in (store / "shards").rglob("*.parquet"))
    assert [value for value in values if value not in seen] == []
    for path in sorted(path for path in store.rglob("*") if path.is_file()):
        if "shards" not in path.relative_to(store).parts:
            text = decoded(path)
            assert [value for value in values if value in text] == [], path
            assert "a key of the test" not in text, path


def test_the_public_profile_leaves_out_paths_and_dropped_records(built: tuple[Path, Path]) -> None:
    """No path, user name or record id of a dropped document is in a public release, and verify proves it."""
    _run, store = built
    release = store / "releases/v1"
    for path in (path for path in release.rglob("*") if path.is_file()):
        text = decoded(path)
        assert "/secret/path" not in text, path
        assert (
            "someone@" not in text and "dropped" not in text.replace('"dropped"', "")
        ) or path.suffix != ".parquet", path
        assert str(store.parent) not in text, path
    dropped = [row for row in ledger(store) if not row["keep"]]
    assert dropped and all(row["source_id"] is None for row in dropped)
    line = next(line for line in cli("verify", release).ok().out.splitlines() if "public" in line)
    assert line.endswith("ok")
    urls = {
        row["url"]
        for path in (release / "data").rglob("*.parquet")
        for row in pq.read_table(path).to_pylist()
    }
    assert all(url.endswith("/p?x=1") and "@" not in url for url in urls)


def test_verify_refuses_a_public_release_with_paths(built: tuple[Path, Path], tmp_path: Path) -> None:
    """A path that somebody writes into a page of a public release is a fault of the profile."""
    from pipeline.inspect.public import public_faults
    from pipeline.storage.store import open_store

    (tmp_path / "lineage.json").write_text('{"profile": "public", "inputs": {"s3://bucket/x.jsonl": 1}}')
    assert len(public_faults(open_store(str(tmp_path)), {"lineage.json": ""})[1]) == 1
    (tmp_path / "lineage.json").write_text('{"profile": "internal", "inputs": {"s3://bucket/x.jsonl": 1}}')
    assert public_faults(open_store(str(tmp_path)), {"lineage.json": ""}) == (0, [])


def test_commands_show_replacements_unless_asked(
    built: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`show` and `explain` print texts as they would be released, with --raw as they were read; equal values have
    one pseudonym."""
    run, store = built
    monkeypatch.setenv("BICORPUS_PSEUDONYM_KEY", "a key of the test that is long")
    values = canaries()
    plain = cli("show", run, "--store", store, "--limit", 100, "--json").ok().out
    assert "<EMAIL_" in plain
    assert [value for value in values[::10] if value in plain] == []
    raw = cli("show", run, "--store", store, "--limit", 100, "--json", "--raw").ok().out
    assert values[0] in raw
    for target, options in (("rows.jsonl", ("export",)), ("audit.html", ("audit", "draw"))):
        path = run.parent / target
        cli(*options, run, "--store", store, "--to", path).ok()
        written = path.read_text(encoding="utf-8")
        assert "EMAIL_" in written and [value for value in values[::10] if value in written] == []
    released = texts(store)
    assert any("<EMAIL_" in text for text in released.values())
