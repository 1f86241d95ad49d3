"""Parse the worked solutions of one document: question, solution and answer around its marks.

Takes a text in match characters, the text as written, of the same length, its layout, marks and patterns; returns
templates, which are spans, and rejects with reasons. Candidates are accepted or rejected by `stages.cot.judge`.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import cached_property

from stages.cot.choices import labels
from stages.cot.detect import Mark, Written
from stages.cot.extent import NUMBER, Extent, Walker
from stages.cot.judge import judge
from stages.cot.layout import NO_HEADING, Layout
from stages.cot.patterns import Patterns
from stages.cot.question import EXAMPLE, QUERY, SECTION_NUMBER, Asker, Question, has_blank
from stages.cot.sections import AMOUNT, Reader
from stages.cot.segment import Range, sentences, trim
from stages.cot.template import Config, Draft, Reject, Template
from stages.cot.unmarked import divide

KEY = re.compile(
    r"\W{0,8}(?:参考|标准|习题|练习)?(?:答案|解析|解答)(?:与?(?:解析|提示|解答|详解)|部分)?\W{0,6}$|\W{0,8}(?:answers?|solutions?)"
    r"(?: (?:and|to|key|with)(?: [a-z]+){0,3})?\W{0,6}$"
)  # the heading of a list of answers
CLAIM_NUMBER = re.compile(r"(\d{1,2})\s?([°)）])")
KEY_CHARS = 40  # at most, between the number of an answer and the mark of its explanation
KEY_LINES = 400  # at most, between a question and the heading of the answers
MARKUP = re.compile(
    r"(?:</?(?:b|i|u|p|em|strong|span|div|br|h\d)\s?/?>|[*_`}]{1,3}|\{[.#][^{}\n]{1,60}\}|[ \t\u3000])*"
)  # after a mark
BEFORE = re.compile(
    r"(?:<(?:b|i|u|p|em|strong|span|div|h\d)>|"
    r"\\(?:textbf|textit|emph|bf|heiti|noindent|paragraph\*?)\s?|[*_#>`{【\[〖（(]|[ \t\u3000])+$"
)  # before a mark
BEFORE_CHARS = 24
SIDE_ANSWER_CHARS = 400  # at most, between an answer and an explanation that follows it
NEXT_ANSWER_CHARS = 200  # at most, between a short line and the answer that follows it
SHORT_CHARS = 30
SHORT_ANSWER_CHARS = 90
ENDS_SENTENCE = re.compile(r"[。．.！!？?)）】\]>$]$")
PART = re.compile(r"example|sample|例|题意")  # marks that may begin a part of a question
LISTS = re.compile(r"exercises|problems|questions|练习|习题|思考")  # headings of lists of exercises
PLAN_CHARS = 2000
MARKS_BACK = 12  # at most, between a solution and the mark of its question
MANY = 60  # sentences: any of a question may ask
FAILS = re.compile(
    r"报错|失败|错误|异常|无法|不能|不会|超时|崩溃|没有响应|error|fail|exception|crash|cannot|can't|not work"
)
REMEDY = re.compile(r"解决|原因")
COMMAND = re.compile(r"(?:\{?\\[a-z]{2,12}\s?)+\Z")
NAMES = re.compile(r"[是为选]|(?<![a-z])(?:is|be|equals)(?![a-z])")
OUTPUT = re.compile(r"^(?:[-*>\s]|<[^<>\n]+>)*(?:输出|output)", re.M)
EXAMPLE_CHARS = 400
ASKED_CHARS = 1500  # at most, between the mark of a question and a word set apart by a blank
ASKED_BY = ("question", "claim")
RUNS = ("solution", "proof", "explanation", "answer")
BEGINS = ("solution", "proof", "explanation", "answer", "step", "open", "result")
ENDS_QUESTION = frozenset(("solution", "proof", "explanation", "answer", "hint", "end", "open", "result"))


class Page:
    """One document with its marks, outside code."""

    def __init__(
        self,
        text: str,
        source: Written,
        layout: Layout,
        marks: Sequence[Mark],
        patterns: Patterns,
        config: Config,
        stop_words: frozenset[str],
    ) -> None:
        self.text, self.source, self.layout, self.patterns, self.config = (
            text,
            source,
            layout,
            patterns,
            config,
        )
        self.stop_words = stop_words
        head = layout.front_matter()
        self.marks = [
            mark._replace(begin=self.command_begin(mark), end=self.label_end(mark))
            for mark in marks
            if mark.begin >= head
            and not layout.code_at(mark.start)
            and not text.startswith("<!--", mark.begin)
            and not self.in_example(mark)
            and not self.is_word(mark, marks)
        ]
        self.marks = [mark for mark in self.marks if self.stands_apart(mark)]
        if not any(mark.role == "question" and text[mark.start] in "q问" for mark in self.marks):
            self.marks = [
                mark for mark in self.marks if text[mark.start : mark.start + 2].strip("*_: ：") != "a"
            ]
        self.begins = [mark.begin for mark in self.marks]
        self.begin_before = [-1]  # for each mark, and the end: the last mark before it that begins a solution
        for k, mark in enumerate(self.marks):
            self.begin_before.append(k if mark.role in BEGINS else self.begin_before[-1])
        self.asker = Asker(text, layout, patterns, config.max_question_chars)
        self.walker = Walker(text, layout, self.marks, patterns, config)

    def in_example(self, mark: Mark) -> bool:
        """Return whether a mark explains the output of an example in a question."""
        if mark.role != "explanation":
            return False
        k = self.layout.at(mark.begin)
        before = self.text[max(0, mark.begin - EXAMPLE_CHARS) : mark.begin]
        return k > 0 and bool(OUTPUT.search(before))

    def stands_apart(self, mark: Mark) -> bool:
        """Return whether a mark that is a single letter, `Q:`, begins a line, or follows a question; a hint a line."""
        if mark.role == "hint":
            return self.text[mark.begin] not in "([（【" and self.layout.starts_line(mark.begin)
        if (
            self.text[mark.start : mark.start + 1] not in "qa"
            or self.text[mark.start : mark.start + 2].isalpha()
        ):
            return True
        before = self.text[max(0, mark.begin - 3) : mark.begin].rstrip()
        return self.layout.starts_line(mark.begin) or before.endswith(("?", "？"))

    def command_begin(self, mark: Mark) -> int:
        """Return the begin of a mark, or of the LaTeX command whose argument it is, as in `\\textbf{Example}`."""
        if self.text[mark.begin] != "{":
            return mark.begin
        command = COMMAND.search(self.text, max(0, mark.begin - BEFORE_CHARS), mark.begin)
        return command.start() if command else mark.begin

    def label_end(self, mark: Mark) -> int:
        """Return the end of a mark with the mark-up after it; an admonition's title is a part of its mark."""
        k = self.layout.at(mark.start)
        if k < len(self.layout) and self.layout.is_admonition(k):
            return self.layout.ends[k]
        match = MARKUP.match(self.text, mark.end)
        return match.end() if match else mark.end

    def is_word(self, mark: Mark, marks: Sequence[Mark]) -> bool:
        """Return whether a blank alone sets a mark apart and no sentence ends before it, so that it is a mere word."""
        if mark.role not in ("solution", "proof", "explanation") or not self.text[mark.end - 1].isalpha():
            return False
        if self.text[mark.end : mark.end + 1] not in (" ", "\u3000", "\t"):
            return False
        before = self.text[max(0, mark.begin - 4) : mark.begin]
        if not before or "\n" in before:
            return False
        asked = any(m.role == "question" and 0 < mark.begin - m.end < ASKED_CHARS for m in marks)
        return not (asked and ENDS_SENTENCE.search(before.rstrip()))

    def read(self, asking: Sequence[int] = ()) -> tuple[list[Template], list[Reject]]:
        """Return all templates in order, which do not overlap, and all rejects.

        Args: asking, offsets of lines that may be questions without marks, sorted.
        """
        templates: list[Template] = []
        rejects: list[Reject] = []
        floor = 0
        for i, mark in enumerate(self.marks):
            if len(templates) + len(rejects) == self.config.max_candidates:
                break
            draft = self.draft(i, floor) if mark.begin >= floor else None
            if draft is None:
                continue
            outcome = judge(
                self.text, self.source, draft, self.layout, self.patterns, self.config, self.stop_words
            )
            if isinstance(outcome, Template):
                templates.append(outcome)
                floor = max(draft.end, outcome.answer[1], outcome.steps[-1][1])
            else:
                rejects.append(outcome)
                floor = max(floor, draft.floor) if draft.role != "explanation" else floor
        if asking:
            self.read_sections(asking, templates, rejects)
        return templates, rejects

    def read_sections(self, asking: Sequence[int], templates: list[Template], rejects: list[Reject]) -> None:
        """Add the solutions below questions without marks, where no other was found."""
        taken = sorted(
            (template.question[0], max(template.answer[1], template.steps[-1][1])) for template in templates
        )
        found: list[Template] = []
        for section in Reader(self.text, self.layout, self.patterns).read(asking):
            if len(templates) + len(rejects) + len(found) >= self.config.max_candidates:
                break
            start, end = section.question[0], section.body[1]
            place = bisect_left(taken, (end, 0))
            if place and taken[place - 1][1] > start:
                continue
            if any(
                mark.role in ("question", "solution", "proof")
                for mark in self.marks_within(section.question[1], end)
            ):
                continue
            question = Question(*self.asker.clean(*section.question), False)
            draft = Draft(question, self.without_markup(*section.body), role="section", floor=end, end=end)
            outcome = judge(
                self.text, self.source, draft, self.layout, self.patterns, self.config, self.stop_words
            )
            if isinstance(outcome, Template):
                found.append(outcome)
                taken.insert(place, (start, end))
            else:
                rejects.append(outcome)
        if found:
            templates += found
            templates.sort(key=lambda template: template.question)

    def draft(self, i: int, floor: int) -> Draft | None:
        """Return question and solution around mark i; None if it does not begin a solution."""
        mark = self.marks[i]
        if mark.role in ASKED_BY:
            return self.draft_unmarked(i)
        if mark.role not in BEGINS or self.gives_way(i):
            return None
        if mark.role == "result":
            return self.draft_result(mark, floor)
        question = self.question_before(i, floor)
        if question is None or not self.may_follow(i, question):
            return None
        if mark.role == "open":
            return self.draft_tags(i, question)
        begin = mark.begin if mark.role == "step" else mark.end
        level = self.level_at(mark)
        if level < NO_HEADING:
            begin = self.layout.ends[self.layout.at(mark.begin)] if mark.role != "answer" else begin
        draft = Draft(question, (begin, begin), role=mark.role, floor=mark.end, is_headed=level < NO_HEADING)
        is_keyed = self.layout.at(question.end - 1) < self.layout.at(mark.begin)
        side = (self.keyed_answer(i) if is_keyed else None) or self.side_answer(i, question)
        side = side or (self.own_answer(i) if mark.role == "answer" else None)
        if side and mark.role == "answer":
            begin = side[1]
        extent = self.walker.walk(begin, i, level, question, side is not None)
        self.fill(draft, begin, extent, side)
        return draft

    def may_follow(self, i: int, question: Question) -> bool:
        """Return whether a mark may begin the solution of a question; an unmarked one must ask in plain words."""
        mark, text = self.marks[i], self.text[question.start : question.end]
        if (
            question.is_marked
            and not question.is_example
            and (question.is_numbered or question.is_claim or question.is_exercise)
        ):
            return mark.role != "answer" or self.is_label(mark)
        if question.is_marked and mark.role != "explanation" and not self.asker.asks(*question.range):
            return False
        demands = (
            bool(has_blank(text)) or self.asker.demands(*question.range) or bool(labels(text, 0, len(text)))
        )
        if question.is_example and not demands:
            return False
        if question.is_marked and not (question.is_numbered or question.is_claim or question.is_exercise):
            if (
                question.is_headed
                and self.level_at(mark) < NO_HEADING
                and (REMEDY.match(self.text, mark.start) and FAILS.search(text))
            ):
                return True
            if not demands and mark.role == "explanation":
                return False
        if question.is_marked:
            return mark.role != "answer" or self.is_label(mark)
        if mark.role == "answer":
            wants = question.is_numbered or bool(labels(self.text, *question.range) or has_blank(text))
            return self.is_label(mark) and (wants or self.level_at(mark) < NO_HEADING)
        if mark.role == "proof":
            return True
        if mark.role == "explanation":
            return (demands and question.is_numbered) or self.is_plan(i)
        return mark.role != "step"

    def is_plan(self, i: int) -> bool:
        """Return whether the solution proper follows an explanation, as in `Strategy`, `Solution`."""
        following = self.marks[i + 1] if i + 1 < len(self.marks) else None
        return (
            self.marks[i].role == "explanation"
            and following is not None
            and following.role == "solution"
            and following.begin - self.marks[i].end < PLAN_CHARS
        )

    def is_label(self, mark: Mark) -> bool:
        """Return whether a mark is a label, `Answer:`, not a part of a sentence, `the answer is`."""
        word = self.text[mark.start : mark.end].rstrip()
        return not NAMES.search(word)

    def fill(self, draft: Draft, begin: int, extent: Extent, side: Range | None) -> None:
        """Set solution, answer and end of a draft."""
        draft.solution = self.without_markup(begin, extent.end)
        draft.end = max(extent.stop, draft.solution[1])
        draft.is_cut = extent.end - begin >= self.config.max_solution_chars
        if side:
            draft.answer = side
        elif extent.answer is not None:
            draft.answer = self.answer_after(extent.answer)
            draft.end = max(draft.end, draft.answer[1]) if draft.answer else draft.end
            draft.named = True
        if draft.answer:
            draft.kinds.add("answer")
        if draft.role in ("solution", "proof", "explanation"):
            draft.kinds.add("marker")

    def without_markup(self, start: int, end: int) -> Range:
        """Return a range without lines of mark-up and rules at its ends."""
        first, last = self.layout.span(start, end)
        while first < last and self.asker.is_furniture(first):
            start, first = min(self.layout.ends[first], end), first + 1
        while (
            first < last
            and self.asker.is_furniture(last - 1)
            and not (
                last > 1 and self.walker.completes(self.layout.starts[last - 1], self.layout.ends[last - 2])
            )
        ):
            end, last = max(self.layout.starts[last - 1], start), last - 1
        return trim(self.text, start, end)

    def level_at(self, mark: Mark) -> int:
        """Return the level of the heading that a mark begins; NO_HEADING if it begins none."""
        k = self.layout.at(mark.begin)
        if k >= len(self.layout) or self.layout.starts[k] != mark.begin:
            return NO_HEADING
        level = self.layout.level(k)
        return NO_HEADING if level == 7 and mark.end < self.layout.ends[k] else level

    def gives_way(self, i: int) -> bool:
        """Return whether the solution begins at the next mark instead: an answer or a heading may precede it."""
        mark = self.marks[i]
        after = self.marks[i + 1] if i + 1 < len(self.marks) else None
        if after is None or after.role not in ("solution", "proof", "explanation", "open", "step", "answer"):
            return False
        if mark.role == "answer":
            if not any(map(str.isalnum, self.text[mark.end : after.begin])):
                return True
            if after.role == "answer":
                return not self.text[mark.end : after.begin].strip("#*_ \n")
            return (
                after.role != "step"
                and after.begin - mark.end <= SIDE_ANSWER_CHARS
                and self.is_short(mark, after)
            )
        between = self.text[mark.end : after.begin]
        return (
            mark.role in ("solution", "explanation")
            and after.role != "step"
            and not any(map(str.isalnum, between))
        )

    def is_short(self, mark: Mark, after: Mark) -> bool:
        """Return whether between two marks there are no more than two lines, without reasoning."""
        lines = list(self.layout.within(mark.end, after.begin))
        return len(lines) <= 2 and not any(self.patterns.argues.search(self.text, a, b) for _, a, b in lines)

    def side_answer(self, i: int, question: Question) -> Range | None:
        """Return the answer between a question and its explanation, or None."""
        before = self.marks[i - 1] if i else None
        if before and before.role == "answer" and before.begin >= question.end:
            return self.answer_after(before, self.marks[i].begin)
        return None

    def own_answer(self, i: int) -> Range | None:
        """Return the short line after an answer mark if more text follows it, or None."""
        mark = self.marks[i]
        k = self.layout.at(mark.begin)
        if k + 1 >= len(self.layout):
            return None
        start, end = trim(self.text, mark.end, self.layout.ends[k])
        is_long = end - start > SHORT_CHARS
        if is_long and not (self.layout.is_apart(k + 1) and self.text[end - 1] in ".。!！)）"):
            return None
        if (
            start >= end
            or end - start > SHORT_ANSWER_CHARS
            or self.patterns.argues.search(self.text, start, end)
        ):
            return None
        following = self.marks[i + 1] if i + 1 < len(self.marks) else None
        if following and (
            following.role == "result"
            or following.begin < (end + NEXT_ANSWER_CHARS if following.role == "answer" else end)
        ):
            return None
        return self.without_emphasis(start, end)

    def answer_after(self, mark: Mark, stop: int | None = None) -> Range | None:
        """Return the answer after its mark: the rest of the line, or the next paragraph; None if there is none."""
        if mark.role == "result":
            return trim(self.text, mark.start + 4, mark.end)
        k = self.layout.at(mark.end)
        limit = len(self.text) if stop is None else self.span_to(mark.end, stop)[1]
        found = next(self.layout.within(mark.end, limit), None)
        if found is None:
            return None
        k, start, end = found
        code = self.layout.code_at(start)
        if code:
            return code
        listed = self.layout.starts[k] >= mark.end
        while (
            listed
            and k + 1 < len(self.layout)
            and not self.layout.is_apart(k + 1)
            and self.layout.ends[k + 1] <= limit
        ):
            if self.text[self.layout.starts[k + 1]] not in "-*+" or self.walker.is_boundary(k + 1):
                break
            k, end = k + 1, self.layout.ends[k + 1]
        following = bisect_left(self.begins, max(start, mark.begin + 1))
        if following < len(self.marks) and start < self.marks[following].begin < end:
            start, end = self.span_to(start, self.marks[following].begin)
        if not listed:
            first = sentences(self.text, start, end)[:1]
            end = first[0][1] if first and end - start > SHORT_ANSWER_CHARS else end
        return self.without_emphasis(start, end) if start < end else None

    def without_emphasis(self, start: int, end: int) -> Range:
        """Return a range without the signs of emphasis at its ends."""
        while end - start > 1 and self.text[start] in "*_":
            start += 1
        while end - start > 1 and self.text[end - 1] in "*_":
            end -= 1
        tick = self.text.rfind("`", start, end)
        if tick > start and end - tick < 4 and self.text.count("`", start, end) % 2:
            end = tick  # the sign before the answer is a part of its mark
        return trim(self.text, start, end)

    def span_to(self, start: int, end: int) -> Range:
        """Return the range from start to the mark at end, without the mark's decorations."""
        begin = max(start, end - BEFORE_CHARS)
        opening = BEFORE.search(self.text[begin:end])
        return trim(self.text, start, begin + opening.start() if opening else end)

    def question_before(self, i: int, floor: int) -> Question | None:
        """Return the question before mark i, marked or not, or None."""
        mark = self.marks[i]
        keyed = self.keyed_question(i)
        if keyed:
            return keyed
        found = self.marked_question(i, floor)
        if found or (mark.role in ("step", "open") and self.near_end(i)):
            return found
        i = self.first_of_run(i, floor)
        mark = self.marks[i]
        before = self.marks[i - 1] if i else mark
        is_side = (
            before.role == "answer" and floor <= before.begin and mark.begin - before.end <= SIDE_ANSWER_CHARS
        )
        is_plan = before.role == "explanation" and floor <= before.begin and i > 0 and mark.role == "solution"
        limit = before.begin if is_plan or (is_side and mark.role != "answer") else mark.begin
        if self.layout.at(limit) < len(self.layout) and self.layout.starts[self.layout.at(limit)] < limit:
            limit = self.span_to(max(floor, limit - BEFORE_CHARS), limit)[1]
        question = self.asker.before(
            limit,
            max(floor, self.last_begin(i)),
            mark.role == "proof",
            self.is_plan(i),
            self.text[mark.begin] in "【[",
        )
        if question is None or (mark.role == "step" and self.text[question.end - 1] not in "?？"):
            return None
        return question

    @cached_property
    def keys(self) -> list[int]:
        """Return the lines that head a list of answers."""
        return [k for k in range(len(self.layout)) if KEY.match(self.text, *self.layout.range(k))]

    def item_at(self, i: int) -> tuple[int, int] | None:
        """Return the number of the item in a list of answers that mark i continues, and where its text begins.

        Between the number and the mark stands nothing, or a short answer, as in `3. B 【解析】`.
        """
        mark = self.marks[i]
        k = self.layout.at(mark.begin)
        if k >= len(self.layout) or self.layout.starts[k] >= mark.begin:
            return None
        item = NUMBER.match(self.text, self.layout.starts[k], mark.begin)
        if item is None or mark.begin - item.end() > KEY_CHARS:
            return None
        return int(item.group(3)), item.end()

    def keyed_question(self, i: int) -> Question | None:
        """Return the question of the same number before the heading of a list of answers, or None."""
        item = self.item_at(i) if self.marks[i].role in ("solution", "explanation", "proof") else None
        k = self.layout.at(self.marks[i].begin) - 1
        head = next((h for h in reversed(self.keys) if h <= k), None) if item else None
        if item is None or head is None:
            return self.claim_of(i) if self.marks[i].role == "proof" else None
        stop = self.layout.starts[head]
        for k in range(head - 1, max(-1, head - KEY_LINES), -1):
            start, end = self.layout.range(k)
            if self.layout.code_at(start):
                continue
            number = NUMBER.match(self.text, start, end)
            value = int(number.group(3)) if number else 0
            if number and value == item[0]:
                return self.asker.checked(start, stop, start)
            if number and value == item[0] + 1:
                stop = start
        return None

    def claim_of(self, i: int) -> Question | None:
        """Return the claim that a proof names by its number, as in `证明 2°`, in a list of claims above it, or None."""
        mark = self.marks[i]
        named = CLAIM_NUMBER.search(self.text, mark.start, min(mark.end + 6, len(self.text)))
        if named is None or self.layout.at(mark.begin) >= len(self.layout):
            return None
        first = next((other for other in self.marks if other.role == "proof"), mark)
        stop = self.span_to(0, first.begin)[1]
        for k in range(self.layout.at(first.begin) - 1, max(-1, self.layout.at(first.begin) - KEY_LINES), -1):
            start, end = self.layout.range(k)
            number = CLAIM_NUMBER.match(self.text, start, end)
            if number and number.groups() == named.groups():
                start, stop = self.asker.clean(number.end(), stop)
                return Question(start, stop, False, True, is_claim=True) if start < stop else None
            stop = start if number else stop
        return None

    def keyed_answer(self, i: int) -> Range | None:
        """Return the short answer between the number of an item and mark i, or None."""
        item = self.item_at(i)
        if item is None:
            return None
        start, end = self.without_emphasis(*self.span_to(item[1], self.marks[i].begin))
        return (start, end) if any(map(str.isalnum, self.text[start:end])) else None

    def first_of_run(self, i: int, floor: int) -> int:
        """Return the first of the marks that follow each other without words between, as in 【解析】解：."""
        while (
            i
            and self.marks[i - 1].role in RUNS
            and self.marks[i - 1].begin >= floor
            and not any(map(str.isalnum, self.text[self.marks[i - 1].end : self.marks[i].begin]))
        ):
            i -= 1
        return i

    def last_begin(self, i: int) -> int:
        """Return the end of the last mark before mark i that begins a solution; no question goes back beyond it.

        An answer or a plan between question and solution is passed over.
        """
        k = i - 1
        while (
            k >= max(0, i - 2)
            and self.marks[k].role in ("answer", "explanation")
            and self.marks[k].role != self.marks[i].role
        ):
            k -= 1
        k = self.begin_before[k + 1]
        return self.marks[k].end if k >= 0 else 0

    def near_end(self, i: int) -> bool:
        """Return whether the mark before mark i ends something else, so that no unmarked question is searched for."""
        return i > 0 and self.marks[i - 1].role == "end" and self.marks[i].begin - self.marks[i - 1].end < 9

    def marked_question(self, i: int, floor: int) -> Question | None:
        """Return the marked question before mark i: the nearest one, or an earlier one that it continues."""
        mark = self.marks[i]
        low = max(floor, mark.begin - self.config.max_question_chars - BEFORE_CHARS)
        stop, best = self.span_to(floor, mark.begin)[1], None
        for k in range(i - 1, max(i - 1 - MARKS_BACK, -1), -1):
            asked = self.marks[k]
            if asked.begin < low:
                break
            if asked.role in ENDS_QUESTION:
                if best is not None:
                    break
                between = self.text[asked.end : stop]
                if asked.role == "explanation" and k == i - 1:
                    stop = self.span_to(floor, asked.begin)[1]
                    continue
                if asked.role in ("answer", "hint", "end") or not any(map(str.isalnum, between)):
                    stop = self.span_to(floor, asked.begin)[1]
                    continue
                break
            if asked.role not in ASKED_BY:
                continue
            question = self.asker.marked(asked, stop)
            if question.end - question.start < self.config.min_question_chars:
                continue
            if not question.is_headed and self.has_heading(*question.range):
                break  # it lies in another section
            if best is not None and (asked.role == "claim" or self.divides(asked.end, best.start)):
                break
            is_part = bool(PART.match(self.text, asked.start)) and not question.is_headed
            if best is not None and not question.is_headed:
                if is_part:
                    continue
                break
            best = question
            if question.is_claim or not is_part:
                break
        return best

    def has_heading(self, start: int, end: int) -> bool:
        """Return whether a heading begins inside a range."""
        lines = (
            k for k, first, _ in self.layout.within(start, end) if first == self.layout.starts[k] > start
        )
        return any(self.layout.level(k) < 7 and not self.layout.code_at(self.layout.starts[k]) for k in lines)

    def divides(self, start: int, stop: int) -> bool:
        """Return whether there is a rule between two offsets."""
        return any(self.layout.is_rule(k) for k, _, _ in self.layout.within(start, stop))

    def draft_result(self, mark: Mark, floor: int) -> Draft | None:
        """Return a solution in the format of GSM8K without marks: a question, lines, the result after `####`."""
        layout, low = self.layout, max(floor, mark.begin - self.config.max_solution_chars)
        for k in range(layout.at(mark.begin) - 1, -1, -1):
            start, end = layout.range(k)
            if start < low or layout.level(k) < 7 or layout.code_at(start):
                return None
            stop = max(
                (b for a, b in sentences(self.text, start, end) if self.text[b - 1] in "?？"), default=0
            )
            if stop:
                asked = next((m for m in self.marks_within(start, stop) if m.role in ASKED_BY), None)
                question = Question(*trim(self.text, asked.end if asked else start, stop), asked is not None)
                draft = Draft(
                    question, trim(self.text, stop, mark.begin), role="result", floor=mark.end, end=mark.end
                )
                draft.answer, draft.named = trim(self.text, mark.start + 4, mark.end), True
                draft.kinds.add("answer")
                return draft
        return None

    def marks_within(self, start: int, stop: int) -> list[Mark]:
        """Return the marks that begin in a range."""
        return self.marks[bisect_left(self.begins, start) : bisect_left(self.begins, stop)]

    def marks_from(self, k: int, stop: int) -> Iterator[Mark]:
        """Yield the marks from index k on that begin before an offset."""
        while k < len(self.marks) and self.marks[k].begin < stop:
            yield self.marks[k]
            k += 1

    def draft_tags(self, i: int, question: Question) -> Draft:
        """Return a chain of thought between tags, with the answer after it."""
        mark = self.marks[i]
        stop = mark.end + self.config.max_solution_chars
        closing = next(
            (after for after in self.marks_from(i + 1, stop) if after.role in ("open", "close")), None
        )
        draft = Draft(
            question, (mark.end, mark.end), role="open", floor=mark.end, end=mark.end, kinds={"tags"}
        )
        if closing is None or closing.role != "close":
            return draft
        draft.solution = trim(self.text, mark.end, closing.begin)
        draft.end = closing.end
        limit = min(len(self.text), closing.end + self.config.max_answer_chars)
        following = self.marks_within(closing.end, limit)
        limit = next((m.begin for m in following if m.role in ("end", *ASKED_BY)), limit)
        named = next((m for m in following if m.role == "answer" and m.begin < limit), None)
        line = next(self.layout.within(closing.end, limit), None)
        if named:
            draft.answer, draft.named = self.answer_after(named, limit), True
        elif line:
            draft.answer = line[1:]
        draft.end = draft.answer[1] if draft.answer else closing.end
        return draft

    def draft_unmarked(self, i: int) -> Draft | None:
        """Return the solution that follows a marked question without a mark of its own, or None."""
        mark = self.marks[i]
        headed = self.level_at(mark) < NO_HEADING
        numbered = any(map(str.isdecimal, self.text[mark.start : mark.end]))
        labelled = self.text[mark.start : mark.end].rstrip("*_ ")[-1:] in ":："
        if (
            mark.role == "claim"
            or EXAMPLE.match(self.text, mark.start)
            or not (headed or numbered or labelled)
        ):
            return None
        if not numbered and LISTS.match(self.text, mark.start):
            return None
        is_query = bool(QUERY.match(self.text, mark.start))
        stop = min(
            len(self.text), mark.begin + self.config.max_question_chars + self.config.max_solution_chars
        )
        following = self.marks[i + 1] if i + 1 < len(self.marks) else None
        taken = following is not None and following.begin < stop and following.role in BEGINS
        if following:
            stop = min(stop, following.begin)
        cut = divide(self.text, mark.end, stop, self.layout, self.patterns, headed, taken, is_query)
        if cut is None or (headed and self.only_asks(mark, cut)):
            return None
        if taken and following and not any(map(str.isalnum, self.text[cut : following.begin])):
            return None  # the marks in a folded part say what it is
        k = self.layout.at(cut - 1)
        stop = self.layout.starts[k] if k < len(self.layout) and self.layout.level(k) < 7 else cut
        start, end = self.asker.clean(mark.end, max(stop, mark.end))
        question = self.asker.marked(mark, end)
        if not self.asker.demands(start, end, MANY):
            return None
        extent = self.walker.walk(cut, i, NO_HEADING, question, False)
        draft = Draft(question, (cut, cut), role="unmarked", floor=mark.end)
        self.fill(draft, cut, extent, None)
        return draft

    def only_asks(self, mark: Mark, cut: int) -> bool:
        """Return whether a section ends in a plain question and goes on under a heading that begins no solution.

        A heading of a higher level never does.
        """
        start, k = mark.end, self.layout.at(cut - 1)
        if k >= len(self.layout) or self.layout.level(k) == NO_HEADING:
            return False
        if self.layout.level(k) < self.level_at(mark):
            return True
        words = SECTION_NUMBER.match(self.text, *self.layout.range(k))
        title = words.end() if words else self.layout.starts[k]
        asked = self.text[start : self.layout.starts[k]].rstrip()
        return (
            asked.endswith(("?", "？"))
            and not AMOUNT.search(asked)
            and not self.patterns.resumes.match(self.text, title, self.layout.ends[k])
        )
