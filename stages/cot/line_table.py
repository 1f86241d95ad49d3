"""Lines and sentences of one document, indexed, so that looking back from each of many marks costs the same for each.

A page of one mark after another has as many marks as lines; each looks back over a window of lines. Found once, a line
that holds nothing is skipped for all later marks, so that the time is linear in the length of the text.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from functools import cached_property

from stages.cot.segment import COMMENT, LINE, SENTENCE_END, Range, is_apart, trim


class LineTable:
    """Lines of a text: half-open ranges without blanks at their ends, comments among them."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.lines: list[Range] = [match.span() for match in LINE.finditer(text)]
        self.starts = [start for start, _ in self.lines]

    def last_before(self, limit: int) -> int:
        """Return the index of the last line that begins before an offset, -1 for none."""
        return bisect_left(self.starts, limit) - 1

    def clipped(self, k: int, low: int, limit: int) -> Range | None:
        """Return the part of line k in a range; None if it is blank or a comment."""
        start, end = self.lines[k]
        if start < low or end > limit:
            start, end = trim(self.text, max(start, low), min(end, limit))
        if start >= end:
            return None
        is_comment = self.text.startswith("<!--", start) and COMMENT.match(self.text, start, end)
        return None if is_comment else (start, end)

    def backwards(self, low: int, limit: int) -> Iterator[tuple[int, Range]]:
        """Yield index and range of the lines in a range, the last first."""
        k = self.last_before(limit)
        while k >= 0 and self.lines[k][1] > low:
            if line := self.clipped(k, low, limit):
                yield k, line
            k -= 1

    @cached_property
    def cuts(self) -> tuple[list[int], list[int]]:
        """Starts and ends of the marks that end sentences."""
        spans = [match.span() for match in SENTENCE_END.finditer(self.text)]
        return [start for start, _ in spans], [end for _, end in spans]

    def last_sentences(self, low: int, limit: int, n: int) -> list[Range]:
        """Return the last n sentences of a range, the last first; a line break ends a sentence too."""
        starts, ends = self.cuts
        found: list[Range] = []
        for _, (first, last) in self.backwards(low, limit):
            upper, i = last, bisect_right(ends, last) - 1
            while len(found) < n and i >= 0 and starts[i] >= first:
                start, end = trim(self.text, ends[i], upper)
                if start < end:
                    found.append((start, end))
                upper, i = ends[i], i - 1
            start, end = trim(self.text, first, upper)
            if len(found) < n and start < end:
                found.append((start, end))
            if len(found) == n:
                break
        return found

    @cached_property
    def n_apart(self) -> list[int]:
        """For each line, the number of lines up to it that an empty line precedes; comments are passed over."""
        counts, n, before = [], 0, None
        for k, (start, end) in enumerate(self.lines):
            if self.clipped(k, start, end):
                n += before is not None and is_apart(self.text, before, start)
                before = end
            counts.append(n)
        return counts


class LastWhere:
    """Finds the last of some positions at which a condition holds, going back from any of them.

    holds: the condition on an index, evaluated at most once for each.
    """

    def __init__(self, holds: Callable[[int], bool]) -> None:
        self.holds = holds
        self.known: dict[
            int, int
        ] = {}  # index -> the next one below at which the condition may hold, or itself

    def at_most(self, k: int, lowest: int) -> int | None:
        """Return the largest index in [lowest, k] at which the condition holds, or None."""
        passed = []
        while k >= lowest:
            below = self.known.get(k)
            if below is None:
                below = k if self.holds(k) else k - 1
            if below == k:
                self.known[k] = k
                break
            passed.append(k)
            k = below
        for index in passed:
            self.known[index] = k
        return k if k >= lowest else None
