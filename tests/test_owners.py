"""Owners of passages: the order decides among the documents that stay, and nothing that stays is lost."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from stages import anchors
from tests.test_substring import SMALL, check, documents, han, removed, windows_of

CHOICES = st.fixed_dictionaries({f"d{i}": st.sampled_from([0.0, 1.0]) for i in range(6)})


@settings(max_examples=90)
@given(docs=documents("abc中"), prefer=CHOICES, dropped=CHOICES, n_partitions=st.sampled_from([1, 4]))
def test_owners_are_chosen_among_what_stays_by_the_order(
    docs: dict[str, str], prefer: dict[str, float], dropped: dict[str, float], n_partitions: int
) -> None:
    """Spans equal those of the reference for any order and any documents that go; no text is lost with an owner."""
    gone = frozenset(doc for doc in docs if dropped[doc])
    check(docs, gone=gone, prefer=prefer, n_partitions=n_partitions)
    left = removed(docs, SMALL, gone=gone, prefer=prefer)
    kept = {doc: text for doc, text in docs.items() if doc not in gone}
    windows = {window for text in kept.values() for window in windows_of(text, SMALL)}
    letters = {letter for window in windows for letter in window}
    assert letters <= set("".join(left[doc] for doc in kept))


def test_a_passage_survives_the_document_that_held_it_first() -> None:
    """Where the first holder is dropped the next one keeps the passage; where all others are, nothing goes."""
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
