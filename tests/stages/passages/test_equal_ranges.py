"""What the steps from anchors to passages exchange: little, and nothing that takes different texts for equal ones."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import StageError
from pipeline.mapreduce.replies import answer_rows, read_questions, sort_by_key, write_questions
from pipeline.mapreduce.shuffle import read_exchange, write_exchange
from pipeline.stage import Global
from pipeline.storage.store import open_store
from stages.kernels.passages.anchors import find_anchors, wide_table
from stages.kernels.passages.edges import hash_edges
from stages.kernels.passages.substring import Runs, Windows, find_repeats
from stages.kernels.text.hashing import ODD_A, ODD_B
from stages.passages import anchors, repeated_windows
from tests.helpers.oracles.passages import STEPS, han, is_wide, run, windows_of
from tests.helpers.run_global import extend, number_rows

ONE = (np.zeros(1, np.int64), np.ones(1, np.int64), np.full(1, 4096))
"""A range of the first window of a text of 4,096 characters."""


def codes_of(text: str) -> np.ndarray:
    """Code points."""
    return np.frombuffer(text.encode("utf-32-le"), np.uint32)


def asked(texts: list[str]) -> list[pa.Table]:
    """The rows that the three exchanges carry."""
    table = pa.table(
        {
            "text": pa.array(texts, pa.large_string()),
            "parent_id": pa.nulls(len(texts), pa.string()),
            "provenance": pa.nulls(len(texts), pa.string()),
        }
    )
    shards = extend(anchors.STAGE, number_rows([table]), anchors.Config())
    tables = []
    for step in STEPS[:-1]:
        assert isinstance(step, Global)
        tables.append(step.map(shards[0].select([*step.reads, "row"]), step.config()))
        shards = extend(step, shards, step.config())
    return tables


def test_copies_cost_what_they_weigh() -> None:
    """Ten times the copies make ten times the rows and bytes of all exchanges, not a hundred times."""
    for n_tails in (1, 2):  # copies that are equal throughout, and copies that go on in two ways
        few, many = (asked([han(5, 400) + chr(0xAC00 + i % n_tails) for i in range(n)]) for n in (20, 200))
        for small, large in zip(few, many, strict=True):
            assert small.num_rows * 10 == large.num_rows
            assert large.nbytes < 10.5 * small.nbytes or not large.num_rows
        assert (large.num_rows > 0) == (n_tails == 2)


def test_no_text_is_exchanged_of_ranges_that_are_equal() -> None:
    """Copies of a whole document are settled by hash; ranges that continue differently are told apart without text."""
    keys, ends, strips = asked([han(5, 3000)] * 5)
    assert keys.num_rows == ends.num_rows > 0 == strips.num_rows
    for text, told in (
        (lambda i: han(5, 3000) + han(6 + i, 300), 1),
        (lambda i: han(6 + i, 300) + han(5, 3000), 2),
    ):
        keys, ends, strips = asked([text(i) for i in range(5)])
        assert 0 < strips.num_rows < ends.num_rows / 10
        chosen = strips.filter(pc.equal(strips["strips"], told))
        assert chosen.num_rows >= strips.num_rows / 2
        for name, alone in (("entering", 1), ("leaving", 2)):
            assert all(bool(text) == (told == alone) for text in chosen[name].to_pylist())


def test_ranges_of_one_kind_are_compared_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A notice in two variants costs two comparisons however often it occurs, and each occurrence is counted."""
    compared = []

    def count(windows: Windows) -> Runs:
        compared.append(len(windows.counts))
        return find_repeats(windows)

    monkeypatch.setattr(repeated_windows, "find_repeats", count)
    texts = [
        f"{chr(0xAC00 + i)}{han(5, 400)}{'甲乙'[i % 2]}{han(6, 400)}{'丙丁'[i % 2]}{han(7, 400)}{chr(0xB000 + i)}"
        for i in range(300)
    ]
    strips = asked(texts)[2]
    compared.clear()
    found = run({f"d{i:03}": text for i, text in enumerate(texts)}, anchors.Config())
    n_edges = 600  # ranges that begin or end otherwise in each document
    assert sum(compared) < n_edges + 100 < strips.num_rows / 2
    passages = [row["substring.passages"] for row in found.values()]
    places = [(1, 401), (302, 501), (402, 802), (703, 902), (803, 1203)]
    assert all([(p["start"], p["end"]) for p in mine] == places for mine in passages)
    assert len({p["passage"] for mine in passages for p in mine}) == 3 + 2 * 2


@pytest.mark.parametrize("pattern", ["=", "-=", "哈哈笑", "0, 1, 0; "])
def test_a_run_of_one_pattern_is_cheap(pattern: str) -> None:
    """A long run that repeats a short pattern has few anchors and is sent little more than once."""
    text = pattern * (20_000 // len(pattern))
    keys, ends, strips = asked([text])
    assert keys.num_rows < 10 and ends.num_rows < 10
    n_chars = pc.sum(pc.add(pc.utf8_length(strips["leaving"]), pc.utf8_length(strips["entering"])))
    assert n_chars.as_py() < 2.2 * len(text)


def test_texts_of_one_hash_are_told_apart() -> None:
    """The Thue-Morse word and its complement, which every odd base sends to one value modulo 2**64, are no passage."""
    word = "".join("ab"[i.bit_count() % 2] for i in range(4096))
    other = word.translate(str.maketrans("ab", "ba"))
    config = anchors.Config(min_chars_han=4096, min_chars_other=4096)
    hashes = {hash_edges(codes_of(text), *ONE, wide_table(), 4096, 4096)[0][0] for text in (word, other)}
    assert len(hashes) == 2
    found = run({"a": f"1{word}2", "b": f"3{other}4", "c": f"5{word}6"}, config)
    assert [len(found[doc]["substring.passages"] or ()) for doc in "abc"] == [1, 0, 1]


def mixed(value: int) -> int:
    """kernels.text.hashing.mix, in Python."""
    mask = (1 << 64) - 1
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & mask
    value = (value ^ value >> 27) * 0x94D049BB133111EB & mask
    return value ^ value >> 31


def reference_anchors(text: str, han: int, other: int) -> tuple[list[int], list[int]]:
    """Keys and first windows by the definition: of the grams inside each window the one of least hash, the last of
    equals; of more than two of one key in a row the first two."""
    grams: list[tuple[int, int, int]] = []
    half = (han * other + 1) // 2
    for start in range(len(text)):
        end, weight, rolling = start, 0, 0
        while weight < half and end < len(text):
            weight += other if is_wide(text[end]) else han
            rolling = (rolling * int(ODD_A) + ord(text[end]) + 1) % (1 << 64)
            end += 1
        if weight >= half:
            grams.append((mixed(rolling ^ (end - start)), -start, end))
    keys: list[int] = []
    firsts: list[int] = []
    last = 1
    windows = windows_of(text, anchors.Config(min_chars_han=han, min_chars_other=other))
    for start, window in enumerate(windows):
        value, at, _ = min(gram for gram in grams[start:] if gram[2] <= start + len(window))
        if at != last and [mixed(value ^ int(ODD_B))] * 2 != keys[-2:]:
            keys.append(mixed(value ^ int(ODD_B)))
            firsts.append(start)
        last = at
    return keys, firsts


@settings(max_examples=120)
@given(
    texts=st.lists(
        st.sampled_from(["ab", "a中", "中文", "abcdefgh中文字。", "a"]).flatmap(st.text), max_size=4
    ),
    han=st.integers(2, 7),
    other=st.integers(2, 15),
)
def test_anchors_are_those_of_their_definition(texts: list[str], han: int, other: int) -> None:
    """Keys and first windows equal those of trying every gram of every window, for texts of one width and of both."""
    codes = np.concatenate([codes_of(text) for text in texts] or [codes_of("")])
    starts = np.append(0, np.cumsum([len(text) for text in texts])).astype(np.int64)
    keys, firsts, offsets, n_windows = find_anchors(codes, starts, wide_table(), han, other)
    for i, text in enumerate(texts):
        mine = slice(offsets[i], offsets[i + 1])
        assert (keys[mine].tolist(), firsts[mine].tolist()) == reference_anchors(text, han, other)
        assert n_windows[i] == len(windows_of(text, anchors.Config(min_chars_han=han, min_chars_other=other)))


# How questions and answers travel


@settings(max_examples=60)
@given(
    keys=st.lists(
        st.lists(st.sampled_from([0, 1, 5, 1 << 40, 1 << 63, (1 << 64) - 1]), max_size=9), max_size=4
    ),
    n_partitions=st.sampled_from([1, 3, 8]),
)
def test_every_row_gets_the_answer_to_its_own_key(
    tmp_path_factory: pytest.TempPathFactory, keys: list[list[int]], n_partitions: int
) -> None:
    """Answers come back in order of (key, position) for any maps and partitions, equal keys and empty maps."""
    store = open_store(str(tmp_path_factory.mktemp("store")))
    names = [f"map-{i}" for i in range(len(keys))]
    for place, (name, mine) in enumerate(zip(names, keys, strict=True)):
        table = pa.table({"key": pa.array(mine, pa.uint64()), "said": pa.array(range(len(mine)), pa.int32())})
        write_questions(store, name, table, n_partitions, place)
    parts = [f"part-{i}" for i in range(n_partitions)]
    for i, part in enumerate(parts if names else []):
        table, maps = read_questions(store, [(name, i) for name in names])
        write_exchange(store, part, answer_rows(ECHO, table, None), maps, len(names))
    for place, mine in enumerate(keys):
        answers = read_exchange(store, parts, place)
        assert answers["key"].to_pylist() == sorted(mine)
        assert answers["said"].to_pylist() == sorted(range(len(mine)), key=lambda i: mine[i])


ECHO = Global(
    name="echo", version=1, config=anchors.Config, reads=(), writes=pa.schema([]), key="any",
    map=lambda table, config: table, reduce=lambda table, config: table,
)  # fmt: skip


def test_an_answer_for_each_row_or_none() -> None:
    """A reduce that leaves rows out stops the step with the number of missing rows."""
    short = Global(**{**ECHO.__dict__, "reduce": lambda table, config: table.slice(1)})
    table = pa.table({"key": pa.array([3, 1], pa.uint64())})
    assert sort_by_key(table)[0]["key"].to_pylist() == [1, 3]
    with pytest.raises(StageError, match=r"echo.reduce returned 1 rows for 2; expected one for each"):
        answer_rows(short, table, None)


def test_keys_travel_as_what_they_add_to_the_one_before(tmp_path: pytest.TempPathFactory) -> None:
    """A million anchors cost less than three bytes each on their way, of the eight of their keys."""
    rng = np.random.default_rng(3)
    keys = rng.integers(0, 1 << 40, 1 << 20, dtype=np.uint64) << np.uint64(24)
    store = open_store(str(tmp_path))
    write_questions(store, "map", pa.table({"key": keys}), 2, 0)
    assert sum(size for _, size in store.list("")) < 2.9 * len(keys)
    found = np.concatenate([read_questions(store, [("map", i)])[0]["key"].to_numpy() for i in range(2)])
    assert (found == np.sort(keys)).all()
