"""Hold-out: choices by name, spreading along links, and a build whose mixes have nothing similar to held documents."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ConfigError
from pipeline.mix.config import parse_mix
from pipeline.mix.holdout import Holdout, is_chosen, linked, name_links, parse_holdout, spread
from tests.helpers.build import cli, ledger, reference, small_page
from tests.helpers.mix_corpus import doc_ids


def documents(
    clusters: list[str | None], parents: list[str | None], pairs: list[str | None]
) -> dict[str, pa.ChunkedArray]:
    """Columns of documents with ids d0, d1, …; equal texts only within a cluster."""
    texts = [cluster or f"text{i}" for i, cluster in enumerate(clusters)]
    columns = {
        "doc_id": [f"d{i}" for i in range(len(clusters))], "text_hash": texts, "parent_id": parents,
        "dedup.cluster": clusters, "pair": pairs,
    }  # fmt: skip
    return {name: pa.chunked_array([pa.array(values, pa.string())]) for name, values in columns.items()}


names = st.lists(st.sampled_from([None, "d0", "d1", "d2", "x"]), min_size=8, max_size=8)


@given(names, names, names, st.integers(1, 7), st.integers(0, 100))
def test_components_are_not_divided(
    clusters: list[str | None], parents: list[str | None], pairs: list[str | None], cut: int, seed: int
) -> None:
    """The documents held out are whole components of the graph of links, for any sharding."""
    columns, holdout = documents(clusters, parents, pairs), Holdout(share=0.3, together=("pair",), seed=seed)
    chosen = is_chosen(columns, holdout, "dedup.cluster")
    links = name_links(columns, holdout, "dedup.cluster")
    found = spread([links], [chosen])
    held = linked(links, found)
    parts = spread([[c[:cut] for c in links], [c[cut:] for c in links]], [chosen[:cut], chosen[cut:]])
    assert parts.equals(found) and not np.any(chosen & ~held)
    sets = [{name for name in row if name} for row in zip(*(c.to_pylist() for c in links), strict=True)]
    component = list(range(8))
    for _ in range(8):
        for i in range(8):
            for j in range(8):
                if sets[i] & sets[j]:
                    component[i] = component[j] = min(component[i], component[j])
    for root in set(component):
        members = [i for i in range(8) if component[i] == root]
        assert len({bool(held[i]) for i in members}) == 1 and held[root] == any(chosen[i] for i in members)


def test_a_choice_depends_on_names_alone() -> None:
    """The share is met over clusters of any size, and more documents change no choice."""
    ids = doc_ids(20_000).to_pylist()
    rows = [ids[i // 4] for i in range(20_000)]  # clusters of four
    columns = documents([None] * 20_000, [None] * 20_000, [None] * 20_000)
    columns["dedup.cluster"] = pa.chunked_array([pa.array(rows)])
    chosen = is_chosen(columns, Holdout(share=0.1), "dedup.cluster")
    assert chosen.mean() == pytest.approx(0.1, abs=0.013)  # three standard errors of 5,000 clusters
    assert np.array_equal(chosen[::4], chosen[3::4])
    half = {name: column[:9_000] for name, column in columns.items()}
    assert np.array_equal(is_chosen(half, Holdout(share=0.1), "dedup.cluster"), chosen[:9_000])
    other = is_chosen(columns, Holdout(share=0.1, seed=1), "dedup.cluster")
    assert (other & chosen).mean() == pytest.approx(0.01, abs=0.005)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (0.01, "expected `share`, such as"),
        ({"shares": 0.1}, "unknown key 'shares'; did you mean 'share'"),
        ({"share": 0.6}, "share: found 0.6"), ({}, "share: found None"),
        ({"share": 0.1, "together": 3}, "list of columns"),
        ({"share": 0.1, "seed": -1}, "seed: found -1"), ({"share": 0.1, "as_in": 3}, "name an earlier release"),
        ({"share": 0.1, "materialise": 1}, "expected true or false"),
    ],
)  # fmt: skip
def test_wrong_settings_are_refused(settings: Any, message: str) -> None:
    """Each fault has its message; a mix may not have the name of the documents held out."""
    with pytest.raises(ConfigError, match=message):
        parse_holdout(settings, "mix.holdout")
    with pytest.raises(ConfigError, match=r"mix\.mixes\.holdout: this is the name"):
        parse_mix({"holdout": {"share": 0.1}, "mixes": {"holdout": {}}}, "mix")


MIXES = {
    "half": {"by": "source", "groups": {"zh": ["zh", "books"], "en": ["en"]}, "share": {"zh": 0.5, "en": 0.5}},
    "bytes": {
        "groups": {"zh": {"source": ["zh", "books"]}, "other": "rest"}, "share": {"zh": 1, "other": 1},
        "bytes": 40_000,
    },
    "rising": {
        "by": "source", "groups": {"zh": ["zh"], "en": ["en"]}, "disjoint": True, "tokens": 20_000,
        "schedule": [
            {"until": 0.5, "share": {"zh": 0.1, "en": 0.9}, "to": {"zh": 0.5, "en": 0.5}},
            {"until": 1.0, "share": {"zh": 0.5, "en": 0.5}},
        ],
    },
    "uni": {"by": "source", "preset": "unimax", "tokens": 30_000, "max_epochs": 6},
}  # fmt: skip

SECTION = {"default": "half", "max_discard": 0.95, "mixes": MIXES}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished build with two more releases: `v2` holds a tenth out, `v3` a fifth and all that `v2` does."""
    store = reference().copy(tmp_path_factory.mktemp("holdout"))
    again = {"share": 0.2, "seed": 5, "as_in": "v2"}
    for name, mix in (("v2", {**SECTION, "holdout": {"share": 0.1}}), ("v3", {"holdout": again})):
        page = small_page(mix=mix)
        page.pop("keep_one")  # near duplicates are kept, so that they could be divided
        ended = cli("release", reference().variant(page), "--store", store, "--name", name, "--json").ok()
        assert (
            ended.json["tasks"]["annotate"] == ended.json["text_tasks"] == 0
        )  # another ratio measures nothing
    return store


def order(store: Path, release: str, mix: str) -> list[str]:
    """Ids of a mix in training order."""
    ids: list[str] = pq.read_table(store / f"releases/{release}/orders/{mix}.parquet")["doc_id"].to_pylist()
    return ids


def test_no_near_duplicate_crosses(store: Path) -> None:
    """Nothing held out, and no member of its clusters, is in a mix; data/ has all documents; `verify` agrees."""
    rows = {row["doc_id"]: row for row in ledger(store, "v2")}
    held = set(order(store, "v2", "holdout"))
    trained = set(order(store, "v2", "natural"))
    kept = {doc_id for doc_id, row in rows.items() if row["keep"]}
    assert held and held | trained == kept and not held & trained
    for mix in MIXES:
        assert set(order(store, "v2", mix)) <= trained
    assert not {rows[d]["cluster"] for d in held} & {rows[d]["cluster"] for d in trained} - {None}
    assert len(held) / len(kept) == pytest.approx(0.1, abs=0.06)
    assert cli("verify", store / "releases/v2").code == 0
    texts = {doc_id: shingles(text) for doc_id, text in released(store, "v2").items()}
    pairs = [(a, b) for a in held for b in kept if a != b and similarity(texts[a], texts[b]) > 0.8]
    assert len(pairs) > 3 and all(b in held for _, b in pairs)


def released(store: Path, release: str) -> dict[str, str]:
    """Texts of the data of a release."""
    parts = (store / f"releases/{release}/data").glob("*/part-*.parquet")
    tables = [pq.read_table(part, columns=["doc_id", "text"]) for part in parts]
    return {row["doc_id"]: row["text"] for table in tables for row in table.to_pylist()}


def shingles(text: str) -> set[int]:
    """Hashes of the runs of eight characters."""
    return {hash(text[i : i + 8]) for i in range(max(len(text) - 7, 1))}


def similarity(a: set[int], b: set[int]) -> float:
    """Jaccard similarity, 0 at once where the sizes alone exclude 0.8."""
    if min(len(a), len(b)) < 0.8 * max(len(a), len(b)):
        return 0.0
    return len(a & b) / len(a | b)


def test_an_earlier_hold_out_is_kept(store: Path) -> None:
    """`as_in` holds the same documents out, and none that the earlier release trained on, for any share and seed."""
    assert set(order(store, "v3", "holdout")) == set(order(store, "v2", "holdout"))


def test_numbers_of_the_mixes(store: Path) -> None:
    """The lineage has asked, available, taken and left-out units by group, phases, and the order in slices."""
    lineage = json.loads((store / "releases/v2/lineage.json").read_text(encoding="utf-8"))
    mixes = lineage["mixes"]
    for mix in mixes.values():
        for group in mix["groups"]:
            assert 0 <= group["discarded"] <= group["available"]
            assert abs(group["taken"] - group["asked"]) < 0.1 * max(group["asked"], 1)
    assert mixes["bytes"]["unit"] == "bytes" and sum(g["asked"] for g in mixes["bytes"]["groups"]) == 40_000
    assert mixes["uni"]["preset"] == "unimax"
    phases = mixes["rising"]["phases"]
    ids = order(store, "v2", "rising")
    first, second = (set(ids[p["first"] : p["first"] + p["documents"]]) for p in phases)
    assert len(first) + len(second) == len(ids) and not first & second
    slices = mixes["rising"]["training"]["slices"]
    assert slices[-1]["until"] == 1.0 and slices[0]["asked"][1] < slices[-1]["asked"][1] == 0.5


def test_a_plan_shows_the_groups(store: Path) -> None:
    """`plan` has a line for each group: share, asked, available, epochs."""
    page = small_page(mix={**SECTION, "holdout": {"share": 0.1}})
    page.pop("keep_one")
    ended = cli("plan", reference().variant(page), "--store", store, "--json").ok()
    asked = {group["group"]: group["asked"] for group in ended.json["mixes"]["half"]["groups"]}
    lineage = json.loads((store / "releases/v2/lineage.json").read_text(encoding="utf-8"))
    assert asked == {group["group"]: group["asked"] for group in lineage["mixes"]["half"]["groups"]}
    out = cli("plan", reference().variant(page), "--store", store).out
    assert "50.00%" in out and "epochs" in out
