"""Signatures: units of any script, the least value of each permutation, and the formula of the catch rate."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given

from pipeline.errors import ConfigError
from stages.kernels.dedup.minhash import (
    CHARACTERS,
    WORDS,
    count_units,
    hash_bands,
    hash_shingles,
    hash_units,
    match_text,
    permutations,
    sign,
)
from stages.kernels.text.tables import HANGUL, MARK, load_tables
from stages.minhash import SCHEMA, STAGE, Config, catch_probability, signatures
from tests.helpers.oracles.match_text import grams, units_reference
from tests.helpers.strategies import texts

ANNOTATE = STAGE.load(Config())
MASK = 2**64 - 1


def band_keys(*documents: str | None) -> list[list[int] | None]:
    """Band keys of each text."""
    table = ANNOTATE(pa.table({"text": pa.array(documents, pa.large_string())}))
    assert table.schema.equals(SCHEMA)
    return table["band_keys"].to_pylist()


def numbers(items: list[object], seen: dict[object, int]) -> list[int]:
    """Replace each item by the number of its first occurrence."""
    return [seen.setdefault(item, len(seen)) for item in items]


@given(text=texts())
def test_units_and_shingles_agree_with_the_reference(text: str) -> None:
    """Hashes of units and shingles are equal exactly where the units and shingles are."""
    match, classes = match_text(pa.array([text], pa.large_string())), load_tables().classes
    for mode, expected in (
        (WORDS, units_reference(text)),
        (CHARACTERS, units_reference(text, by_character=True)),
    ):
        units, starts = hash_units(match, np.array([mode], np.uint8))
        assert numbers(units.tolist(), {}) == numbers(list(expected), {})
        hashes, starts = hash_shingles(units, starts, np.full(len(starts) - 1, 5))
        assert starts.tolist() == [0, len(hashes)]
        assert numbers(hashes.tolist(), {}) == numbers(list(grams(expected)), {})
    single = [unit for unit in units_reference(text) if classes[ord(unit[0])] in (MARK, *range(HANGUL, 13))]
    n_words, n_single = count_units(match)[0]
    assert (n_words, n_single) == (len(units_reference(text)) - len(single), len(single))


def test_a_signature_is_the_least_value_of_each_permutation() -> None:
    """The kernel equals the definition, for every number of shingles modulo its block."""
    rng = np.random.default_rng(1)
    sizes = [1, 2, 3, 4, 5, 8, 9, 250]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    hashes = rng.integers(0, 2**64, starts[-1], np.uint64)
    drawn = permutations(24, 7)
    signed = np.empty((len(sizes), 24), np.uint32)
    sign(hashes, starts, drawn, signed)
    for doc in range(len(sizes)):
        values = [int(value) >> 32 for value in hashes[starts[doc] : starts[doc + 1]]]
        least = [min((int(a) * x + int(b)) % 2**32 for x in values) for a, b in drawn.T]
        assert signed[doc].tolist() == least
    assert (drawn[0] % 2 == 1).all()


def test_the_catch_rate_follows_the_formula() -> None:
    """Random sets of similarity s share a band as often as 1 - (1 - s**r)**b."""
    config = Config(n_bands=8, band_rows=4)
    rng = np.random.default_rng(2)
    n_trials, size = 1500, 120
    drawn = permutations(config.n_bands * config.band_rows, config.seed)
    for shared in (60, 80, 100):
        values = rng.integers(0, 2**64, (n_trials, 2 * size - shared), np.uint64)
        starts = np.arange(n_trials + 1) * size
        pair = []
        for part in (values[:, :size], values[:, size - shared :]):
            signed = np.empty((n_trials, drawn.shape[1]), np.uint32)
            sign(np.ascontiguousarray(part).reshape(-1), starts, drawn, signed)
            pair.append(signed)
        similarity = shared / (2 * size - shared)
        equal = (pair[0] == pair[1]).mean()
        assert equal == pytest.approx(similarity, abs=0.01)
        met = (hash_bands(pair[0], 8) == hash_bands(pair[1], 8)).any(axis=1).mean()
        expected = catch_probability(similarity, config)
        assert met == pytest.approx(expected, abs=4 * (expected * (1 - expected) / n_trials) ** 0.5)


def test_the_estimate_holds_for_running_text() -> None:
    """Signatures estimate the similarity of overlapping passages within four standard deviations."""
    rng = np.random.default_rng(3)
    config, letters = Config(n_bands=64), np.array([chr(code) for code in range(0x4E00, 0x4E00 + 3000)])
    for shared in (200, 600, 900):
        head, middle, tail = ("".join(rng.choice(letters, n)) for n in (1000 - shared, shared, 1000 - shared))
        left, right = head + middle, middle + tail
        sets = [set(grams(units_reference(text))) for text in (left, right)]
        similarity = len(sets[0] & sets[1]) / len(sets[0] | sets[1])
        signed, _ = signatures(pa.array([left, right], pa.large_string()), config)
        spread = (similarity * (1 - similarity) / signed.shape[1]) ** 0.5
        assert (signed[0] == signed[1]).mean() == pytest.approx(similarity, abs=4 * spread)


def test_default_catch_probability() -> None:
    """28 bands of 6 rows have the documented catch probability."""
    rates = [
        round(catch_probability(similarity, Config()), 4) for similarity in (0.0, 0.3, 0.5, 0.7, 0.8, 1.0)
    ]
    assert rates == [0.0, 0.0202, 0.3566, 0.9699, 0.9998, 1.0]


def test_short_texts_neither_vanish_nor_merge() -> None:
    """A short Chinese text gets keys of its own; texts without units get none; erased ones get null."""
    found = band_keys("你好", "谢谢", "你好。", "好", "", "！？…", None, "hi there", "Hi, THERE")
    assert [None if keys is None else len(keys) for keys in found] == [28, 28, 28, 28, 0, 0, None, 28, 28]
    assert found[0] == found[2]
    assert found[7] == found[8]
    first, *others = (set(keys or ()) for keys in found)
    assert [bool(first & other) for other in others] == [False, True, *[False] * 6]


def test_chinese_is_not_cut_at_punctuation() -> None:
    """Two passages that differ in one clause share bands although no run of five clauses is the same."""
    clauses = [f"第{n}条规定了第{n * 7 % 11}种情形下应当办理的手续" for n in range(9)]
    changed = [clause if n != 4 else "这一条后来被删去了" for n, clause in enumerate(clauses)]
    left, right = band_keys("，".join(clauses), "，".join(changed))
    assert left is not None and right is not None
    assert set(left) & set(right)


def test_another_seed_draws_other_permutations() -> None:
    """Signatures depend on the seed, and band keys of different bands never collide on equal rows."""
    assert not np.array_equal(permutations(24, 1), permutations(24, 2))
    assert [len(set(row.tolist())) for row in permutations(168, 1)] == [168, 168]
    keys = hash_bands(np.zeros((1, 24), np.uint32), 4)
    assert len(set(keys[0].tolist())) == 4


def test_the_seed_of_the_settings_reaches_the_keys() -> None:
    """Another seed gives other band keys, and so does another number of bands or units."""
    table = pa.table({"text": pa.array(["one two three four five six seven eight nine"], pa.large_string())})
    keys = [
        set(STAGE.load(config)(table)["band_keys"][0].as_py())
        for config in (Config(), Config(seed=2), Config(shingle_units=4))
    ]
    assert keys[0] == set(ANNOTATE(table)["band_keys"][0].as_py())
    assert not keys[0] & keys[1] and not keys[0] & keys[2]


@pytest.mark.parametrize("setting", [{"n_bands": 0}, {"band_rows": 0}, {"shingle_units": 0}, {"seed": -1}])
def test_settings_out_of_range_are_refused(setting: dict[str, int]) -> None:
    """A setting that makes no signature is an error that names it."""
    with pytest.raises(ConfigError, match=rf"minhash\.{next(iter(setting))} is"):
        Config(**setting)
