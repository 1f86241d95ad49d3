"""Places of documents within their host and slice, and rules that cap them."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline.config.load import load_run
from pipeline.errors import ConfigError
from pipeline.keyed_hash import keyed_hash
from stages.web.caps import GLOBAL, READS, Config, slice_of
from tests.helpers.build import build, cli, command, digests, ledger, to_line, write_run
from tests.helpers.run_global import align, number_rows, run_global

KINDS = {"passes_base": pa.bool_(), "score": pa.float32(), "tokens": pa.int32(), "cluster": pa.int64()}


Document = Mapping[str, object]


def places(
    rows: Sequence[Document], n_shards: int = 1, n_partitions: int = 1, **settings: Any
) -> list[dict[str, Any]]:
    """The step's output for documents given by the columns that matter."""
    config = Config(**settings)
    columns = (*READS, "score", "tokens", "cluster")
    full = [{"doc_id": f"{i:026d}", "passes_base": True, **row} for i, row in enumerate(rows)]
    table = pa.table(
        {name: pa.array([row.get(name) for row in full], KINDS.get(name, pa.string())) for name in columns}
    )
    bounds = [i * len(rows) // n_shards for i in range(n_shards + 1)]
    shards = number_rows([table.slice(start, end - start) for start, end in itertools.pairwise(bounds)])
    mapped = pa.concat_tables([GLOBAL.map(shard, config) for shard in shards])
    assert mapped.schema.equals(GLOBAL.map(shards[0].slice(0, 0), config).schema)
    step = replace(GLOBAL, reads=columns)
    found = pa.concat_tables(align(run_global(step, shards, config, n_partitions), shards, step))
    return [
        {name: row[f"caps.{name}"] for name in ("rank", "used", "n_documents")} for row in found.to_pylist()
    ]


def test_the_best_come_first_and_weigh() -> None:
    """Ranks follow the score, null last; a null or zero weight adds nothing; other hosts do not matter."""
    rows: list[Document] = [
        {"host": "a", "score": 0.5, "tokens": 10}, {"host": "a", "score": None, "tokens": 7},
        {"host": "a", "score": 0.9, "tokens": 5}, {"host": "b", "score": 0.1, "tokens": None},
    ]  # fmt: skip
    found = places(rows, prefer="score", weigh="tokens")
    assert [(row["rank"], row["used"], row["n_documents"]) for row in found] == [
        (2, 15, 3),
        (3, 22, 3),
        (1, 5, 3),
        (1, 0, 1),
    ]
    low = places(rows, prefer="score", prefer_low=True)
    assert [(row["rank"], row["used"]) for row in low] == [(1, 1), (3, 3), (2, 2), (1, 1)]


def test_ties_go_by_the_hash_of_the_document() -> None:
    """Without a score the order is that of the keyed hash; another seed gives another order."""
    rows = [{"host": "a"} for _ in range(50)]
    ids = pa.array([f"{i:026d}" for i in range(50)])
    for seed in (0, 7):
        expected = keyed_hash(ids, seed).argsort().argsort() + 1
        assert [row["rank"] for row in places(rows, seed=seed)] == expected.tolist()


def test_who_does_not_compete_has_no_place() -> None:
    """Documents that fail a base rule or have no host are null; derived ones compete with each other alone."""
    rows: list[Document] = [
        {"host": "a"},
        {"host": "a", "passes_base": False},
        {"host": None},
        {"host": "a", "parent_id": "p"},
    ]
    found = places(rows)
    assert [row["rank"] for row in found] == [1, None, None, 1]
    assert [row["n_documents"] for row in found] == [1, None, None, 1]


def test_slices_are_apart() -> None:
    """A host has places for each snapshot, year or month, or for all together."""
    dates = ("2024-05-01", "2024年5月3日", "2024/11/02", "20231101", "Wed, 1 May 2024 10:00", "", None)
    rows = [{"host": "a", "snapshot": s, "date": d} for s, d in itertools.product(("x", "y", None), dates)]
    groups = {
        choice: sorted(row["n_documents"] for row in places(rows, slice=choice))
        for choice in ("snapshot", "year", "month", "none")
    }
    assert groups["snapshot"] == [7] * 21 and groups["none"] == [21] * 21
    assert groups["year"] == [3] * 3 + [6] * 6 + [12] * 12
    assert groups["month"] == [3] * 9 + [6] * 12
    written = pa.table({"date": ["2024-05-01T00:00:00Z", "2024年12月", "20240131", "2024", None, "12345"]})
    assert slice_of(written, Config(slice="month")).to_pylist() == [
        "2024-05",
        "2024-12",
        "2024-01",
        "2024-00",
        "-00",
        "-00",
    ]


def test_copies_share_a_place() -> None:
    """Documents of one cluster take the place, and the weight, of the best of them; other hosts have their own."""
    some = [(1, 0.9), (1, 0.8), (2, 0.7), (None, 0.6), (1, 0.5), (None, 0.4)]
    rows = [{"host": "a", "cluster": c, "score": s, "tokens": 10} for c, s in some]
    rows.append({"host": "b", "cluster": 1, "score": 0.3, "tokens": 10})
    found = places(rows, prefer="score", once="cluster", weigh="tokens")
    assert [(row["rank"], row["used"]) for row in found] == [
        (1, 10),
        (1, 10),
        (2, 20),
        (3, 30),
        (1, 10),
        (4, 40),
        (1, 10),
    ]


@pytest.mark.parametrize(("n_shards", "n_partitions"), [(1, 4), (3, 1), (5, 7)])
def test_cuts_of_the_corpus_change_nothing(n_shards: int, n_partitions: int) -> None:
    """Any shards and partitions give the same places."""
    rows = [
        {
            "host": f"h{i % 7}",
            "score": (i * 37 % 11) / 10,
            "tokens": i % 5,
            "cluster": i % 13,
            "snapshot": f"s{i % 3}",
        }
        for i in range(200)
    ]
    settings: dict[str, Any] = {"prefer": "score", "weigh": "tokens", "once": "cluster"}
    assert places(rows, n_shards, n_partitions, **settings) == places(rows, **settings)


def test_settings_are_checked(tmp_path: Path) -> None:
    """A wrong slice, an unknown column and one that is no number stop the run at its start."""
    with pytest.raises(ConfigError, match="expected one of snapshot, year"):
        Config(slice="week")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="expected a list of columns"):
        Config(by="host")  # type: ignore[arg-type]
    write_pages(tmp_path)
    for setting, said in (
        (("prefer", "signals.nothing"), "no column"),
        (("prefer", "urls.host"), "column of numbers"),
    ):
        with pytest.raises(ConfigError, match=said):
            load_run(write_run(tmp_path, page(dict([setting]))))


def page(config: dict[str, Any] | None = None, cap: int = 3) -> dict[str, Any]:
    """A run file with lists and caps over `write_pages`."""
    settings = {"by": ["urls.domain"], "prefer": "edu.score", "weigh": "text_bytes", **(config or {})}
    web = {"name": "web", "reader": "stages.readers.jsonl", "files": "web-*.jsonl", "snapshot": "CC-2025-30"}
    return {
        "corpus": "capped",
        "sources": [{**web, "columns": {"edu.score": "score"}}],
        "annotate": [{"use": "stages.web.urls", "config": {"block_suffixes": {"bad": "bad.txt"}}}],
        "global": [{"use": "stages.web.caps", "config": settings}],
        "select": [
            {"name": "blocked_url", "urls.blocked": False, "if_null": "keep", "base": True},
            {"name": "host_cap", "caps.rank": {"max": cap}, "if_null": "keep"},
        ],
        "release": {"name": "v1"},
    }


def write_pages(folder: Path) -> None:
    """Ten pages of two hosts of one domain, four of a blocked one, one without a url; in three files."""
    rows: list[dict[str, Any]] = [
        {
            "text": f"Page {i} about libraries.",
            "url": f"https://{'ab'[i % 2]}.site.com.cn/{i}",
            "score": i / 10,
        }
        for i in range(10)
    ]
    rows += [{"text": f"Bad page {i}.", "url": f"http://x{i}.bad.com/", "score": 1.0} for i in range(4)]
    rows += [{"text": "A page without an address.", "score": 0.0}]
    for i in range(3):
        (folder / f"web-{i}.jsonl").write_text("".join(map(to_line, rows[i::3])), "utf-8")
    (folder / "bad.txt").write_text("bad.com\n")


def test_caps_and_lists_end_to_end(tmp_path: Path) -> None:
    """The best three of a domain are kept; explain names rank, number and list; verify reproduces them."""
    write_pages(tmp_path)
    run, store = write_run(tmp_path, page()), tmp_path / "store"
    build(run, store)
    rows = {row["doc_id"]: row for row in ledger(store)}
    reasons = sorted(row["rule"] or "kept" for row in rows.values())
    assert reasons == ["blocked_url"] * 4 + ["host_cap"] * 7 + ["kept"] * 4
    shown = cli("explain", run, "--store", store, "--url", "https://b.site.com.cn/1", "--json").ok().json
    assert shown["rule"] == "host_cap"
    assert (shown["annotations"]["caps.rank"], shown["annotations"]["caps.n_documents"]) == (9, 10)
    (condition,) = next(rule for rule in shown["rules"] if rule["name"] == "host_cap")["conditions"]
    assert (condition["value"], condition["max"], condition["margin"]) == (9, 3, -6)
    blocked = cli("explain", run, "--store", store, "--url", "http://x1.bad.com/").ok().out
    assert (
        "dropped by blocked_url" in blocked and "'list': 'bad'" in blocked and "'entry': 'bad.com'" in blocked
    )
    cli("verify", store / "releases/v1", "--store", store, "--run", run).ok()
    stricter = write_run(tmp_path, page(cap=1), "stricter.yaml")
    assert build(stricter, store)["tasks"]["global"] == 0  # another cap measures nothing
    assert sum(row["keep"] for row in ledger(store)) == 2


def test_growing_and_partitions_give_the_same_bytes(tmp_path: Path) -> None:
    """A domain that grows has other places; the release is that of a build at once, in any partitions and processes."""
    write_pages(tmp_path)
    run = write_run(tmp_path, page())
    build(run, tmp_path / "whole")
    expected = digests(tmp_path / "whole")
    shutil.move(tmp_path / "web-1.jsonl", tmp_path / "later")
    build(run, tmp_path / "grown")
    shutil.move(tmp_path / "later", tmp_path / "web-1.jsonl")
    build(run, tmp_path / "grown")
    assert digests(tmp_path / "grown") == expected
    options = ("--engine", "local", "--workers", 2, "--partitions", 5, "--batch-rows", 2)
    command("run", run, "--store", tmp_path / "cut", "--quiet", *options, PYTHONHASHSEED="5").ok()
    assert digests(tmp_path / "cut") == expected
    assert (
        json.loads((tmp_path / "whole/releases/v1/lineage.json").read_text("utf-8"))["failed"]["host_cap"]
        == 7
    )
