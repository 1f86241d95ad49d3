"""Quality buckets against a plain reading of their definition."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ConfigError, ExpectationError
from pipeline.recipe import reading_named
from pipeline.stage import Global, Outcome
from stages.cuts import GLOBAL, Config, map_scores
from stages.cuts.edges import ALL, ENSEMBLE, NO_SCORE, effective, to_keys, to_value
from stages.cuts.given import COLUMNS
from tests.helpers.run_global import number_rows, run_global

Row = tuple[float | None, float | None, str | None, int, str | None, bool]
"""value, keep, language, bytes, cluster, whether it passes the base rules."""


def table_of(rows: list[Row]) -> pa.Table:
    """What the step reads; doc_ids are d0, d1, ..."""
    columns = list(zip(*rows, strict=True)) or [()] * 6
    kinds = (pa.float32(), pa.float32(), pa.string(), pa.int32(), pa.string(), pa.bool_())
    value, keep, language, n_bytes, cluster, passes = (
        pa.array(c, k) for c, k in zip(columns, kinds, strict=True)
    )
    doc_id = pa.array([f"d{i}" for i in range(len(rows))], pa.string())
    return pa.table([value, keep, language, n_bytes, doc_id, cluster, passes], names=list(GLOBAL.reads))


def run(rows: list[Row], config: Config) -> Outcome:
    """Run the step over the rows in two shards."""
    table = table_of(rows)
    half = len(rows) // 2
    return run_global(GLOBAL, number_rows([table.slice(0, half), table.slice(half)]), config, 3)


def odds_of(score: float | None) -> float | None:
    """The number that a score is compared by."""
    return None if score is None else float(np.float32(score))


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

    def weighed(members: list[int], k: int) -> list[tuple[float, int]]:
        """Score by the k-th scorer and bytes, of the members that it scored."""
        scored = [(odds_of(rows[i][:2][k]), rows[i][3]) for i in members]
        return [(score, n_bytes) for score, n_bytes in scored if score is not None]

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
        result.append((joined(found, config), *buckets))
    return result


def joined(found: list[int], config: Config) -> int | None:
    """The ensemble's bucket of the buckets of the scorers with a score."""
    if not found:
        return None
    if config.ensemble == "mean":
        return math.floor(sum(found) / len(found) + 0.5)
    if config.ensemble == "max":
        return max(found)
    votes = min(config.votes, len(found)) if config.votes else len(found) // 2 + 1
    return max(bucket for bucket in found if sum(other >= bucket for other in found) >= votes)


def scores() -> st.SearchStrategy[float | None]:
    """Scores with many ties, in any range."""
    return st.one_of(
        st.none(),
        st.sampled_from([0.0, -0.0, 0.25, 0.5, 0.9, 1.0, -3.0]),
        st.floats(allow_nan=False, allow_infinity=False, width=32),
    )


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


@given(
    corpora(),
    st.sampled_from(["max", "mean", "vote"]),
    st.integers(0, 2),
    st.integers(2, 20),
    st.integers(1, 12),
)
def test_buckets_are_what_the_definition_says(
    rows: list[Row], ensemble: str, votes: int, n_buckets: int, min_rows: int
) -> None:
    """Every row with a score gets the buckets that a plain reading of the definition gives."""
    votes = votes if ensemble == "vote" else 0
    config = Config(
        n_buckets=n_buckets, ensemble=ensemble, votes=votes, high=1, medium=0, min_rows=min_rows,  # type: ignore[arg-type]
    )  # fmt: skip
    outcome = run(rows, config)
    assert outcome.rows is not None
    found = dict(zip(outcome.rows["row"].to_pylist(), outcome.rows.to_pylist(), strict=True))
    half = len(rows) // 2
    for i, expected in enumerate(oracle(rows, config)):
        row = found.get(i if i < half else (1 << 32) + i - half)
        seen = row and (row["bucket"], row["value_bucket"], row["keep_bucket"])
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
    edges = outcome.artefacts["edges"].to_pylist()
    shares = [row["share"] for row in edges if row["language"] == "zho_Hans" and row["scorer"] != ENSEMBLE]
    assert len(shares) == 40 and all(abs(share - 0.05) < 0.003 for share in shares)
    assert outcome.rows is not None
    best = max(range(4000), key=lambda i: rows[i][0] or 0)
    row = best if best < 2000 else (1 << 32) + best - 2000
    (found,) = [r for r in outcome.rows.to_pylist() if r["row"] == row]
    assert found["value_bucket"] == 19 and found["tier"] == "high"
    total = outcome.artefacts["summary"].to_pylist()[-1]
    assert total["language"] == ALL and abs(total["top_share"] - (1 - 0.95**2)) < 0.02


def test_cluster_members_do_not_move_cuts() -> None:
    """Copies in a cluster and documents that fail a base rule are placed by the cuts, but not counted."""
    rows: list[Row] = [(i / 100, i / 100, "eng_Latn", 10, None, True) for i in range(1, 100)]
    rows[7] = (*rows[7][:4], "d7", True)
    copies: list[Row] = [(0.995, 0.995, "eng_Latn", 10, "d7", True)] * 400
    failing: list[Row] = [(0.995, 0.995, "eng_Latn", 10, None, False)] * 100
    with_copies = run([*rows, *copies, *failing], Config(min_rows=1))
    assert with_copies.artefacts["edges"].num_rows == 120
    assert sum(row["size"] for row in with_copies.artefacts["edges"].to_pylist()) == 6 * 99 * 10
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
    assert outcome.rows.sort_by("row")["value_bucket"].to_pylist()[-3:] == [19] * 3


def test_one_value_for_all_is_in_the_middle() -> None:
    """Documents with equal scores share the bucket in the middle, not the best."""
    outcome = run([(0.7, 0.7, "zho_Hans", 10, None, True)] * 300, Config())
    assert outcome.rows is not None
    assert set(outcome.rows["bucket"].to_pylist()) == {10}
    assert set(outcome.rows["tier"].to_pylist()) == {"medium"}


NUMBERS = st.floats(width=32, allow_nan=False, allow_infinity=False)


@given(st.lists(NUMBERS, min_size=2), st.booleans())
def test_keys_keep_the_order(numbers: list[float], low_is_best: bool) -> None:
    """A better number has a larger key, equal numbers have one key, and a key gives its number again."""
    keys = to_keys(pa.chunked_array([pa.array(numbers, pa.float64())]), low_is_best).tolist()
    sign = -1 if low_is_best else 1
    for a, x in zip(numbers, keys, strict=True):
        assert to_value(x, low_is_best) == a
        for b, y in zip(numbers, keys, strict=True):
            assert (x < y, x == y) == (sign * a < sign * b, a == b)


def test_what_is_no_number_has_no_score() -> None:
    """Null, NaN and infinity have no score; numbers beyond float32 count as its ends; -0 is 0."""
    values = pa.chunked_array([pa.array([None, math.nan, math.inf, -math.inf, 1e300, -1e300, 0.0, -0.0])])
    keys = to_keys(values)
    assert (keys[:4] == NO_SCORE).all() and keys[6] == keys[7]
    limit = float(np.finfo(np.float32).max)
    assert [to_value(int(key)) for key in keys[4:]] == [limit, -limit, 0.0, 0.0]


def test_log_odds_of_three_decimals_stay_apart() -> None:
    """float32 scores made from log-odds of three decimals up to 8 either way have a key each."""
    scores = np.array([1 / (1 + math.exp(-value / 1000)) for value in range(-8000, 8001)]).astype(np.float32)
    assert (np.diff(to_keys(pa.chunked_array([scores]))) > 0).all()


def pinned(outcome: Outcome, config: Config, **settings: object) -> Config:
    """The config with the edges that a run has fitted."""
    rows = outcome.artefacts["edges"].select(COLUMNS).to_pylist()
    given = tuple(tuple(row.values()) for row in rows)
    return replace(config, edges="given", given=given, **settings)  # type: ignore[arg-type]


@given(corpora(), st.integers(2, 20), st.booleans(), st.sampled_from(["max", "mean", "vote"]))
def test_given_edges_repeat_the_run_that_made_them(
    rows: list[Row], n_buckets: int, low: bool, ensemble: str
) -> None:
    """The same documents get the same buckets by given edges, which are passed on unchanged; nothing has drifted."""
    config = Config(
        n_buckets=n_buckets, ensemble=ensemble, high=1, medium=0, min_rows=3,  # type: ignore[arg-type]
        low_is_best=("quality.keep",) if low else (),
    )  # fmt: skip
    fitted = run(rows, config)
    again = run(
        rows, pinned(fitted, config, max_drift=1e-9) if fitted.artefacts["edges"].num_rows else config
    )
    assert fitted.rows is not None and again.rows is not None
    assert again.rows.sort_by("row").equals(fitted.rows.sort_by("row"))
    assert again.artefacts["edges"].equals(fitted.artefacts["edges"])
    drift = again.artefacts.get("drift", pa.table({"cut_by": [], "psi": []})).to_pylist()
    assert all(row["psi"] == 0 for row in drift if row["cut_by"] != ALL)


def test_other_documents_by_given_edges_drift() -> None:
    """Better documents than those that the edges were made of are counted as moved, and the guard stops them."""
    config = Config(min_rows=10)
    fitted = run([(i / 1000, 0.5, "eng_Latn", 10, None, True) for i in range(1000)], config)
    better: list[Row] = [(0.5 + i / 2000, 0.5, "eng_Latn", 10, None, True) for i in range(1000)]
    drift = run(better, pinned(fitted, config)).artefacts["drift"].to_pylist()
    (row,) = [row for row in drift if row["scorer"] == "quality.value"]
    assert (
        row["moved"] == 0.5
        and row["psi"] > 3 > 0.1 > row["chance"]
        and row["worst_bucket"] == 0
        and row["actual"] == 0
    )
    expected = sum((a - e) * math.log(a / e) for e, a in [(0.05, 1e-4)] * 10 + [(0.05, 0.1)] * 10)
    assert row["psi"] == round(expected, 4)
    with pytest.raises(ExpectationError, match="eng_Latn has a population stability index of"):
        run(better, pinned(fitted, config, max_drift=0.25))
    few = pinned(fitted, config, max_drift=0.25, min_rows=2000)
    assert run(better, few).rows is not None  # too few documents to judge
    new: list[Row] = [(*row[:2], "zho_Hans", *row[3:]) for row in better]
    with pytest.raises(ExpectationError, match="it had none of its own"):
        run(new, pinned(fitted, config, max_drift=0.25))


def test_chance_alone_stops_no_run() -> None:
    """Two random samples of one population have an index below `chance`, which is larger for fewer documents."""
    rng = np.random.default_rng(0)

    def sample(n: int) -> list[Row]:
        sizes = rng.lognormal(6, 1, n).astype(int) + 1  # a few long documents have most of the bytes
        scores = rng.random(n)
        return [(float(x), 0.5, "eng_Latn", int(b), None, True) for x, b in zip(scores, sizes, strict=True)]

    chances = []
    for n in (300, 3000):
        config = Config(min_rows=10, scores=("quality.value", "quality.keep"))
        outcome = run(sample(n), pinned(run(sample(n), config), config, max_drift=1e-3))
        (row,) = [r for r in outcome.artefacts["drift"].to_pylist() if r["scorer"] == "quality.value"]
        assert 0.2 * row["chance"] < row["psi"] < row["chance"]
        chances.append(row["chance"])
    assert 5 < chances[0] / chances[1] < 20


@given(st.lists(st.integers(1, 2**31 - 1), min_size=1))
def test_effective_documents_are_counted_exactly(sizes: list[int]) -> None:
    """The squared sum of the sizes over the sum of their squares, rounded down; equal sizes count each."""
    assert effective(np.array(sizes, np.int32)) == sum(sizes) ** 2 // sum(size**2 for size in sizes)
    assert effective(np.full(7, sizes[0], np.int32)) == 7


def any_table(columns: dict[str, list[float | None]], sizes: list[int] | None = None) -> pa.Table:
    """What the step reads with other scorers, in one shard."""
    n = len(next(iter(columns.values())))
    rest = {
        "language.label": ["eng_Latn"] * n, "tokens.n_tokens": sizes or [1] * n,
        "doc_id": [f"d{i}" for i in range(n)], "dedup.cluster": pa.nulls(n, pa.string()), "passes_base": [True] * n,
    }  # fmt: skip
    return pa.table({**{name: pa.array(c, pa.float64()) for name, c in columns.items()}, **rest})


def run_any(
    config: Config, columns: dict[str, list[float | None]], sizes: list[int] | None = None
) -> Outcome:
    """Run the step with the scorers of a config."""
    step = reading_named(GLOBAL, config)
    assert isinstance(step, Global)
    return run_global(step, number_rows([any_table(columns, sizes)]), config, 2)


def test_any_columns_are_scorers() -> None:
    """Scores of any range, with small ones best where the config says so, get columns named after them."""
    n = 400
    config = Config(
        scores=("fluency.perplexity", "mine.score", "theirs.score"), low_is_best=("fluency.perplexity",),
        size="tokens.n_tokens", min_rows=1,
    )  # fmt: skip
    outcome = run_any(
        config,
        {
            "fluency.perplexity": [float(10 + i) for i in range(n)],
            "mine.score": [-5000.0 + i for i in range(n)],
            "theirs.score": [None] * n,
        },
    )
    assert outcome.rows is not None
    rows = outcome.rows.sort_by("row").to_pylist()
    assert list(rows[0]) == [
        "row", "bucket", "tier", "perplexity_bucket", "mine_score_bucket", "theirs_score_bucket",
    ]  # fmt: skip
    assert [rows[0][f"{name}_bucket"] for name in ("perplexity", "mine_score", "theirs_score")] == [
        19,
        0,
        None,
    ]
    assert [rows[-1][f"{name}_bucket"] for name in ("perplexity", "mine_score")] == [0, 19]
    edges = [
        r["lower"] for r in outcome.artefacts["edges"].to_pylist() if r["scorer"] == "fluency.perplexity"
    ]
    assert edges[19] == 10 + n // 20 - 1  # the largest perplexity of the best bucket


def test_buckets_hold_equal_tokens() -> None:
    """With a column of token counts, buckets hold equal shares of tokens; the summary names the unit."""
    config = Config(scores=("a.b",), size="tokens.n_tokens", min_rows=1, n_buckets=2, high=1, medium=0)
    outcome = run_any(config, {"a.b": [0.1, 0.2, 0.3, 0.4]}, [10, 10, 10, 30])
    assert outcome.rows is not None
    assert outcome.rows.sort_by("row")["b_bucket"].to_pylist() == [0, 0, 0, 1]
    assert {row["unit"] for row in outcome.artefacts["summary"].to_pylist()} == {"tokens.n_tokens"}


def test_text_is_no_score() -> None:
    """A column of text, whose dtype is known only when records are read, is named."""
    table = any_table({"a.b": [1.0]}).set_column(0, "a.b", pa.chunked_array([["high"]]))
    with pytest.raises(ConfigError, match=r"cuts: a\.b is string; expected a column of numbers"):
        map_scores(number_rows([table])[0], Config(scores=("a.b",), size="tokens.n_tokens"))


def test_the_head_decides() -> None:
    """With a head the ensemble's bucket is the head's, and the head is placed like a scorer."""
    config = Config(scores=("a.b",), ensemble="head", head="top.head", size="tokens.n_tokens", min_rows=1)
    outcome = run_any(
        config, {"a.b": [float(i) for i in range(100)], "top.head": [float(-i) for i in range(100)]}
    )
    assert outcome.rows is not None
    table = outcome.rows.sort_by("row")
    assert table["bucket"].equals(table["head_bucket"])
    assert table["bucket"][0].as_py() == 19 and table["b_bucket"][0].as_py() == 0


def test_overlap_of_top_buckets() -> None:
    """The overlap counts what is in the top bucket of both; the diagonal is the top bucket itself."""
    config = Config(
        scores=("a.x", "a.y"),
        size="tokens.n_tokens",
        min_rows=1,
        n_buckets=2,
        high=1,
        medium=0,
        ensemble="vote",
    )
    outcome = run_any(config, {"a.x": [1.0, 2.0, 3.0, 4.0], "a.y": [1.0, 4.0, 2.0, 3.0]}, [5, 5, 5, 5])
    found = {
        (row["scorer"], row["other"]): (row["documents"], row["size"], row["share"])
        for row in outcome.artefacts["overlap"].to_pylist()
        if row["language"] == "eng_Latn"
    }
    assert found["a.x", "a.x"] == (2, 10, 1.0) and found["a.x", "a.y"] == (1, 5, 0.5)
    assert found["ensemble", "a.x"] == (1, 5, 1.0)  # both vote for it


def test_samples_are_of_their_bucket() -> None:
    """Each bucket of each scorer shows documents of the population that are in it, the same for any partitions."""
    rows: list[Row] = [(i / 500, 1 - i / 500, "eng_Latn", 10, None, i % 5 > 0) for i in range(500)]
    outcome = run(rows, Config(min_rows=10))
    assert outcome.rows is not None
    placed = {row["row"]: row for row in outcome.rows.to_pylist()}
    drawn = outcome.artefacts["samples"].to_pylist()
    named = {"quality.value": "value_bucket", "quality.keep": "keep_bucket", ENSEMBLE: "bucket"}
    assert all(placed[row["row"]][named[row["scorer"]]] == row["bucket"] for row in drawn)
    assert all(
        row["row"] % (1 << 32) % 5 for row in drawn
    )  # shards of 250 rows: multiples of five fail the rule
    assert len([row for row in drawn if row["scorer"] == "quality.keep"]) == 2 * 20
    table = table_of(rows)
    other = run_global(GLOBAL, number_rows([table]), Config(min_rows=10), 1).artefacts["samples"]
    assert other["row"].to_pylist() == [(n >> 32) * 250 + n % (1 << 32) for n in (r["row"] for r in drawn)]


@pytest.mark.parametrize(
    "settings",
    [
        {"n_buckets": 1},
        {"ensemble": "least"},
        {"high": 20},
        {"medium": 18},
        {"min_rows": 0},
        {"scores": ()},
        {"scores": "quality.keep"},
        {"scores": ("a.b", "a.b")},
        {"head": "a.b"},
        {"votes": 1},
        {"votes": 3, "ensemble": "vote"},
        {"low_is_best": ("a.b",)},
        {"edges": ""},
        {"max_drift": 0.1},
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, object]) -> None:
    """A setting out of range names itself."""
    with pytest.raises(ConfigError, match=f"cuts.{next(iter(settings))}"):
        Config(**settings)  # type: ignore[arg-type]  # wrong on purpose
