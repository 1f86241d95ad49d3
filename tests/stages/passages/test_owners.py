"""Owners of passages: the order decides among kept documents, and no passage of a kept document is lost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.spans import apply_spans
from stages.kernels.dedup.minhash import match_text
from stages.passages import anchors, owners, paragraphs, repeated_paragraphs
from stages.passages.substring import PASSAGE
from tests.helpers.oracles.paragraphs import table_of
from tests.helpers.oracles.passages import SMALL, STEPS, check, documents, han, removed, windows_of
from tests.helpers.run_global import align, extend, number_rows, run_global

CHOICES = st.fixed_dictionaries({f"d{i}": st.sampled_from([0.0, 1.0]) for i in range(6)})


@settings(max_examples=90)
@given(docs=documents("abc中"), prefer=CHOICES, dropped=CHOICES, n_partitions=st.sampled_from([1, 4]))
def test_owners_are_chosen_among_what_stays_by_the_order(
    docs: dict[str, str], prefer: dict[str, float], dropped: dict[str, float], n_partitions: int
) -> None:
    """Spans equal the oracle's for any order and any dropped documents; no text is lost with an owner."""
    gone = frozenset(doc for doc in docs if dropped[doc])
    check(docs, gone=gone, prefer=prefer, n_partitions=n_partitions)
    left = removed(docs, SMALL, gone=gone, prefer=prefer)
    kept = {doc: text for doc, text in docs.items() if doc not in gone}
    windows = {window for text in kept.values() for window in windows_of(text, SMALL)}
    letters = {letter for window in windows for letter in window}
    assert letters <= set("".join(left[doc] for doc in kept))


def test_a_passage_survives_the_document_that_held_it_first() -> None:
    """If the first document is dropped the next one keeps the passage; if all others are, nothing is removed."""
    passage = han(7, 130)
    docs = {"a": f"丙{passage}丁", "b": f"甲{passage}乙", "c": f"{passage}戊"}
    assert removed(docs, anchors.Config(), gone=frozenset("a")) == {"a": docs["a"], "b": docs["b"], "c": "戊"}
    assert removed(docs, anchors.Config(), gone=frozenset("ab"))["c"] == docs["c"]
    preferred = removed(docs, anchors.Config(), prefer={"a": 0, "b": 1, "c": 2})
    assert preferred == {"a": "丙丁", "b": "甲乙", "c": docs["c"]}


def test_a_derived_document_takes_nothing_from_its_parent() -> None:
    """Documents with and without a parent share no passage; derived ones do among themselves."""
    passage = han(7, 130)
    docs = {"a": f"丙{passage}丁", "b": passage, "c": f"{passage}戊"}
    assert removed(docs, anchors.Config(), derived=frozenset("b")) == {
        "a": docs["a"],
        "b": passage,
        "c": "戊",
    }
    assert removed(docs, anchors.Config(), derived=frozenset("bc")) == {
        "a": docs["a"],
        "b": passage,
        "c": "戊",
    }


# Passages of several steps


class Occurrence(NamedTuple):
    """One place of a passage."""

    doc: str
    start: int
    end: int
    kind: str
    passage: int


Step = Sequence[Occurrence]


def choose(
    docs: Mapping[str, str],
    steps: Sequence[Step],
    gone: frozenset[str] = frozenset(),
    prefer: Mapping[str, float] | None = None,
    cut: int = 0,
    n_partitions: int = 1,
) -> dict[str, dict[str, Any]]:
    """Rows of `owners` by document, for the output of each step; documents in two shards. Any: values of columns."""
    names = list(docs)
    table = pa.table(
        {
            "doc_id": names,
            "eligible": pa.array([doc not in gone for doc in names], pa.bool_()),
            "order": pa.array([[prefer[doc]] if prefer else [] for doc in names], pa.list_(pa.float64())),
        }
    )
    shards = number_rows([table.slice(0, cut), table.slice(cut)])
    fed = []
    for shard in shards:
        for number, step in enumerate(steps):
            said = [
                [o._asdict() for o in step if o.doc == doc] or None for doc in shard["doc_id"].to_pylist()
            ]
            n_chars = [
                len(docs[doc]) if rows else None
                for doc, rows in zip(shard["doc_id"].to_pylist(), said, strict=True)
            ]
            columns = {
                "passages": pa.array(said, pa.list_(PASSAGE)),
                "n_chars": pa.array(n_chars, pa.int32()),
                "step": pa.array([number] * len(said), pa.int32()),
            }
            fed.append(pa.table({**{name: shard[name] for name in shard.column_names}, **columns}))
    outcome = run_global(owners.GLOBAL, fed, owners.GLOBAL.config(), n_partitions)
    aligned = pa.concat_tables(align(outcome, shards, owners.GLOBAL))
    aligned = aligned.rename_columns([name.removeprefix("owners.") for name in aligned.column_names])
    return {row["doc_id"]: row for row in aligned.to_pylist()}


def expect(
    docs: Mapping[str, str], steps: Sequence[Step], gone: frozenset[str], prefer: Mapping[str, float] | None
) -> dict[str, dict[str, set[int]]]:
    """Removed characters by document and kind: all occurrences of a passage of one step but the first in order."""
    lost: dict[str, dict[str, set[int]]] = {doc: defaultdict(set) for doc in docs}
    for step in steps:
        places = defaultdict(list)
        for o in step:
            if o.doc not in gone:
                places[o.passage].append(o)
        for found in places.values():
            first = min(found, key=lambda o: (-prefer[o.doc] if prefer else 0, o.doc, o.start))
            for o in found:
                if o is not first:
                    lost[o.doc][o.kind] |= set(range(o.start, o.end))
    return lost


BASE = "".join(chr(code) for code in (*range(0x61, 0x7B), *range(0x3B1, 0x3C2), *range(0x430, 0x450)))
"""Letters, each of which stands in one place, so that it is known what stands of it."""


@st.composite
def crossing(draw: st.DrawFn) -> tuple[dict[str, str], list[Step]]:
    """Documents of pieces of BASE in either case, and passages of two steps that cross and nest at random.

    Passages of the first step are equal in any case, those of the second in the same. Their numbers are not told apart.
    """
    cuts = st.tuples(st.integers(0, len(BASE)), st.integers(0, len(BASE))).map(sorted)
    piece = st.builds(
        lambda cut, up: BASE[cut[0] : cut[1]].upper() if up else BASE[cut[0] : cut[1]], cuts, st.booleans()
    )
    texts = draw(st.lists(st.lists(piece, max_size=4).map("|".join), min_size=1, max_size=5))
    names = draw(st.permutations([f"d{i}" for i in range(len(texts))]))
    docs = dict(zip(names, texts, strict=True))
    steps: list[Step] = []
    for fold in (True, False):
        found: list[Occurrence] = []
        ids: dict[str, int] = {}
        for low, high in draw(
            st.lists(cuts.filter(lambda cut: cut[0] < cut[1]), max_size=8, unique_by=tuple)
        ):
            kind = draw(st.sampled_from(["line", "paragraph"])) if fold else "passage"
            for doc, text in docs.items():
                where = text.lower().find(BASE[low:high])
                while where >= 0:
                    said = BASE[low:high] if fold else text[where : where + high - low]
                    number = ids.setdefault(said, len(ids))
                    found.append(Occurrence(doc, where, where + high - low, kind, number))
                    where = text.lower().find(BASE[low:high], where + 1)
        steps.append(found)
    return docs, steps


@settings(max_examples=300, deadline=None)
@given(
    drawn=crossing(),
    dropped=CHOICES,
    prefer=CHOICES,
    cut=st.integers(0, 5),
    n_partitions=st.sampled_from([1, 4, 7]),
    swap=st.booleans(),
)
def test_what_several_steps_remove_still_stands(
    drawn: tuple[dict[str, str], list[Step]],
    dropped: dict[str, float],
    prefer: dict[str, float],
    cut: int,
    n_partitions: int,
    swap: bool,
) -> None:
    """Spans are the union by kind of each step's removals, and every distinct letter is kept somewhere."""
    docs, steps = drawn
    steps = steps[::-1] if swap else steps
    gone = frozenset(doc for doc in docs if dropped[doc])
    found, lost = choose(docs, steps, gone, prefer, cut, n_partitions), expect(docs, steps, gone, prefer)
    before: set[Any] = set()
    after: set[Any] = set()
    for doc, text in docs.items():
        held = [o for step in steps for o in step if o.doc == doc]
        spans = found[doc]["spans"]
        assert (spans is None) == (doc in gone or not held)
        if doc in gone:
            continue
        by_kind = defaultdict(list)
        for span in spans or ():
            by_kind[span["kind"]].append((span["start"], span["end"]))
        assert {
            kind: {i for s, e in places for i in range(s, e)} for kind, places in by_kind.items()
        } == lost[doc]
        assert all(a[1] < b[0] for places in by_kind.values() for a, b in pairwise(places))
        order = [(span["start"], span["kind"]) for span in spans or ()]
        assert order == sorted(order)
        left = apply_spans(text, [tuple(span.values()) for span in spans or ()])
        before, after = before | set(text.lower()), after | set(left.lower())
        if held:
            n_removed = len(set().union(*lost[doc].values()))
            assert (found[doc]["n_removed"], found[doc]["n_chars_left"]) == (n_removed, len(text) - n_removed)
    assert before - {"|"} == after - {"|"}


@settings(max_examples=150, deadline=None)
@given(docs=documents("abc中\n"), dropped=CHOICES, prefer=CHOICES, unit=st.sampled_from(paragraphs.UNITS))
def test_characters_that_passages_and_paragraphs_remove_still_stand(
    docs: dict[str, str], dropped: dict[str, float], prefer: dict[str, float], unit: str
) -> None:
    """With passages and paragraphs as the steps find them, a character leads by owners to an equal one that stays."""
    config = paragraphs.Config(unit=unit, min_chars_han=1, min_chars_other=2)
    docs = {doc: text.replace("b", "\n\n") if len(text) % 2 else text.upper() for doc, text in docs.items()}
    table = table_of(docs, config)
    columns = anchors.STAGE.load(SMALL)(table)
    for name in columns.column_names:
        table = table.append_column(f"anchors.{name}", columns[name])
    shards = number_rows([table])
    steps: list[Step] = []
    for step in (*STEPS, repeated_paragraphs.GLOBAL):
        shards = extend(step, shards, step.config())
        if "passages" in step.writes.names:
            said = zip(docs, shards[0][f"{step.name}.passages"].to_pylist(), strict=True)
            names = Occurrence._fields[1:]
            steps.append(
                [Occurrence(doc, *(p[name] for name in names)) for doc, places in said for p in places or ()]
            )
    gone = frozenset(doc for doc in docs if dropped[doc])
    found = choose(docs, steps, gone, prefer)
    left = {doc: set(range(len(text))) for doc, text in docs.items() if doc not in gone}
    for doc in left:
        for span in found[doc]["spans"] or ():
            left[doc] -= set(range(span["start"], span["end"]))
    for doc in left:
        for i in set(range(len(docs[doc]))) - left[doc]:
            assert not match_of(docs[doc][i]) or stands(docs, steps, left, prefer, (doc, i))


def match_of(text: str) -> list[int]:
    """Match text of a text alone, without blanks."""
    return [code for code in match_text(pa.array([text], pa.large_string())).codes.tolist() if code != 0x20]


def stands(
    docs: Mapping[str, str],
    steps: Sequence[Step],
    left: Mapping[str, set[int]],
    prefer: Mapping[str, float],
    place: tuple[str, int],
) -> bool:
    """Whether a removed character leads to an equal one that is left, from owner to owner, always earlier."""
    first = place
    while place[1] not in left[place[0]]:
        doc, i = place
        step, here = next(
            (s, o)
            for s in steps
            for o in s
            if owns_not(s, o, left, prefer) and o.doc == doc and o.start <= i < o.end
        )
        owner = min(
            (o for o in step if o.passage == here.passage and o.doc in left), key=lambda o: rank(o, prefer)
        )
        nth = len(match_of(docs[doc][here.start : i]))
        there = next(
            k for k in range(owner.start, owner.end)
            if len(match_of(docs[owner.doc][owner.start : k + 1])) == nth + 1
        )  # fmt: skip
        assert match_of(docs[owner.doc][there]) == match_of(docs[doc][i])
        assert (-prefer[owner.doc], owner.doc, there) < (-prefer[doc], doc, i)
        place = owner.doc, there
    return match_of(docs[place[0]][place[1]]) == match_of(docs[first[0]][first[1]])


def rank(o: Occurrence, prefer: Mapping[str, float]) -> tuple[float, str, int]:
    """Place of an occurrence in the one order."""
    return -prefer[o.doc], o.doc, o.start


def owns_not(step: Step, here: Occurrence, left: Mapping[str, set[int]], prefer: Mapping[str, float]) -> bool:
    """Whether an occurrence in a document that stays is not the first of its passage."""
    return here.doc in left and any(
        o.passage == here.passage and o.doc in left and rank(o, prefer) < rank(here, prefer) for o in step
    )


def test_the_same_number_in_two_steps_is_two_passages() -> None:
    """A position found by two steps is kept, though one of them would take the other's occurrence for a copy."""
    docs = {"a": "一段文字", "b": "一段文字"}
    step = [Occurrence(doc, 0, 4, kind, 7) for doc, kind in (("a", "passage"), ("b", "passage"))]
    other = [o._replace(kind="paragraph") for o in step]
    found = choose(docs, [step, other])
    assert found["a"]["spans"] == [] and found["a"]["n_chars_left"] == 4
    assert found["b"]["spans"] == [{"start": 0, "end": 4, "kind": kind} for kind in ("paragraph", "passage")]
    assert (found["b"]["n_removed"], found["b"]["removed_share"]) == (4, 1.0)


def test_the_owner_of_one_step_may_lose_to_another() -> None:
    """Where a passage crosses the kept paragraph, its part belongs to the first document; all text is kept once."""
    docs = {"a": "cdef", "b": "abcd", "c": "ABCD"}
    passage = [Occurrence("a", 0, 2, "passage", 1), Occurrence("b", 2, 4, "passage", 1)]
    paragraph = [Occurrence("b", 0, 4, "paragraph", 1), Occurrence("c", 0, 4, "paragraph", 1)]
    found = choose(docs, [passage, paragraph])
    assert [found[doc]["n_chars_left"] for doc in "abc"] == [4, 2, 0]
    given_back = choose(docs, [passage, paragraph], gone=frozenset("a"))
    assert [given_back[doc]["n_chars_left"] for doc in "abc"] == [None, 4, 0]


def test_ranges_are_joined_whatever_their_order() -> None:
    """A range inside a longer one, one that touches and one of the next document are told apart."""
    rows = np.array([9, 4, 4, 4, 4, 9], np.uint64)
    starts, ends = np.array([0, 12, 2, 0, 10, 5], np.int32), np.array([5, 13, 3, 9, 11, 6], np.int32)
    spans, n_chars = owners.merge(np.array([4, 7, 9], np.uint64), rows, starts, ends)
    found = [[(s["start"], s["end"]) for s in row] for row in spans.to_pylist()]
    assert found == [[(0, 9), (10, 11), (12, 13)], [], [(0, 6)]]
    assert n_chars.tolist() == [11, 0, 6]
