"""Parse the worked solutions of one document: question, solution and answer around its marks.

Takes a text in match characters (of the same length as the text itself), its marks and patterns; returns templates,
which are spans, and rejects with reasons. Candidates are accepted or rejected by `stages.cot.judge`.
"""

from __future__ import annotations

import itertools
import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from stages.cot.detect import Mark
from stages.cot.judge import judge
from stages.cot.line_table import LastWhere, LineTable
from stages.cot.patterns import Patterns
from stages.cot.segment import FENCE, HEADING, RULE, Range, fences, is_apart, lines, sentences, trim
from stages.cot.template import Config, Draft, Reject, Template

MARKUP = re.compile(
    r"(?:</?(?:b|i|u|p|em|strong|span|div|br|h\d)\s?/?>|[*_]{1,3}|[ \t\u3000])*"
)  # after the word of a mark
BEFORE = re.compile(
    r"(?:<(?:b|i|u|p|em|strong|span|div|h\d)>|[*_#>【\[〖（(]|[ \t\u3000])+$"
)  # before the word of a mark
BEFORE_CHARS = 24
COMMENT = "<!--"
ENDS_QUESTION = ("answer", "solution")
ANCHORS = ("solution", "answer", "step", "reason", "open", "result")
LOOK_BACK_CHARS = 1200
LOOK_BACK = 3  # paragraphs before an unmarked question's solution
LOOK_AHEAD = 2  # consecutive lines without reasoning that a solution may contain
SIDE_ANSWER_CHARS = 300  # at most, between an answer and an explanation that follows it
PARAGRAPH_CHARS = 600  # lines without an empty line between them form one question up to this length
LONG_LINE_CHARS = 80  # only the first sentence of a longer line is the answer


class Page:
    """One document with its marks, outside code fences."""

    def __init__(
        self, text: str, marks: Sequence[Mark], patterns: Patterns, config: Config, stop_words: frozenset[str]
    ) -> None:
        self.text, self.patterns, self.config, self.stop_words = text, patterns, config, stop_words
        self.fences = fences(text)
        self.marks = [
            mark._replace(end=MARKUP.match(text, mark.end).end())  # type: ignore[union-attr]  # matches "" too
            for mark in marks
            if not self.in_code(mark.start) and not text.startswith(COMMENT, mark.begin)
        ]
        self.begins = [mark.begin for mark in self.marks]
        self.lines = LineTable(text)
        self.last_telling = LastWhere(self.is_telling)
        self.last_question = {False: LastWhere(self.is_question), True: LastWhere(self.is_open_question)}
        self.ended_by, self.end_before = ended_by(self.marks)

    def span_to(self, start: int, end: int) -> Range:
        """Return the range from start to the mark at end, without the mark's decorations."""
        begin = max(start, end - BEFORE_CHARS)
        opening = BEFORE.search(self.text[begin:end])
        return trim(self.text, start, begin + opening.start() if opening else end)

    def in_code(self, place: int) -> bool:
        """Return whether an offset is inside code."""
        k = bisect_right(self.fences, (place, len(self.text))) - 1
        return k >= 0 and place < self.fences[k][1]

    def marks_within(self, start: int, stop: int) -> list[Mark]:
        """Return the marks that begin in a range."""
        return self.marks[bisect_left(self.begins, start) : bisect_left(self.begins, stop)]

    def read(self) -> tuple[list[Template], list[Reject]]:
        """Return all templates in order, which do not overlap, and all rejects."""
        templates: list[Template] = []
        rejects: list[Reject] = []
        floor = 0
        for i, mark in enumerate(self.marks):
            if len(templates) + len(rejects) == self.config.max_candidates:
                break
            draft = self.draft(i, floor) if mark.begin >= floor and mark.role in ANCHORS else None
            if draft is None:
                continue
            outcome = judge(self.text, draft, self.in_code, self.patterns, self.config, self.stop_words)
            if isinstance(outcome, Template):
                templates.append(outcome)
                floor = draft.end
            else:
                rejects.append(outcome)
                floor = draft.solution[0]
        return templates, rejects

    def draft(self, i: int, floor: int) -> Draft | None:
        """Return question and solution around mark i; None if it does not begin a solution."""
        mark = self.marks[i]
        if mark.role == "open":
            return self.draft_tags(i, floor)
        if mark.role == "result":
            return self.draft_result(mark, floor)
        question, marked = self.question_before(i, floor)
        if question is None or self.gives_way(i):
            return None
        begin = mark.end if mark.role in ("solution", "answer") else mark.begin
        if HEADING.match(self.text, mark.begin):
            begin = next(lines(self.text, mark.start, len(self.text)))[1]
        draft = Draft(question, (begin, begin), question_marked=marked)
        draft.is_weak = mark.role in ("reason", "answer")
        if mark.role == "solution":
            draft.kinds.add("marker")
        self.walk(draft, i, self.side_answer(i, question))
        return draft

    def gives_way(self, i: int) -> bool:
        """Return whether the solution begins at the next mark instead.

        An answer may precede its explanation, and a heading another heading.
        """
        mark = self.marks[i]
        after = self.marks[i + 1] if i + 1 < len(self.marks) else None
        if after is None or after.role != "solution":
            return False
        if mark.role == "answer":
            return after.begin - mark.end <= SIDE_ANSWER_CHARS
        return (
            mark.role == "solution"
            and next(lines(self.text, mark.end, after.end), (after.begin,))[0] >= after.begin
        )

    def side_answer(self, i: int, question: Range) -> Range | None:
        """Return the answer between a question and its explanation, or None."""
        before = self.marks[i - 1] if i else None
        if before and before.role == "answer" and before.begin >= question[1]:
            start, end = self.span_to(before.end, self.marks[i].begin)
            return (start, end) if start < end else None
        return None

    def question_before(self, i: int, floor: int) -> tuple[Range | None, bool]:
        """Return the question before mark i, or None, and whether it is marked."""
        mark = self.marks[i]
        marked = self.marked_question(mark, floor)
        if marked:
            return marked, True
        if mark.role not in ("solution", "step"):
            return None, False
        before = self.marks[i - 1] if i else mark
        is_side = (
            before.role == "answer" and floor <= before.begin and mark.begin - before.end <= SIDE_ANSWER_CHARS
        )
        return self.unmarked_question(
            before.begin if is_side else mark.begin, floor, mark.role == "step"
        ), False

    def marked_question(self, mark: Mark, floor: int) -> Range | None:
        """Return the last marked question before a mark that is long enough and, before a reason, complete."""
        low = bisect_left(self.begins, max(floor, mark.begin - self.config.max_question_chars))
        k = bisect_left(self.begins, mark.begin) - 1
        is_reason = mark.role == "reason"
        while k >= low:
            if (
                self.marks[k].role in ENDS_QUESTION
            ):  # what precedes it has its own end, whichever mark comes after
                found = self.last_question[is_reason].at_most(k, low)
                return None if found is None else self.question_at(found)
            if self.marks[k].role == "question":
                start, end = self.span_to(self.marks[k].end, mark.begin)
                if end - start >= self.config.min_question_chars:
                    if not is_reason or self.asks(start, end, 1):
                        return start, end
                    last = self.lines.last_sentences(start, end, 1)
                    if last and last[0][0] > start:  # the same sentence ends all longer ranges
                        k = self.end_before[k]
                        continue
            k -= 1
        return None

    def question_at(self, k: int) -> Range:
        """Return the text from mark k, a question, to the answer or solution after it."""
        return self.span_to(self.marks[k].end, self.ended_by[k])

    def is_question(self, k: int) -> bool:
        """Return whether mark k begins a question that is long enough and followed by an answer or solution."""
        if self.marks[k].role != "question" or self.ended_by[k] < 0:
            return False
        start, end = self.question_at(k)
        return end - start >= self.config.min_question_chars

    def is_open_question(self, k: int) -> bool:
        """Return whether mark k begins such a question and it asks; only then may a reason begin a solution."""
        return self.is_question(k) and self.asks(*self.question_at(k), 1)

    def asks(self, start: int, end: int, n_last: int) -> bool:
        """Return whether one of the last n_last sentences of a range is a question."""
        last = self.lines.last_sentences(start, end, n_last)
        return any(self.patterns.asks.search(self.text, *sentence) for sentence in last)

    def divides(self, start: int, end: int) -> bool:
        """Return whether a line is a heading, a fence of code or a rule."""
        divider = HEADING.match(self.text, start) or FENCE.match(self.text, start)
        return bool(divider or RULE.match(self.text, start, end))

    def is_telling(self, k: int) -> bool:
        """Return whether line k ends the search for a question: it asks one, or divides the text."""
        line = self.lines.clipped(k, *self.lines.lines[k])
        return line is not None and (self.divides(*line) or self.asks(*line, 2))

    def unmarked_question(self, limit: int, floor: int, strict: bool) -> Range | None:
        """Return the closest paragraph before limit that asks a question; strict: it must end there in `?`."""
        low, table = max(floor, limit - LOOK_BACK_CHARS), self.lines
        last = next(table.backwards(low, limit), None)
        if last is None or (strict and self.text[last[1][1] - 1] not in "?？"):
            return None
        k = self.telling_line(last[0], low, limit)
        if k is None or table.n_apart[last[0]] - table.n_apart[k] >= LOOK_BACK:
            return None
        line = table.clipped(k, low, limit)
        if line is None or self.divides(*line):
            return None
        start = line[0]
        for _, (first, end) in table.backwards(low, start):
            if is_apart(self.text, end, start) or last[1][1] - first >= PARAGRAPH_CHARS:
                break
            start = first
        return self.span_to(start, limit)

    def telling_line(self, k: int, low: int, limit: int) -> int | None:
        """Return the index of the last line, from k back, that ends the search for a question within a range.

        The first and the last line may be in the range in part only, and then that part is what counts.
        """
        table = self.lines
        whole = bisect_left(table.starts, low)
        if table.lines[k][1] > limit or k < whole:
            line = table.clipped(k, low, limit)
            if line and (self.divides(*line) or self.asks(*line, 2)):
                return k
            k -= 1
        found = self.last_telling.at_most(k, whole)
        if found is not None or whole == 0 or table.lines[whole - 1][1] <= low:
            return found
        line = table.clipped(whole - 1, low, limit)
        return whole - 1 if line and (self.divides(*line) or self.asks(*line, 2)) else None

    def draft_result(self, mark: Mark, floor: int) -> Draft | None:
        """Return a solution in the format of GSM8K, or None: a question, lines, the result after four hash marks."""
        low = max(floor, mark.begin - self.config.max_solution_chars)
        for _, (start, end) in self.lines.backwards(low, mark.begin):
            if HEADING.match(self.text, start) or FENCE.match(self.text, start):
                return None
            stop = max(
                (b for a, b in sentences(self.text, start, end) if self.text[b - 1] in "?？"), default=0
            )
            if stop:
                question = trim(self.text, self.after_mark(start, floor), stop)
                result = trim(self.text, mark.start + 4, mark.end)
                return Draft(question, trim(self.text, stop, mark.begin), result, mark.end, kinds={"answer"})
        return None

    def after_mark(self, start: int, floor: int) -> int:
        """Return the offset of a line's text, after the mark of role `question` that begins it, if any."""
        marks = self.marks_within(start, start + 1) if start >= floor else []
        ends = [mark.end for mark in marks if mark.role == "question"]
        return max(ends, default=start)

    def draft_tags(self, i: int, floor: int) -> Draft | None:
        """Return a chain of thought between tags, with the question before it and the answer after it."""
        mark = self.marks[i]
        ahead = self.marks_within(mark.end, mark.end + self.config.max_solution_chars)
        closing = next((after for after in ahead if after.role in ("open", "close")), None)
        before = self.marks_within(max(floor, mark.begin - self.config.max_question_chars), mark.begin)
        asked = max((m.end for m in before if m.role == "question"), default=None)
        question = (
            self.span_to(asked, mark.begin) if asked is not None else self.paragraph_before(mark.begin, floor)
        )
        draft = Draft(question, (mark.end, mark.end), None, mark.end, kinds={"tags"})
        if closing is None or closing.role != "close":
            return draft
        draft.solution = trim(self.text, mark.end, closing.begin)
        draft.end = closing.end
        limit = min(len(self.text), closing.end + self.config.max_answer_chars)
        marked = [m for m in self.marks_within(closing.end, limit) if m.role == "answer"]
        line = next(lines(self.text, closing.end, limit), None)
        if marked:
            draft.answer, draft.end = self.answer_at(marked[0])
        elif line:
            draft.answer, draft.end = line, line[1]
        return draft

    def paragraph_before(self, limit: int, floor: int) -> Range:
        """Return the paragraph before limit that asks a question, or else the last paragraph."""
        asking = self.unmarked_question(limit, floor, False)
        if asking:
            return asking
        start, end = trim(self.text, max(floor, limit - LOOK_BACK_CHARS), limit)
        line_ranges = list(lines(self.text, start, end))
        for (_, before), (first, _) in reversed(list(itertools.pairwise(line_ranges))):
            if is_apart(self.text, before, first):
                return first, end
        return start, end

    def walk(self, draft: Draft, i: int, answer: Range | None) -> None:
        """Extend a solution line by line while it contains reasoning, up to a marked answer; sets fields of draft."""
        start = draft.solution[0]
        stop = min(len(self.text), start + self.config.max_solution_chars)
        ahead = [mark for mark in self.marks_within(start, stop) if mark.begin > self.marks[i].begin]
        following = next((mark for mark in ahead if mark.role in ("question", "open", "end")), None)
        if following:
            stop = min(stop, self.span_to(start, following.begin)[1])
        answers = [mark for mark in ahead if mark.role in ("answer", "result") and start < mark.begin < stop]
        mark_at = {mark.begin: mark for mark in ahead}
        end, n_plain, n_lines = start, 0, 0
        for first, last in lines(self.text, start, stop):
            if self.in_code(first) or self.ends(first, last, mark_at):
                break
            if answers and answers[0].begin < last and not answer:
                draft.solution = self.span_to(start, answers[0].begin)
                draft.answer, draft.end = self.answer_at(answers[0])
                draft.kinds.add("answer")
                return
            argues = self.argues(first, last, n_lines and is_apart(self.text, end, first))
            n_plain = 0 if argues else n_plain + 1
            if n_lines and n_plain > LOOK_AHEAD:
                break
            n_lines += 1
            end = last if argues or n_lines == 1 else end
        draft.solution = trim(self.text, start, end)
        draft.answer, draft.end = answer, end
        if answer:
            draft.kinds.add("answer")

    def ends(self, first: int, last: int, own: dict[int, Mark]) -> bool:
        """Return whether a line ends the solution: a horizontal rule, or a heading that is not a mark."""
        if RULE.match(self.text, first, last):
            return True
        mark = own.get(first)
        return bool(HEADING.match(self.text, first)) and (mark is None or mark.role == "reason")

    def argues(self, first: int, last: int, apart: bool | int) -> bool:
        """Return whether a line contains reasoning or computation, or is numbered; if not apart, any digit suffices."""
        if self.patterns.reasoning.search(self.text, first, last):
            return True
        if any(number.match(self.text, first, last) for number in self.patterns.numbers):
            return True
        return not apart and any(char.isdecimal() for char in self.text[first:last])

    def answer_at(self, mark: Mark) -> tuple[Range | None, int]:
        """Return the answer after its mark, to the end of the line or, in a long line, of the sentence; and its end."""
        limit = min(len(self.text), mark.end + 4 * self.config.max_answer_chars)
        start, end = next(lines(self.text, mark.end, limit), (0, 0))
        if not end:
            return None, mark.end
        if end - start > LONG_LINE_CHARS:
            start, end = sentences(self.text, start, end)[0]
        clean = start, max(start + 1, end)
        while clean[1] - clean[0] > 1 and self.text[clean[0]] in "*_":
            clean = clean[0] + 1, clean[1]
        while clean[1] - clean[0] > 1 and self.text[clean[1] - 1] in "*_":
            clean = clean[0], clean[1] - 1
        return clean, end


def ended_by(marks: Sequence[Mark]) -> tuple[list[int], list[int]]:
    """For each mark: offset of the next one that ends a question, and index of the last such one; -1 for none."""
    begins, indices, begin, index = [], [], -1, -1
    for mark in reversed(marks):
        begins.append(begin)
        begin = mark.begin if mark.role in ENDS_QUESTION else begin
    for k, mark in enumerate(marks):
        indices.append(index)
        index = k if mark.role in ENDS_QUESTION else index
    return begins[::-1], indices
