"""Spans: a union, applied once, against canonical text."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import StageError
from pipeline.schema import SPANS
from pipeline.spans import LINE_BREAKS, apply_spans, check_spans, edit_column, merge_spans

TEXT = "0123456789ABCDEF"


@st.composite
def texts_and_spans(draw: st.DrawFn) -> tuple[str, list[tuple[int, int, str]]]:
    """A text and spans inside it, overlapping as they like."""
    text = draw(st.text(min_size=1, max_size=30))
    ends = st.tuples(st.integers(0, len(text)), st.integers(0, len(text))).filter(lambda p: p[0] != p[1])
    pairs = draw(st.lists(ends, max_size=6))
    return text, [(min(pair), max(pair), "k") for pair in pairs]


@given(texts_and_spans())
def test_deletion_leaves_exactly_the_uncovered_characters(
    case: tuple[str, list[tuple[int, int, str]]],
) -> None:
    """Visible characters that no span covers are kept, once and in order, for any overlaps; without blanks all are."""
    text, spans = case
    covered = {i for start, end, _ in spans for i in range(start, end)}
    left = "".join(c for i, c in enumerate(text) if i not in covered)
    assert "".join(apply_spans(text, spans).split()) == "".join(left.split())
    if text == "".join(text.split()):
        assert apply_spans(text, spans) == left


@given(texts_and_spans())
def test_deletion_joins_no_two_texts_that_were_separated(
    case: tuple[str, list[tuple[int, int, str]]],
) -> None:
    """Where a deleted range begins or ends with a blank or has one beside it, one is left, a line break if any was."""
    text, spans = case
    for start, end, _ in merge_spans(spans)[:1]:
        before, after = text[:start].rstrip(), text[end:].lstrip()
        edge = text[len(before) : len(text) - len(after)]
        if not before or not after or edge.isspace():
            continue
        inside = text[start:end]
        runs = (
            text[len(before) : start] + inside[: len(inside) - len(inside.lstrip())],
            inside[len(inside.rstrip()) :] + text[end : len(text) - len(after)],
        )
        left = apply_spans(text, [(start, end, "k")])
        between = left[len(before) : len(left) - len(after)]
        assert (left[: len(before)], left[len(left) - len(after) :]) == (before, after)
        assert between == "" or between.isspace()
        n_breaks = [min(sum(char in LINE_BREAKS for char in run), 2) for run in (*runs, between)]
        assert n_breaks[2] == max(n_breaks[:2])
        assert between or not all(runs)


@pytest.mark.parametrize(
    ("marked", "left"),
    [
        ("archive. [The toys. ]These", "archive. These"),
        ("archive.[ The toys. ]These", "archive. These"),
        ("archive. [The toys.] These", "archive. These"),
        ("one.\n[two.] three", "one.\nthree"),
        ("one. [two.]\nthree", "one.\nthree"),
        ("one.\n\n[two.\n]three", "one.\n\nthree"),
        ("if x:\n[    # why\n]    go()", "if x:\n    go()"),
        ("一。[二。]三", "一。三"),
        ("一。\n　　[二。\n]　　三", "一。\n　　三"),
        ("[one.\n\n]two", "two"),
        ("one.\n[two.]\n", "one.\n"),
        ("one.\n\n[two.]", "one."),
        ("一。\n\n[二。\n\n\n]三", "一。\n\n三"),
        ("一。[二。 ]三", "一。三"),
        ("end[. Two. ]Three", "end Three"),
        ("one [two] [three] four", "one four"),
    ],
)
def test_one_blank_or_line_break_is_left_where_text_is_deleted(marked: str, left: str) -> None:
    """The separation that was stronger is kept, and no second one; brackets mark what is deleted."""
    text, spans = "", []
    for piece in marked.split("["):
        inside, closed, rest = piece.partition("]")
        spans += [(len(text), len(text) + len(inside), "k")] if closed else []
        text += inside + rest
    assert apply_spans(text, spans) == left


def test_a_span_of_blanks_is_deleted_as_it_is() -> None:
    """A stage that deletes blanks means them."""
    assert apply_spans("a  \n b", [(1, 3, "k")]) == "a\n b"


@given(texts_and_spans())
def test_order_of_spans_does_not_matter(case: tuple[str, list[tuple[int, int, str]]]) -> None:
    """Spans are a set."""
    text, spans = case
    replace = {"k": "<K>"}
    assert apply_spans(text, spans, replace) == apply_spans(text, spans[::-1], replace)


def test_overlapping_spans_remove_their_union() -> None:
    """Two overlapping spans, applied one after another to the shortened text, would remove two characters more."""
    assert apply_spans(TEXT, [(2, 6, "a"), (4, 9, "b")]) == "019ABCDEF"


def test_neighbours_keep_their_own_placeholders() -> None:
    """Two masked values side by side give two placeholders; overlapping ones give the first."""
    assert (
        apply_spans(TEXT, [(0, 2, "mail"), (2, 4, "phone")], {"mail": "<M>", "phone": "<P>"})
        == "<M><P>" + TEXT[4:]
    )
    assert merge_spans([(0, 5, "mail"), (3, 8, "phone")], {"mail": "<M>", "phone": "<P>"}) == [(0, 8, "<M>")]


def test_characters_are_code_points() -> None:
    """Offsets count code points, also beyond the basic plane."""
    assert apply_spans("𠀀漢字😀x", [(1, 3, "k"), (4, 5, "k")]) == "𠀀😀"


def test_a_column_is_edited_row_by_row_and_by_kind() -> None:
    """Only the wanted kinds are applied; null lists and rows without spans leave the text as it is."""
    spans = pa.array(
        [[{"start": 0, "end": 1, "kind": "a"}, {"start": 2, "end": 3, "kind": "b"}], None, []], SPANS
    )
    text = pa.array(["xyz", "uvw", ""], pa.large_string())
    edited = edit_column(text, [spans], {"a": "*"}, [frozenset({"a"})])
    assert edited.to_pylist() == ["*yz", "uvw", ""]
    sliced = edit_column(text.slice(1), [spans.slice(1)], {}, [None])
    assert sliced.to_pylist() == ["uvw", ""]


@pytest.mark.parametrize("span", [(-1, 2), (2, 2), (3, 2), (0, 4)])
def test_spans_outside_the_text_are_refused(span: tuple[int, int]) -> None:
    """A span that is empty or reaches beyond its text is an error of its stage."""
    spans = pa.array([[], [{"start": span[0], "end": span[1], "kind": "k"}]], SPANS)
    with pytest.raises(StageError, match="row 1 has span"):
        check_spans(spans, pa.array(["ab", "字字字"], pa.large_string()), "s.spans")
