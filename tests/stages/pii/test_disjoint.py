"""Of overlapping spans one is kept: that of a value in a URL, else the first, else the longest."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stages.pii import disjoint
from stages.pii.rules import IN_URLS, RULES

Span = tuple[int, int, int, int]

IN_URL = sorted(IN_URLS)[0]
OTHERS = [i for i in range(len(RULES)) if i not in IN_URLS]


def overlap(a: Span, b: Span) -> bool:
    """Whether two spans (document, start, end, rule) share a character."""
    return a[0] == b[0] and a[1] < b[2] and b[1] < a[2]


def chosen(spans: list[Span]) -> list[Span]:
    """The spans that are kept, one after the other: each that overlaps none before it in the order of precedence."""
    kept: list[Span] = []
    for span in sorted(spans, key=lambda s: (s[3] not in IN_URLS, s[0], s[1], -s[2], s[3])):
        if not any(overlap(span, other) for other in kept):
            kept.append(span)
    return sorted(kept)


@st.composite
def found(draw: st.DrawFn) -> list[Span]:
    """Spans of two documents, far enough from their beginning that positions are no rule numbers."""
    rules = st.sampled_from([*sorted(IN_URLS), *OTHERS])
    starts, sizes = st.integers(0, 60), st.integers(1, 12)
    one = st.tuples(st.integers(0, 1), starts, sizes, rules).map(lambda s: (s[0], s[1], s[1] + s[2], s[3]))
    return draw(st.lists(one, max_size=12))


@given(found())
def test_kept_spans_are_those_of_the_definition(spans: list[Span]) -> None:
    """For any spans, in any order, with and without values in URLs."""
    assert disjoint(spans) == chosen(spans)


def test_a_value_in_a_url_takes_precedence_over_what_begins_before_it() -> None:
    """Far into a document, and where the two only touch, both are kept."""
    inside, before, beside = (0, 500, 520, IN_URL), (0, 490, 501, OTHERS[0]), (0, 480, 500, OTHERS[0])
    assert disjoint([before, inside]) == [inside]
    assert disjoint([beside, inside]) == [beside, inside]
    assert disjoint([(0, 519, 530, OTHERS[0]), inside]) == [inside]
