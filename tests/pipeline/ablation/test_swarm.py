"""Swarms of mixtures of a release: ratios within their caps, orders with the asked tokens, groups known by content."""

from __future__ import annotations

import csv
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.ablation.config import Corpus, load_ablation
from pipeline.ablation.corpora import texts_of
from pipeline.ablation.swarm import SwarmSettings, changed_groups, draw_ratios, order_of, read_pool
from pipeline.errors import MixError
from tests.helpers.build import cli, reference, texts


def release() -> str:
    """The release of the small corpus."""
    return str(reference().store / "releases" / "v1")


def test_a_swarm_and_its_orders(tmp_path: Path) -> None:
    """Every order has the tokens and shares that ratios.csv says, and no document more often than allowed."""
    pool = read_pool(release(), ["language"])
    total = sum(group.tokens for group in pool.groups)
    found = cli("mix", "swarm", release(), "--by", "language", "--tokens", int(total * 0.8), "--mixtures", 5,
                "--max-epochs", 2, "--to", tmp_path / "s")  # fmt: skip
    assert found.code == 0, found.err
    with (tmp_path / "s" / "ratios.csv").open() as file:
        rows = list(csv.DictReader(file))
    size = dict(zip(pool.table["doc_id"].to_pylist(), pool.table["n_tokens"].to_pylist(), strict=True))
    group = dict(zip(pool.table["doc_id"].to_pylist(), pool.table["group"].to_pylist(), strict=True))
    assert len(rows) == 5
    for row in rows:
        ids = pq.read_table(tmp_path / "s" / "orders" / f"{row['run']}.parquet")["doc_id"].to_pylist()
        tokens: Counter[str] = Counter()
        for doc_id in ids:
            tokens[group[doc_id]] += size[doc_id]
        assert max(Counter(ids).values()) <= 2
        for one in pool.groups:
            largest = max(size[i] for i in size if group[i] == one.name)
            assert abs(tokens[one.name] - float(row[one.name]) * int(total * 0.8)) <= largest
    swarm = json.loads((tmp_path / "s" / "swarm.json").read_text())
    assert changed_groups(swarm["groups"], pool) == {g.name: "same" for g in pool.groups}
    assert set(load_ablation(str(tmp_path / "s" / "ablation.yaml")).corpora) == {row["run"] for row in rows}


def test_groups_are_known_by_their_documents() -> None:
    """A group that lost a document is another one; one that is new or gone is said to be."""
    pool = read_pool(release(), ["language"])
    before = {g.name: {"tokens": g.tokens, "digest": g.digest} for g in pool.groups}
    first = pool.groups[0].name
    changed = replace(pool, groups=(replace(pool.groups[0], digest="0" * 16), *pool.groups[1:]))
    assert changed_groups(before, changed)[first] == "changed"
    assert changed_groups({"old": {"digest": ""}}, pool) == {"old": "gone"} | {
        g.name: "new" for g in pool.groups
    }


def test_texts_of_an_order_are_those_of_its_documents(tmp_path: Path) -> None:
    """As often as the order has them; a mix that has no text of its own is read from the data."""
    ids = list(texts(reference().store))[:3]
    path = tmp_path / "order.parquet"
    pq.write_table(pa.table({"doc_id": [ids[0], ids[1], ids[0]]}), path)
    found = Counter(texts_of(Corpus(release=release(), order=str(path))))
    own = texts(reference().store)
    assert found == Counter([own[ids[0]], own[ids[0]], own[ids[1]]])
    natural = sorted(texts_of(Corpus(release=release(), mix="natural")))
    assert natural == sorted(own.values()) == sorted(texts_of(Corpus(release=release())))


def test_more_tokens_than_all_passes_have() -> None:
    """Refused with what there is."""
    pool = read_pool(release(), ["language"])
    with pytest.raises(MixError, match="more than 2 passes"):
        draw_ratios(pool, SwarmSettings(mixtures=2, tokens=10**12, max_epochs=2))


def test_ratios_vary_around_the_natural_ones() -> None:
    """Their mean is near the natural shares, and a smaller spread keeps them nearer."""
    pool = read_pool(release(), ["language", "source"])
    wide = draw_ratios(pool, SwarmSettings(mixtures=300, tokens=1000, spread=1.0))
    near = draw_ratios(pool, SwarmSettings(mixtures=300, tokens=1000, spread=0.1))
    assert np.abs(wide.mean(axis=0) - pool.natural).max() < 0.1
    assert np.abs(near - pool.natural).mean() < np.abs(wide - pool.natural).mean() / 1.5
    assert np.allclose(wide.sum(axis=1), 1)
    assert order_of(pool, wide[1], SwarmSettings(mixtures=2, tokens=1000), "m").num_rows
