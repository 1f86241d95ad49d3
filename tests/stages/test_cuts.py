"""Quality buckets against a plain reading of their definition."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ConfigError
from pipeline.stage import Outcome
from stages.cuts import ALL, GLOBAL, READS, Config, to_odds
from tests.helpers.run_global import number_rows, run_global

Row = tuple[float | None, float | None, str | None, int, str | None, bool]
"""reference, intact, language, bytes, cluster, whether it passes the base rules."""


def table_of(rows: list[Row]) -> pa.Table:
    """What the step reads; doc_ids are d0, d1, ..."""
    columns = list(zip(*rows, strict=True)) or [()] * 6
    kinds = (pa.float32(), pa.float32(), pa.string(), pa.int32(), pa.string(), pa.bool_())
    reference, intact, language, n_bytes, cluster, passes = (
        pa.array(c, k) for c, k in zip(columns, kinds, strict=True)
    )
    doc_id = pa.array([f"d{i}" for i in range(len(rows))], pa.string())
    return pa.table([reference, intact, language, n_bytes, doc_id, cluster, passes], names=list(READS))


def run(rows: list[Row], config: Config) -> Outcome:
    """Run the step over the rows in two shards."""
    table = table_of(rows)
    half = len(rows) // 2
    return run_global(GLOBAL, number_rows([table.slice(0, half), table.slice(half)]), config, 3)


def odds_of(score: float | None) -> int | None:
    """Log-odds of a float32 score in thousandths."""
    if score is None:
        return None
    score = float(np.float32(score))
    if score <= 0 or score >= 1:
        return -16_000 if score <= 0 else 16_000
    return max(-16_000, min(16_000, round(1000 * math.log(score / (1 - score)))))


def oracle(rows: list[Row], config: Config) -> list[tuple[int | None, ...]]:
    """Ensemble bucket and the bucket of each scorer, by looking at every other row."""

    def stands(i: int) -> bool:
        row = rows[i]
        return row[5] and (row[0] is not None or row[1] is not None)

    def population(language: str) -> list[int]:
        firsts: dict[str, str] = {}
        for i, row in enumerate(rows):
            if stands(i) and row[4] is not None:
                firsts[row[4]] = min(firsts.get(row[4], f"d{i}"), f"d{i}")
        return [
            i
            for i, row in enumerate(rows)
            if stands(i)
            and language in (ALL, row[2] or "und")
            and (row[4] is None or firsts[row[4]] == f"d{i}")
        ]

    def weighed(members: list[int], k: int) -> list[tuple[int, int]]:
        """Log-odds by the k-th scorer and bytes, of the members that it scored."""
        scored = [(odds_of(rows[i][:2][k]), rows[i][3]) for i in members]
        return [(odds, n_bytes) for odds, n_bytes in scored if odds is not None]

    result: list[tuple[int | None, ...]] = []
    for row in rows:
        own = population(row[2] or "und")
        buckets: list[int | None] = []
        for k in (0, 1):
            members = own if len(own) >= config.min_rows else population(ALL)
            values = weighed(members, k) or weighed(population(ALL), k)
            mine, total = odds_of(row[:2][k]), sum(weight for _, weight in values)
            if mine is None or not values:
                buckets.append(None)
                continue
            reached = [value for value, _ in values if value <= mine]
            if not reached:
                buckets.append(0)
                continue
            nearest = max(reached)
            below = sum(weight for value, weight in values if value < nearest)
            at = sum(weight for value, weight in values if value == nearest)
            buckets.append(config.n_buckets * (2 * below + at) // (2 * total))
        found = [bucket for bucket in buckets if bucket is not None]
        mean = math.floor(sum(found) / len(found) + 0.5) if found else 0
        joined = None if not found else max(found) if config.ensemble == "max" else mean
        result.append((joined, *buckets))
    return result


def scores() -> st.SearchStrategy[float | None]:
    """Scores with many ties and the ends of the range."""
    return st.one_of(st.none(), st.sampled_from([0.0, 0.25, 0.5, 0.9, 1.0]), st.floats(0, 1, width=32))


@st.composite
def corpora(draw: st.DrawFn) -> list[Row]:
    """Rows of three languages and none, some in clusters."""
    n = draw(st.integers(0, 30))
    names = st.sampled_from(["zho_Hans", "eng_Latn", "und", None])
    clusters = st.sampled_from([None, None, "d0", "d3", "d9"])
    row = st.tuples(
        scores(), scores(), names, st.integers(1, 5000), clusters, st.sampled_from([True, True, False])
    )
    return draw(st.lists(row, min_size=n, max_size=n))


@given(corpora(), st.sampled_from(["max", "mean"]), st.integers(2, 20), st.integers(1, 12))
def test_buckets_are_what_the_definition_says(
    rows: list[Row], ensemble: str, n_buckets: int, min_rows: int
) -> None:
    """Every row with a score gets the buckets that a plain reading of the definition gives."""
    config = Config(n_buckets=n_buckets, ensemble=ensemble, high=1, medium=0, min_rows=min_rows)  # type: ignore[arg-type]
    outcome = run(rows, config)
    assert outcome.rows is not None
    found = dict(zip(outcome.rows["row"].to_pylist(), outcome.rows.to_pylist(), strict=True))
    half = len(rows) // 2
    for i, expected in enumerate(oracle(rows, config)):
        row = found.get(i if i < half else (1 << 32) + i - half)
        seen = row and (row["bucket"], row["reference_bucket"], row["intact_bucket"])
        assert (seen or (None, None, None)) == expected
        assert (row is not None) == (rows[i][0] is not None or rows[i][1] is not None)


def test_buckets_hold_equal_bytes() -> None:
    """With many documents of mixed sizes each scorer's bucket holds a twentieth of the bytes, the last the best."""
    random = np.random.default_rng(0)
    rows: list[Row] = [
        (float(random.random()), float(random.random()), "zho_Hans", int(random.integers(1, 200)), None, True)
        for _ in range(4000)
    ]
    outcome = run(rows, Config())
    shares = [row["share"] for row in outcome.artefacts["cuts"].to_pylist() if row["language"] == "zho_Hans"]
    assert len(shares) == 40 and all(abs(share - 0.05) < 0.003 for share in shares)
    assert outcome.rows is not None
    best = max(range(4000), key=lambda i: rows[i][0] or 0)
    row = best if best < 2000 else (1 << 32) + best - 2000
    (found,) = [r for r in outcome.rows.to_pylist() if r["row"] == row]
    assert found["reference_bucket"] == 19 and found["tier"] == "high"
    total = outcome.artefacts["summary"].to_pylist()[-1]
    assert total["language"] == ALL and abs(total["top_share"] - (1 - 0.95**2)) < 0.02


def test_cluster_members_do_not_move_cuts() -> None:
    """Copies in a cluster and documents that fail a base rule are placed by the cuts, but not counted."""
    rows: list[Row] = [(i / 100, i / 100, "eng_Latn", 10, None, True) for i in range(1, 100)]
    rows[7] = (*rows[7][:4], "d7", True)
    copies: list[Row] = [(0.995, 0.995, "eng_Latn", 10, "d7", True)] * 400
    failing: list[Row] = [(0.995, 0.995, "eng_Latn", 10, None, False)] * 100
    with_copies = run([*rows, *copies, *failing], Config(min_rows=1))
    assert with_copies.artefacts["cuts"].num_rows == 80
    shares = [row["bytes"] for row in with_copies.artefacts["cuts"].to_pylist()]
    assert sum(shares) == 4 * 99 * 10
    assert with_copies.rows is not None
    assert set(with_copies.rows.sort_by("row")["bucket"].to_pylist()[-400:]) == {19}


def test_few_documents_are_placed_among_all() -> None:
    """A language with fewer than min_rows documents is placed by the cuts of all languages, and said to be."""
    rows: list[Row] = [(i / 1000, 0.5, "zho_Hans", 10, None, True) for i in range(1, 1000)]
    rows += [(0.999, 0.5, "isl_Latn", 10, None, True)] * 3
    outcome = run(rows, Config())
    assert {r["language"]: r["cut_by"] for r in outcome.artefacts["summary"].to_pylist()} == {
        "zho_Hans": "zho_Hans",
        "isl_Latn": ALL,
        ALL: ALL,
    }
    assert outcome.rows is not None
    assert outcome.rows.sort_by("row")["reference_bucket"].to_pylist()[-3:] == [19] * 3


def test_one_value_for_all_is_in_the_middle() -> None:
    """Documents with equal scores share the bucket in the middle, not the best."""
    outcome = run([(0.7, 0.7, "zho_Hans", 10, None, True)] * 300, Config())
    assert outcome.rows is not None
    assert set(outcome.rows["bucket"].to_pylist()) == {10}
    assert set(outcome.rows["tier"].to_pylist()) == {"medium"}


def test_rounded_log_odds_come_back() -> None:
    """A float32 score made from log-odds of three decimals gives these log-odds again, up to 8 either way."""
    odds = np.arange(-8000, 8001)
    scores = np.array([1 / (1 + math.exp(-value / 1000)) for value in odds]).astype(np.float32)
    assert (to_odds(pa.chunked_array([scores])) == odds).all()


@pytest.mark.parametrize(
    "settings", [{"n_buckets": 1}, {"ensemble": "vote"}, {"high": 20}, {"medium": 18}, {"min_rows": 0}]
)
def test_settings_out_of_range_are_refused(settings: dict[str, object]) -> None:
    """A setting out of range names itself."""
    with pytest.raises(ConfigError, match=f"cuts.{next(iter(settings))}"):
        Config(**settings)  # type: ignore[arg-type]  # wrong on purpose
